from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.errors import PermissionDeniedError, StorageBusy, StorageError
from syncd.store import database as module
from syncd.store.database import Database
from syncd.store.permissions import require_writable
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A file with one table."""
    database = await Database.open(tmp_path / "a.db")
    await database.run(lambda c: c.execute("CREATE TABLE t (n)"))
    yield database
    await database.close()


async def test_a_write_is_one_transaction_and_says_how_long_it_held_the_lock(database: Database) -> None:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO t VALUES (1)")
        assert connection.in_transaction
        assert execute(database.path, "SELECT * FROM t") == [], "nobody sees half of it"
        return "done"

    held = await database.write(work)
    assert held.result == "done"
    assert 0 < held.seconds < 5
    assert execute(database.path, "SELECT n FROM t") == [(1,)]


async def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await database.write(work)
    await database.write(lambda c: c.execute("INSERT INTO t VALUES (2)"))
    assert execute(database.path, "SELECT n FROM t") == [(2,)]


async def test_no_search_for_garbage_begins_while_the_lock_is_held_whoever_else_writes(tmp_path: Path, database: Database) -> None:
    other = await Database.open(tmp_path / "b.db")
    both, one_is_done = threading.Barrier(2), threading.Event()
    found: list[str] = []

    def look(phase: str, _: dict[str, int]) -> None:
        found.append(phase)

    def first(_: sqlite3.Connection) -> None:
        both.wait(10)

    def second(_: sqlite3.Connection) -> int:
        both.wait(10)
        assert one_is_done.wait(10)
        kept = [[number] for number in range(100_000)]
        return len(kept) * len(found)

    async def write_first() -> None:
        await database.write(first)
        gc.callbacks.append(look)
        one_is_done.set()

    try:
        held, _ = await asyncio.gather(other.write(second), write_first())
        assert held.result == 0
        kept = [[number] for number in range(100_000)]
        assert len(kept) * len(found) > 0, "now they go on"
        with pytest.raises(ValueError, match="x"):
            await database.write(lambda _: int("x"))
        assert gc.isenabled()
    finally:
        gc.callbacks.remove(look)
        await other.close()


async def test_a_lock_that_does_not_come_free_is_said_to_be_busy_and_names_the_file(database: Database) -> None:
    await database.run(lambda c: c.execute("PRAGMA busy_timeout = 50"))
    with closing(sqlite3.connect(database.path, isolation_level=None)) as till:
        till.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy, match=r"a\.db: the database is locked by another process"):
            await database.write(lambda c: c.execute("INSERT INTO t VALUES (1)"))
        till.execute("COMMIT")
    await database.write(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    assert module.BUSY_TIMEOUT_SECONDS == 5


async def test_the_loop_turns_while_a_statement_waits_for_the_lock(database: Database) -> None:
    with closing(sqlite3.connect(database.path, isolation_level=None)) as till:
        till.execute("BEGIN IMMEDIATE")
        write = asyncio.ensure_future(database.write(lambda c: c.execute("INSERT INTO t VALUES (1)")))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not write.done()
        till.execute("COMMIT")
    await write


async def test_commits_in_the_tills_file_never_checkpoint_and_do_not_sync_inside_the_lock(database: Database) -> None:
    assert await database.run(lambda c: c.execute("PRAGMA wal_autocheckpoint").fetchone()) == (0,)
    assert await database.run(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (1,)
    assert await database.run(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)


async def test_our_own_file_syncs_every_commit(tmp_path: Path) -> None:
    own = await Database.open(tmp_path / "own.db", synchronous="FULL")
    assert await own.run(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
    await own.close()


async def test_syncing_works_whether_or_not_there_is_a_log_and_drops_no_lock(database: Database) -> None:
    await database.write(lambda c: c.execute("INSERT INTO t VALUES (1)"))
    await database.run(lambda c: c.execute("BEGIN IMMEDIATE"))
    await database.sync()
    with closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as till, pytest.raises(sqlite3.OperationalError):
        till.execute("BEGIN IMMEDIATE")
    await database.run(lambda c: c.execute("COMMIT"))
    database.path = database.path.with_name("no-such.db")
    await database.sync()


async def test_a_file_that_is_no_database_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear Sir or Madam, " * 100)
    with pytest.raises(StorageError, match=r"letter\.txt: file is not a database"):
        await Database.open(path)


def test_what_cannot_be_written_is_said_before_it_is_tried(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder; the path of a database file is needed"):
        require_writable(tmp_path)
    with pytest.raises(StorageError, match=r"no such folder, so s\.db cannot be made there"):
        require_writable(tmp_path / "nowhere" / "s.db")


def test_the_missing_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    path.touch()
    monkeypatch.setattr(os, "access", lambda what, _: what != path)  # whoever runs this may be root
    with pytest.raises(PermissionDeniedError, match=r"s\.db may not be read and written by this user") as caught:
        require_writable(path)
    assert caught.value.exit_code == 77
    monkeypatch.setattr(os, "access", lambda what, _: what != tmp_path)
    with pytest.raises(PermissionDeniedError, match="needs its -wal and -shm files beside"):
        require_writable(path)
