"""`syncd check` for a till's user. Root, whom no mode stops, may run these: what modes keep out is tried where a PC is booted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.commands.till_check import check_till
from tests.support.settings import clean_environment  # noqa: F401  (a fixture)
from tests.support.storefiles import opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("clean_environment")


def configured(folder: Path, **hub: str) -> Path:
    """Much is wrong with the rest, which is no affair of a till's."""
    lines = [f'{key} = "{value}"' for key, value in hub.items()]
    (folder / "syncd.toml").write_text("\n".join(['[database]\npath = "' + str(folder / "store.db") + '"', "[hub]", *lines, ""]))
    return folder / "syncd.toml"


def said(file: Path) -> list[str]:
    return [f"{'WARNING' if finding.warning else int(finding.code)} {finding.text}" for finding in check_till(file, "syncd")]


def test_a_database_that_is_not_there_is_nothing_wrong_and_the_mode_is_told(tmp_path: Path) -> None:
    assert said(configured(tmp_path))[-1].startswith(f"0 database: {tmp_path}/store.db is not there yet")
    assert said(configured(tmp_path))[-1].endswith(f"chmod 660 {tmp_path}/store.db")


def test_a_database_that_the_till_made_must_be_the_groups_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as till:
        till.execute("CREATE TABLE receipts (id)")
    file = configured(tmp_path)
    assert said(file)[2].startswith(f"77 database: {tmp_path}/store.db may not be read and written by syncd (owner ")
    (tmp_path / "store.db").chmod(0o660)
    assert said(file)[2] == f"0 database: {tmp_path}/store.db can be read and written"
    assert said(file)[3].startswith("0 outbox: no table sync_outbox yet")


def test_a_log_that_the_till_made_must_be_the_groups_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as till:
        till.execute("PRAGMA journal_mode = WAL")
        till.execute("CREATE TABLE receipts (id)")
        (tmp_path / "store.db").chmod(0o660)
        assert f"{tmp_path}/store.db-wal may not be read and written by syncd" in said(configured(tmp_path))[2]
        (tmp_path / "store.db-wal").chmod(0o660)
        assert f"{tmp_path}/store.db-shm may not be read and written by syncd" in said(configured(tmp_path))[2]


async def test_a_database_that_syncd_made_is_ready(tmp_path: Path) -> None:
    async with opened(tmp_path):
        assert said(configured(tmp_path))[3] == "0 outbox: the table sync_outbox is there"


async def test_the_outbox_is_looked_for_by_the_prefix_that_is_configured_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    file = configured(tmp_path)
    for prefix, line in (
        ("syncd_", "0 outbox: the table syncd_outbox is there"), ("", "0 outbox: no table sync_outbox yet; `syncd run` makes it"),
        ("x; --", "78 configuration: database.table_prefix must be lower-case letters, digits and underscores"),
    ):  # fmt: skip
        file.write_text(f'[database]\npath = "{tmp_path}/store.db"\ntable_prefix = "{prefix}"\n')
        async with opened(tmp_path, table_prefix="syncd_"):
            assert said(file)[-1].startswith(line)


def test_a_token_that_the_till_can_read_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t")
    [warning] = [line for line in said(configured(tmp_path, access_token_file=str(tmp_path / "token"))) if line.startswith("WARNING")]
    assert f"chown syncd {tmp_path}/token; chmod 400 {tmp_path}/token" in warning
    assert "s3cr3t" not in warning


def test_no_configuration_sends_the_till_to_its_group(tmp_path: Path) -> None:
    assert "put " in said(tmp_path / "gone.toml")[-1]
    assert "into the group syncd" in said(tmp_path / "gone.toml")[-1]
