from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from syncd.store.block import Block
from syncd.store.journal import Journal, Outcome
from syncd.store.outbox import MAX_ID, MIN_ID
from syncd.store.unmarked import Chunk, Unmarked
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import AT, a_journal, a_reader, execute, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncd.errors import StorageError


def word(row_id: int, status: str = "sent", correlation_id: str = "c", decided_at: str = AT) -> Outcome:
    return Outcome(row_id, f"{correlation_id}{row_id}", status, 0, None, None, decided_at)


def put_aside(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.glob("store.db.syncd.damaged-*") if not file.name.endswith(("-wal", "-shm"))]


async def taken(journal: Journal, rows: int = 10) -> Unmarked:
    """All entries are taken, as for marks."""
    unmarked = Unmarked(journal.database, journal.again)
    await unmarked.begin()
    await unmarked.take(MIN_ID, rows)
    return unmarked


async def forgotten(journal: Journal) -> None:
    """All entries are in the till's file, as far as the journal knows."""
    await (await taken(journal)).forget(MAX_ID)


@asynccontextmanager
async def running(journal: Journal) -> AsyncIterator[Journal]:
    """The journal's loop beside the test."""
    task = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_recorded_outcome_is_on_the_disk_when_record_returns(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.record([word(1), word(2, "failed")])
        assert execute(tmp_path / "store.db.syncd", "SELECT id, status FROM outcome") == [(1, "sent"), (2, "failed")]
        assert execute(tmp_path / "store.db", "SELECT count(*) FROM sync_outbox") == [(0,)], "the till's file is not touched"
        assert journal.sent_total == 1
        assert journal.recorded.is_set()


async def test_all_that_has_come_meanwhile_is_one_transaction(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.record([word(1)])
        begins = 0

        def count(statement: str) -> None:
            nonlocal begins
            begins += statement.startswith("BEGIN")

        def trace(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(count)

        await files.journal.run(trace)
        await asyncio.gather(*(journal.record([word(n)]) for n in range(2, 402)))
        assert journal.sent_total == 401
        assert begins <= 3


async def test_the_total_of_sent_rows_survives_a_restart_and_the_forgetting(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.record([word(n) for n in range(10)])
        await forgotten(journal)
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await until(lambda: journal.sent_total == 10, "the total is read")
        assert not journal.recorded.is_set(), "there is nothing to mark"


async def test_entries_of_a_life_before_are_announced_for_marking(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.record([word(1)])
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await asyncio.wait_for(journal.recorded.wait(), 5)


async def test_while_the_disk_refuses_nothing_counts_and_then_it_goes_on_by_itself(tmp_path: Path) -> None:
    heard: list[StorageError | None] = []
    clock = FakeClock()
    async with opened(tmp_path) as files:
        async with running(a_journal(files, clock, heard.append)) as journal:
            await files.journal.run(lambda c: c.execute("PRAGMA busy_timeout = 1"))
            with closing(sqlite3.connect(files.journal.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = asyncio.ensure_future(journal.record([word(1)]))
                await until(lambda: len(heard) >= 3, "the trouble is told")
                assert not waiting.done()
                assert journal.sent_total == 0
                other.execute("COMMIT")
            await asyncio.wait_for(waiting, 5)
        assert "locked" in str(heard[0])
        assert heard[-1] is None
        assert heard.count(None) == 1
        assert clock.seconds >= 3, "it asked again every second"
        assert journal.sent_total == 1


async def test_whoever_gives_up_waiting_does_not_harm_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        first, second = asyncio.ensure_future(journal.record([word(1)])), asyncio.ensure_future(journal.record([word(2)]))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert await journal.unmarked() == 2, "what HQ said is kept though nobody waits for it"


async def test_forgetting_leaves_what_was_overwritten_meanwhile(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        refused = word(1, "pending", decided_at="2026-11-23T10:00:00.000Z")
        await journal.record([refused, word(2), word(3)])
        unmarked = await taken(journal)
        await journal.record([word(1, "sent", decided_at="2026-11-23T10:00:30.000Z"), word(3, correlation_id="restored-")])
        await unmarked.forget(3)
        left = execute(tmp_path / "store.db.syncd", "SELECT id, status, correlation_id FROM outcome ORDER BY id")
        assert left == [(1, "sent", "c1"), (3, "sent", "restored-3")]


async def test_forgetting_leaves_what_was_recorded_in_between_and_takes_what_lay_behind(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.record([word(1), word(5), word(6)])
        unmarked = await taken(journal, 2)
        await journal.record([word(3), word(7)])
        assert await unmarked.take(5, 10) == Chunk(5, 7, 2)
        await unmarked.forget(7)
        assert execute(tmp_path / "store.db.syncd", "SELECT id FROM outcome") == [(3,)], "it was taken by nobody yet"
        await forgotten(journal)
        assert await journal.unmarked() == 0


@pytest.mark.parametrize(
    "ids", [[1, 2, 3], [1, 3, 4], [-9 * 10**18, 9 * 10**18], [9 * 10**18 - 1, 9 * 10**18], [-9 * 10**18, 1 - 9 * 10**18], [-1, 0, 1]]
)
async def test_a_block_is_recorded_as_its_rows_would_be(tmp_path: Path, ids: list[int]) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        path = tmp_path / "store.db"
        sql = "INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload) VALUES (?, 'R', 1, 'Create', '{}')"
        for row_id in ids:
            execute(path, sql, row_id)
        block = (await a_reader(files, FakeClock()).page(3, MIN_ID, 10, lambda _: MIN_ID)).rows
        assert isinstance(block, Block)
        await journal.record([word(ids[-1] + 1)])
        unmarked = await taken(journal)
        await journal.record_accepted(block)
        await unmarked.forget(ids[-1] + 1)
        kept = execute(tmp_path / "store.db.syncd", "SELECT id, correlation_id, status, attempts FROM outcome ORDER BY id")
        assert kept == [(row.id, row.correlation_id, "sent", 0) for row in block]
        assert [row.id for row in block] == ids


async def test_forgetting_drops_the_moment_a_row_was_first_seen_once_that_row_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.first_saw([(1, "c1", AT), (2, "c2", AT), (3, "another", AT)])
        await journal.record([word(1), word(2, "pending"), word(3)])
        await forgotten(journal)
        left = execute(tmp_path / "store.db.syncd", "SELECT id FROM first_seen ORDER BY id")
        assert left == [(2,), (3,)], "one waits for its retry, one is another row's"


async def test_entries_come_in_pages_by_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await journal.record([word(n) for n in (5, 3, 9, 1)])
        unmarked = Unmarked(journal.database, journal.again)
        await unmarked.begin()
        assert await unmarked.take(0, 3) == Chunk(0, 5, 3)
        assert await unmarked.take(5, 3) == Chunk(5, 9, 1)
        assert await unmarked.take(9, 3) == Chunk(9, 9, 0)
        assert await journal.unmarked() == 4


async def test_a_hubs_limit_is_remembered_by_its_url(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        journal = a_journal(files, FakeClock())
        assert await journal.message_limit("https://a") is None
        await journal.learned_limit("https://a", 20_000, 32_769)
        await journal.learned_limit("https://a", 30_000, None)
        known = await journal.message_limit("https://a")
        assert known is not None
        assert (known.passed, known.too_large, known.learned_at) == (30_000, None, AT)
        assert await journal.message_limit("https://b") is None


async def test_a_correlation_id_that_is_no_utf8_can_be_recorded_read_and_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        odd = Outcome(1, b"\x80\xff".decode("utf-8", "surrogateescape"), "failed", 0, None, "no text", AT)
        await asyncio.wait_for(journal.record([odd, word(2)]), 5)
        assert execute(tmp_path / "store.db.syncd", "SELECT hex(correlation_id), typeof(correlation_id) FROM outcome WHERE id = 1") == [
            ("80FF", "text")
        ]
        await forgotten(journal)
        assert await journal.unmarked() == 0


async def test_half_a_surrogate_pair_in_hqs_reason_is_written_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, running(a_journal(files, FakeClock())) as journal:
        await asyncio.wait_for(journal.record([Outcome(1, "c1", "failed", 1, None, "no \ud83d", AT)]), 5)
        assert execute(tmp_path / "store.db.syncd", "SELECT last_error FROM outcome") == [("no \\ud83d",)]


@pytest.mark.parametrize("garbage", [b"not a database at all, " * 500, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_journal_that_cannot_be_read_is_put_aside_and_a_new_one_begins(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "store.db.syncd").write_bytes(garbage)
    async with opened(tmp_path) as files:
        assert await a_journal(files, FakeClock()).unmarked() == 0
    assert put_aside(tmp_path) == [garbage]
