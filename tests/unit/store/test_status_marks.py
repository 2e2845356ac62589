from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.store.status_marks import StatusMarks
from syncd.store.unmarked import Unmarked
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import AT, a_journal, execute, opened, outcome, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.errors import StorageError
    from syncd.store.journal import Journal
    from syncd.store.opening import StoreFiles


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def a_marker(files: StoreFiles, journal: Journal, clock: FakeClock, heard: list[StorageError | None] | None = None) -> StatusMarks:
    return StatusMarks(files.outbox, journal, clock, (heard if heard is not None else []).append)


async def test_the_tills_file_follows_and_then_our_own_forgets(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as files:
        write_rows(path, *[("R", n, 3) for n in range(4)])
        journal = a_journal(files, clock)
        retry = outcome(path, 3, "pending", attempts=2, next_attempt_at="2026-11-23T10:00:30.000Z", last_error="busy")
        await journal._write([outcome(path, 1), outcome(path, 2, "failed", attempts=5, last_error="no"), retry])
        await a_marker(files, journal, clock).mark_all()
        assert execute(path, "SELECT id, status, attempts, next_attempt_at, last_error, sent_at FROM sync_outbox") == [
            (1, "sent", 0, None, None, AT),
            (2, "failed", 5, None, "no", None),
            (3, "pending", 2, "2026-11-23T10:00:30.000Z", "busy", None),
            (4, "pending", 0, None, None, None),
        ]
        assert await journal.unmarked() == 0


async def test_killed_between_the_mark_and_the_forgetting_it_marks_the_same_again(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3))
        journal = a_journal(files, clock)
        await journal._write([outcome(path, 1), outcome(path, 2)])
        unmarked = Unmarked(journal.database, journal.again)
        await unmarked.begin()
        await a_marker(files, journal, clock)._mark(await unmarked.take(0, 10))
    async with opened(tmp_path, clock) as files:
        journal = a_journal(files, clock)
        assert await journal.unmarked() == 2
        await a_marker(files, journal, clock).mark_all()
        assert execute(path, "SELECT status, sent_at FROM sync_outbox") == [("sent", AT)] * 2
        assert await journal.unmarked() == 0


async def test_an_entry_that_somebody_took_back_marks_nothing(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3))
        journal = a_journal(files, clock)
        await journal._write([outcome(path, 1, "failed"), outcome(path, 2)])
        unmarked = Unmarked(journal.database, journal.again)
        await unmarked.begin()
        chunk = await unmarked.take(0, 10)
        execute(tmp_path / "store.db.syncd", "DELETE FROM outcome WHERE id = 1")
        await a_marker(files, journal, clock)._mark(chunk)
        assert execute(path, "SELECT status FROM sync_outbox") == [("pending",), ("sent",)]


async def test_a_cancelled_row_stays_cancelled_and_another_rows_outcome_marks_nothing(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3))
        journal = a_journal(files, clock)
        await journal._write([outcome(path, 1), outcome(path, 2, correlation_id="of a row that is no more")])
        execute(path, "UPDATE sync_outbox SET status = 'cancelled' WHERE id = 1")
        await a_marker(files, journal, clock).mark_all()
        assert execute(path, "SELECT status FROM sync_outbox") == [("cancelled",), ("pending",)]
        assert await journal.unmarked() == 0, "what fits no row is not kept for ever"


async def test_a_locked_file_is_reported_and_marked_once_it_is_free(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    heard: list[StorageError | None] = []
    async with opened(tmp_path, clock) as files:
        write_rows(path, ("R", 1, 3))
        journal = a_journal(files, clock)
        await files.outbox.database.run(lambda c: c.execute("PRAGMA busy_timeout = 1"))
        with closing(sqlite3.connect(path, isolation_level=None)) as till:
            till.execute("BEGIN IMMEDIATE")
            marker = asyncio.create_task(a_marker(files, journal, clock, heard).run())
            await journal._write([outcome(path, 1)])
            journal.recorded.set()
            await until(lambda: len(heard) >= 2, "the trouble is told")
            assert "locked" in str(heard[0])
            till.execute("COMMIT")
        await until(lambda: execute(path, "SELECT status FROM sync_outbox") == [("sent",)], "it is marked")
        await until(lambda: heard[-1] is None, "the trouble is over")
        marker.cancel()
        await asyncio.gather(marker, return_exceptions=True)


async def test_a_great_many_marks_go_in_by_chunks_that_leave_the_till_its_room(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as files:
        write_rows(path, *[("R", n, 3) for n in range(3000)])
        journal = a_journal(files, clock)
        rows = execute(path, "SELECT id, correlation_id FROM sync_outbox")
        first = outcome(path, 1)
        await journal._write([type(first)(row_id, key, "sent", 0, None, None, AT) for row_id, key in rows])
        files.outbox.others_wrote()
        await a_marker(files, journal, clock).mark_all()
        assert execute(path, "SELECT count(*) FROM sync_outbox WHERE status = 'sent'") == [(3000,)]
        assert clock.seconds > 2, "it took its time"
        assert await journal.unmarked() == 0
