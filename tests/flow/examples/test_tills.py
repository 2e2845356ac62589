"""Each example of a till sells as its reader would run it, into one database, and reads the price that HQ has sent."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from syncd.store.catalog import PRICE
from syncd.store.inbox import Inbox
from syncd.store.update import read_update
from tests.support.clock import FakeClock
from tests.support.csc import csrun
from tests.support.node import INSTALL_SECONDS, better_sqlite3  # noqa: F401  (a fixture)
from tests.support.storefiles import execute, opened

PROJECT = Path(__file__).parents[3]
EXAMPLES = PROJECT / "examples" / "till"
RUN_SECONDS = 120

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + RUN_SECONDS)


def sharing(call: str) -> str:
    """How this language gives its file to the group, as the pages say it."""
    pages = "".join(page.read_text(encoding="utf-8") for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("install*.md")))
    found: set[str] = set(re.findall(rf"`({re.escape(call)}\(path, .*?)`", pages))
    [statement] = found
    return statement


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """As syncd makes it, with a price of HQ's; no other may read it."""
    async with opened(tmp_path) as files:
        price = {"productId": 4711, "price": "12.50", "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"}
        await Inbox(files.store, FakeClock()).apply([read_update(PRICE, price)])
    (tmp_path / "store.db").chmod(0o600)
    return tmp_path / "store.db"


def run(*command: str | Path, folder: Path) -> str:
    """A till, which must end well and complain of nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def sold(database: Path) -> list[tuple[object, ...]]:
    """What waits for HQ, and the till's receipt of it."""
    return execute(
        database,
        "SELECT entity_type, entity_id, typeof(entity_id), priority, status, json_extract(payload, '$.total'), total "
        "FROM sync_outbox LEFT JOIN receipts ON receipts.id = entity_id ORDER BY sync_outbox.id",
    )


def receipt(number: int) -> tuple[object, ...]:
    return ("Receipt", number, "integer", 2, "pending", "12.50", "12.50")


def test_in_sql(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as till:
        for _ in range(2):
            till.executescript((EXAMPLES / "sale.sql").read_text(encoding="utf-8"))
    assert [row for row in sold(database) if row[0] == "Receipt"] == [receipt(1), receipt(2)]
    assert [row[1] for row in sold(database) if row[0] == "Inventory"] == ["SKU-0007"] * 2


def test_in_python(database: Path) -> None:
    for _ in range(2):
        assert run(sys.executable, EXAMPLES / "python/till.py", database, folder=database.parent) == "4711 costs 12.50\n"
    assert sold(database) == [receipt(1), receipt(2)]
    run(sys.executable, "-c", f"import os; path = '{database}'; {sharing('os.chmod')}", folder=database.parent)
    assert stat.S_IMODE(database.stat().st_mode) == 0o660


def test_in_csharp(database: Path) -> None:
    program = csrun()
    source = shutil.copytree(EXAMPLES / "csharp", database.parent / "till")
    with (source / "Program.cs").open("a") as file:
        file.write(f'\nvar path = "{database}"; {sharing("File.SetUnixFileMode")};')
    assert run(program, source, database, folder=database.parent).splitlines()[-1] == "4711 costs 12.50"
    assert sold(database) == [receipt(1)]
    assert stat.S_IMODE(database.stat().st_mode) == 0o660


def test_in_javascript(database: Path, better_sqlite3: Path) -> None:  # noqa: F811
    folder = shutil.copytree(EXAMPLES / "javascript", database.parent / "till")
    (folder / "node_modules").symlink_to(better_sqlite3 / "node_modules")
    for _ in range(2):
        assert run("node", "till.mjs", database, folder=folder) == "4711 costs 12.50\n"
    assert sold(database) == [receipt(1), receipt(2)]
    run("node", "-e", f"const fs = require('fs'); const path = '{database}'; {sharing('fs.chmodSync')}", folder=folder)
    assert stat.S_IMODE(database.stat().st_mode) == 0o660
