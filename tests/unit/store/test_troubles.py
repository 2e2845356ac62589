from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING

import structlog
from structlog.testing import capture_logs

from syncd.errors import StatementError, StorageBusy, StorageDamaged, StorageError
from syncd.store import lock_holders as module
from syncd.store.lock_holders import READ_LOCKS, WRITE_LOCK, LockHolders
from syncd.store.status import DatabaseStatus
from syncd.store.troubles import Troubles
from syncd.store.write_budget import Cost
from tests.support.clock import BEGINNING, HandClock
from tests.support.store import until
from tests.support.storefiles import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import pytest

    from syncd.store.opening import StoreFiles

TILL = """
import sqlite3, sys
till = sqlite3.connect(sys.argv[1], isolation_level=None)
till.execute(sys.argv[2])
till.execute("SELECT count(*) FROM sync_outbox").fetchone()
print(flush=True)
sys.stdin.readline()
till.execute("ROLLBACK")
"""


@contextmanager
def a_till_in(path: Path, begin: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that is in a transaction until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", TILL, str(path), begin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def a_till_may_write(path: Path) -> bool:
    """Whether another process gets the write lock now."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0 or b"database is locked" in done.stderr
    return done.returncode == 0


async def write(files: StoreFiles) -> None:
    await files.outbox.write(lambda c: c.execute("UPDATE sync_outbox_generation SET generation = 1"), rows=1, cost=Cost(), urgent=True)


@asynccontextmanager
async def watched(files: StoreFiles, clock: HandClock) -> AsyncIterator[Troubles]:
    troubles = Troubles(files.each_once, clock, structlog.get_logger(), DatabaseStatus())
    task = asyncio.create_task(troubles.run())
    try:
        yield troubles
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lock_is_nothing_in_its_first_second_then_it_is_told_with_its_holder_and_the_first_write_ends_it(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as files, watched(files, clock) as troubles:
        with a_till_in(tmp_path / "store.db", "BEGIN IMMEDIATE") as till:
            ours = asyncio.create_task(write(files))
            await until(lambda: files.outbox.database.file.lock_wanted_at is not None, "our write waits")
            await clock.advance(0.9)
            assert not troubles
            await clock.advance(4.1)
            held = await until(lambda: troubles.status.write_lock_file and troubles.status, "it is told")
            assert (held.write_lock_file, held.write_lock_held_seconds) == (str(tmp_path / "store.db"), 5.0)
            assert held.write_lock_holder.endswith(f"(pid {till.pid})")
            assert troubles.error is None, "that is no trouble of the database"
        await ours
        await clock.advance(0.5)
        await until(lambda: not troubles, "it is over")


async def test_a_lock_that_comes_free_while_nobody_of_ours_waits_is_noticed(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as files, watched(files, clock) as troubles:
        await files.outbox.database.run(lambda c: c.execute("PRAGMA busy_timeout = 1"))
        with a_till_in(tmp_path / "store.db", "BEGIN IMMEDIATE"):
            result = await asyncio.gather(write(files), return_exceptions=True)
            assert isinstance(result[0], StorageBusy)
            troubles.part("marks")(result[0])
            await clock.advance(7)
            await until(lambda: troubles.status.write_lock_file, "it is told")
        await clock.advance(0.5)
        await until(lambda: not troubles, "it is over")


async def test_the_first_write_of_anybody_ends_the_trouble_that_others_had_with_the_disk_and_no_other_trouble(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        troubles = Troubles(files.each_once, HandClock(), structlog.get_logger(), DatabaseStatus())
        path = files.outbox.database.path
        full, refused = StorageError("full", path=path), StatementError("no such index", path=path)
        troubles.part("marks")(full)
        troubles.part("retention")(refused)
        troubles.part("journal")(StorageDamaged("malformed", path=files.journal.path))
        assert troubles.error is full
        await write(files)
        assert troubles.error is refused, "it is refused again"
        troubles.part("retention")(None)
        await files.journal.write(lambda _: None)
        assert str(troubles.error) == "malformed"
        troubles.part("journal")(None)
        assert not troubles


async def test_who_reads_and_who_writes_is_told_apart_and_we_are_neither(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        holders = files.reader.file.lock_holders.of
        await files.reader.run(lambda c: c.execute("BEGIN IMMEDIATE"))
        assert holders(WRITE_LOCK) == []
        with a_till_in(tmp_path / "store.db", "BEGIN") as reader:
            assert [name.partition(" (")[2] for name in holders(READ_LOCKS)] == [f"pid {reader.pid})"]
            assert holders(WRITE_LOCK) == []
        await files.reader.run(lambda c: c.execute("ROLLBACK"))
        assert holders(READ_LOCKS) == []


async def test_asking_who_has_a_lock_drops_none_of_ours(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        await files.outbox.database.run(lambda c: c.execute("BEGIN IMMEDIATE"))
        assert files.reader.file.lock_holders.of(WRITE_LOCK) == []
        assert not a_till_may_write(tmp_path / "store.db")
        await files.outbox.database.run(lambda c: c.execute("ROLLBACK"))
        assert a_till_may_write(tmp_path / "store.db")


def test_where_the_kernel_tells_nothing_nobody_is_named_and_a_hidden_process_has_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    assert LockHolders(path.with_name("store.db-shm")).of(WRITE_LOCK) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("CREATE TABLE sync_outbox (n)")
        with a_till_in(path, "BEGIN IMMEDIATE") as till:
            monkeypatch.setattr(module, "PROC", tmp_path)
            found = LockHolders(path.with_name("store.db-shm"))
            assert found.of(WRITE_LOCK) == [f"pid {till.pid}"]
    found.close()


async def test_a_log_that_has_grown_is_logged_once_and_once_when_it_is_small_again(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as files:
        with capture_logs() as logs:
            async with watched(files, clock):
                for since in (BEGINNING, None):
                    files.reader.file.wal_large_since = since
                    await clock.advance(1)
                    await clock.advance(1)
    assert [line["event"] for line in logs] == ["wal_large", "wal_small_again"]
