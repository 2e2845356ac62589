"""Each till of docs/till.md sells as it is printed, into one database, one after the other."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.csc import csrun
from tests.support.node import INSTALL_SECONDS, better_sqlite3  # noqa: F401  (a fixture)
from tests.support.storefiles import execute, opened

PROJECT = Path(__file__).parents[3]
INSTALL = (PROJECT / "docs/install.md").read_text(encoding="utf-8")
TILLS = (PROJECT / "docs/till.md").read_text(encoding="utf-8")
PLACE = "/var/lib/syncd/store.db"
[OF_THE_TILL] = re.findall(r"`(CREATE TABLE receipts .*?)`", TILLS)


def example(language: str, database: Path) -> str:
    """The only example in this language, for a database in another place."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", TILLS, re.MULTILINE | re.DOTALL)
    [text] = found
    return text.replace(PLACE, str(database))


def sharing(call: str) -> str:
    """How this language gives its file to the group, as the page on installing says it."""
    found: list[str] = re.findall(rf"`({re.escape(call)}\(path, .*?)`", INSTALL)
    [statement] = found
    return statement


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """As syncd makes it, with the till's own table."""
    async with opened(tmp_path):
        pass
    execute(tmp_path / "store.db", OF_THE_TILL)
    return tmp_path / "store.db"


def run(*command: str | Path, folder: Path) -> None:
    """A till, which must end well and complain of nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def sold(database: Path) -> list[tuple[object, ...]]:
    """What waits for HQ, and the till's receipt of it."""
    return execute(
        database,
        "SELECT entity_type, entity_id, typeof(entity_id), priority, status, json_extract(payload, '$.total'), total "
        "FROM sync_outbox LEFT JOIN receipts ON receipts.id = entity_id ORDER BY sync_outbox.id",
    )


def sell_in_sql(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as till:
        till.executescript(example("sql", database))


def sell_in_python(database: Path) -> None:
    share = f"import os; path = '{database}'; {sharing('os.chmod')}"
    run(sys.executable, "-c", f"{example('python', database)}\n{share}", folder=database.parent)


def test_a_till_in_sql(database: Path) -> None:
    sell_in_sql(database)
    assert sold(database) == [
        ("Receipt", 1042, "integer", 2, "pending", "12.50", "12.50"),
        ("Inventory", "SKU-0007", "text", 3, "pending", None, None),
    ]


def test_a_till_in_python(database: Path) -> None:
    sell_in_python(database)
    assert sold(database) == [("Receipt", 1045, "integer", 2, "pending", "12.50", "12.50")]


def test_a_till_in_csharp_after_another(database: Path) -> None:
    program = csrun()
    sell_in_sql(database)
    source = database.parent / "till"
    source.mkdir()
    share = f'var path = "{database}"; {sharing("File.SetUnixFileMode")};'
    (source / "Till.cs").write_text(f"{example('csharp', database)}\n{share}")
    database.chmod(0o600)
    run(program, source, folder=database.parent)
    assert stat.S_IMODE(database.stat().st_mode) == 0o660
    assert sold(database)[2:] == [("Receipt", 1043, "integer", 2, "pending", "12.50", "12.50")]


def test_a_till_in_javascript_after_another(database: Path, better_sqlite3: Path) -> None:  # noqa: F811
    sell_in_python(database)
    script = better_sqlite3 / f"till-{database.parent.name}.cjs"
    share = f"const fs = require('fs'); const path = '{database}'; {sharing('fs.chmodSync')};"
    script.write_text(f"{example('javascript', database)}\n{share}")
    database.chmod(0o600)
    try:
        run("node", script, folder=better_sqlite3)
    finally:
        script.unlink()
    assert stat.S_IMODE(database.stat().st_mode) == 0o660
    assert sold(database)[1:] == [("Receipt", 1044, "integer", 2, "pending", "12.50", "12.50")]


pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 180)
