from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.store.checkpoint import INTERVAL_SECONDS, LARGE_BYTES, MIN_LOG_BYTES, Checkpoints, checkpoint, truncate
from tests.support.clock import BEGINNING, FakeClock, HandClock, settle
from tests.support.store import until
from tests.support.storefiles import execute, opened, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable
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
            checkpoints = Checkpoints(files.maintenance[0], FakeClock(), files.outbox.look, heard.append)
            task = asyncio.create_task(checkpoints.run())
            write_rows(path, *[("R", f"marker-{n}" * 20, 3) for n in range(500)])
            assert (tmp_path / "store.db-wal").stat().st_size > MIN_LOG_BYTES
            await until(lambda: b"marker-499" in copied(path), "it is in the file")
            await until(lambda: checkpoints._log.in_use_bytes and checkpoints._log.copied, "the copying has come to its end")
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
        database.file.path = tmp_path / "elsewhere.db"
        task = asyncio.create_task(Checkpoints(database, clock, files.outbox.look, heard.append).run())
        await until(lambda: clock.seconds > 5, "it looks again and again")
        assert not task.done()
        assert set(heard) == {None}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def write_bytes(path: Path, megabytes: int) -> None:
    """As many commits of the till's, of one megabyte each; it stays connected, so that no close cleans up."""
    with closing(sqlite3.connect(path, isolation_level=None)) as till:
        till.execute("CREATE TABLE IF NOT EXISTS bulk (content)")
        for _ in range(megabytes):
            till.execute("INSERT INTO bulk VALUES (randomblob(1000000))")


async def test_a_reader_that_stays_is_told_with_the_size_and_a_large_log_is_cut_once_it_has_gone_and_the_shop_is_closed(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "store.db", HandClock()
    async with opened(tmp_path, clock) as files:
        task = asyncio.create_task(Checkpoints(files.maintenance[0], clock, files.outbox.look, lambda _: None).run())
        await settle()
        file = files.reader.file

        async def look_for(seconds: float, what: Callable[[], object]) -> None:
            """Time passes in steps in which the loop looks once, until that is so."""
            for _ in range(int(seconds / INTERVAL_SECONDS)):
                await clock.advance(INTERVAL_SECONDS)
                await files.maintenance[0].run(lambda _: None)
                await files.outbox.look()
                await settle()
            assert what()

        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sync_outbox").fetchone()
            write_bytes(path, 40)
            await look_for(20, lambda: file.wal_bytes > LARGE_BYTES)
            assert file.wal_large_since is None, "a huge transaction is no trouble"
            await look_for(20, lambda: file.wal_large_since)
            assert file.wal_large_since == BEGINNING + timedelta(seconds=INTERVAL_SECONDS)
            assert file.wal_bytes > LARGE_BYTES
            reader.execute("COMMIT")
        await look_for(20, lambda: file.wal_large_since is None)
        assert file.wal_path.stat().st_size == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_while_the_till_writes_no_log_is_cut(tmp_path: Path) -> None:
    path, clock = tmp_path / "store.db", HandClock()
    async with opened(tmp_path, clock) as files:
        execute(path, "CREATE TABLE bulk AS SELECT randomblob(12000000)")
        file = files.reader.file
        checkpoints = Checkpoints(files.maintenance[0], clock, files.outbox.look, lambda _: None)
        task = asyncio.create_task(checkpoints.run())
        await settle()
        for _ in range(40):
            write_rows(path, ("R", 1, 3))
            await clock.advance(INTERVAL_SECONDS)
            await until(lambda: file.wal_bytes, "it was looked at")
        assert file.wal_path.stat().st_size > 10_000_000
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_truncating_waits_for_no_reader_and_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        write_bytes(path, 1)
        for begin in ("BEGIN", "BEGIN IMMEDIATE"):
            with closing(sqlite3.connect(path, isolation_level=None)) as till:
                till.execute(begin)
                till.execute("SELECT * FROM sync_outbox").fetchall()
                began = time.perf_counter()
                await truncate(files.maintenance[0])
                assert time.perf_counter() - began < 2, "the busy timeout is five"
                assert files.reader.file.wal_path.stat().st_size > 0
        await truncate(files.maintenance[0])
        assert files.reader.file.wal_path.stat().st_size == 0
        assert await files.maintenance[0].run(lambda c: c.execute("PRAGMA busy_timeout").fetchone()) == (5000,)
