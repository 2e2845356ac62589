from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from syncd.store.checkpoint import MIN_LOG_BYTES, checkpoint, keep_checkpointed
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import execute, opened, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.errors import StorageError


def copied(path: Path) -> bytes:
    """The database file itself, without its log."""
    return path.read_bytes()


async def test_a_log_that_has_grown_is_copied_into_the_file_and_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    heard: list[StorageError | None] = []
    async with opened(tmp_path) as files:
        with closing(sqlite3.connect(path)) as till:  # open all the while, as a till is: closing would checkpoint
            till.execute("PRAGMA wal_autocheckpoint = 0")
            task = asyncio.create_task(keep_checkpointed(files.maintenance[0], FakeClock(), heard.append))
            write_rows(path, *[("R", f"marker-{n}" * 20, 3) for n in range(500)])
            assert (tmp_path / "store.db-wal").stat().st_size > MIN_LOG_BYTES
            await until(lambda: b"marker-499" in copied(path), "it is in the file")
            size = (tmp_path / "store.db-wal").stat().st_size
            write_rows(path, ("R", "the log is used again from its start", 3))
            assert (tmp_path / "store.db-wal").stat().st_size == size
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert set(heard) == {None}


async def test_it_takes_no_write_lock_and_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3))
        with closing(sqlite3.connect(path, isolation_level=None)) as till:
            till.execute("BEGIN IMMEDIATE")
            await asyncio.wait_for(checkpoint(files.maintenance[0]), 1)
            till.execute("ROLLBACK")
            till.execute("BEGIN")
            till.execute("SELECT * FROM sync_outbox").fetchall()
            write_rows(path, ("R", 2, 3))
            await asyncio.wait_for(checkpoint(files.maintenance[0]), 1)
            till.execute("COMMIT")
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_log_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    clock = FakeClock()
    heard: list[StorageError | None] = []
    async with opened(tmp_path) as files:
        database = files.maintenance[0]
        database.path = tmp_path / "elsewhere.db"
        task = asyncio.create_task(keep_checkpointed(database, clock, heard.append))
        await until(lambda: clock.seconds > 5, "it looks again and again")
        assert not task.done()
        assert heard == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
