"""What each command says where the store cannot be used: the exit code that the daemon would have, and words; never a traceback."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import syncd.__main__
from syncd.store import by_hand
from tests.support.disks import read_only
from tests.support.flow import make_store
from tests.support.settings import clean_environment  # noqa: F401  (a fixture)
from tests.support.store import Store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("clean_environment")
NOBODY = "http://127.0.0.1:9/hubs/sync"
LOOKS = ("outbox list", "outbox show 1", "quarantine list", "drain --timeout 1s")
CHANGES = ("outbox retry 1", "outbox cancel 1", "outbox purge --yes", "quarantine drop --all --yes", "quarantine replay 1", "resync")


class Terminal:
    """Runs commands in this process: what they say and how they end."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, line: str) -> tuple[int, str]:
        self._monkeypatch.setattr(sys, "argv", ["syncd", *line.split(), "--config", str(self.store.config_path)])
        code = syncd.__main__.exit_code_of_run()
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out + said.err


@pytest.fixture
async def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A store with a failed row, a sent one and an entry in the quarantine; nobody waits long for a lock."""
    (tmp_path / "store").mkdir()
    store = await make_store(tmp_path, NOBODY, database__path=str(tmp_path / "store" / "store.db"))
    for status in ("failed", "sent"):
        store.query(
            "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, status) VALUES ('R', 1, 'Create', '{}', ?)", status
        )
    store.query("INSERT INTO sync_quarantine (method, reason, raw, received_at) VALUES ('ReceivePriceUpdate', 'why', '{}', '')")
    monkeypatch.setattr(by_hand, "BUSY_TIMEOUT_SECONDS", 0.05)
    return Terminal(store, monkeypatch, capsys)


@pytest.mark.parametrize("line", [*LOOKS, *CHANGES])
def test_no_database_yet_is_74_and_says_who_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    code, said = Terminal(Store(tmp_path, NOBODY), monkeypatch, capsys).run(line)
    assert (code, "there is no such database; `syncd run` makes it" in said) == (74, True), said
    assert not (tmp_path / "store.db").exists()


@pytest.mark.parametrize("line", [*LOOKS, *CHANGES])
async def test_a_damaged_file_is_74_with_its_name(terminal: Terminal, line: str) -> None:
    for path in terminal.store.database.path, terminal.store.database.state_path:
        path.write_bytes(b"no database, " * 1000)
    code, said = terminal.run(line)
    assert (code, "store.db: file is not a database" in said) == (74, True), said


@pytest.mark.parametrize("line", CHANGES)
async def test_a_locked_file_is_74_and_says_so_and_nothing_was_changed(terminal: Terminal, line: str) -> None:
    paths = terminal.store.database
    with closing(sqlite3.connect(paths.path, isolation_level=None)) as till, closing(sqlite3.connect(paths.state_path)) as daemon:
        till.execute("BEGIN IMMEDIATE")
        daemon.execute("BEGIN IMMEDIATE")
        code, said = terminal.run(line)
    assert (code, "the database is locked by another process" in said) == (74, True), said
    assert terminal.store.query("SELECT status FROM sync_outbox ORDER BY id") == [("failed",), ("sent",)]
    assert terminal.store.query("SELECT count(*) FROM sync_quarantine") == [(1,)]


@pytest.mark.parametrize("line", [*LOOKS, *CHANGES, "pause"])
async def test_a_read_only_disk_is_told(terminal: Terminal, line: str) -> None:
    with read_only(terminal.store.database.path.parent):
        code, said = terminal.run(line)
    assert code in (74, 77), said
    assert "read-only file system" in said.lower(), said


@pytest.mark.parametrize("line", [*LOOKS, *CHANGES])
async def test_a_newer_file_is_78(terminal: Terminal, line: str) -> None:
    for path, component in ((terminal.store.database.path, "store"), (terminal.store.database.path, "outbox")):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO sync_schema VALUES (?, 99, 'future', '')", (component,))
    code, said = terminal.run(line)
    assert (code, "install a syncd at least as new" in said) == (78, True), said


@pytest.mark.parametrize("line", [*LOOKS, *CHANGES, "pause", "resume"])
async def test_a_folder_that_this_user_may_not_write_is_77_with_the_way_out(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    folder = terminal.store.database.path.parent
    reachable = os.access

    def access(path: object, mode: int, **more: object) -> bool:
        return reachable(path, mode, **more) and not (path == folder and mode & os.W_OK)  # type: ignore[arg-type]

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 65_533)
    code, said = terminal.run(line)
    assert code == 77, said
    assert any(word in said for word in ("may not be written by this user", "sudo", "may not pause")), said


@pytest.mark.parametrize("line", ["check", "check --db"])
async def test_check_has_the_same_codes_and_db_looks_at_every_file(terminal: Terminal, line: str) -> None:
    code, said = terminal.run(line)
    assert code == 0, said
    assert ("quick_check found nothing wrong" in said) == (line == "check --db")
    terminal.store.database.path.write_bytes(b"no database, " * 1000)
    code, said = terminal.run(line)
    assert (code, "store.db: file is not a database" in said) == (74, True), said
