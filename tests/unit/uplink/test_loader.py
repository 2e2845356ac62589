"""What waits on disk, counted and loaded while HQ's outcomes come in; on real files."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from syncd.clock import iso_ms
from syncd.config.settings import SyncSettings
from syncd.status.report import OutboxStatus
from syncd.store.admin import OutboxAdmin
from syncd.uplink.breaker import Breaker
from syncd.uplink.loader import Loader
from syncd.uplink.queue import SendQueue
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import a_journal, a_reader, execute, opened, outcome, paths, write_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from syncd.store.journal import Journal
    from syncd.store.opening import StoreFiles
    from syncd.store.outbox import OutboxRow

RETRY_SECONDS = 30.0


class Rig:
    """A loader as the uplink wires it, its clock in the test's hands."""

    def __init__(self, folder: Path, files: StoreFiles) -> None:
        self.path = folder / "store.db"
        self.clock = FakeClock()
        self.files = files
        self.queue = SendQueue(max_wait_seconds=3600, page_rows=50)
        self.journal: Journal = a_journal(files, self.clock)
        log = structlog.get_logger()
        self.loader = Loader(
            queue=self.queue, breaker=Breaker(self.clock, log), reader=a_reader(files, self.clock), journal=self.journal,
            sync=SyncSettings(), clock=self.clock, log=log, status=OutboxStatus(), busy=lambda: False, wake=asyncio.Event(),
            on_trouble=lambda _: None, on_change=lambda: None, on_generation=lambda: None,
        )  # fmt: skip

    def take(self, limit: int = 50) -> list[OutboxRow]:
        """The next batch."""
        return list(self.queue.take(limit, lambda _: True, self.clock.monotonic(), lambda _: 0.0))

    async def taken(self, limit: int = 50) -> list[OutboxRow]:
        """The next batch, once it is loaded."""
        rows: list[OutboxRow] = []

        def some() -> bool:
            self.loader.may_load.set()
            rows.extend(self.take(limit))
            return bool(rows)

        await until(some, "rows are loaded")
        return rows

    async def refuse(self, rows: list[OutboxRow]) -> None:
        """As the uplink does: durable first."""
        due = iso_ms(self.clock.now() + timedelta(seconds=RETRY_SECONDS))
        urgencies = [self.queue.urgency(row) for row in rows]
        words = {"attempts": 1, "next_attempt_at": due}
        await self.journal.record(
            [outcome(self.path, row.id, "pending", row=row, urgency=urgency, **words) for row, urgency in zip(rows, urgencies, strict=True)]
        )
        for row, urgency in zip(rows, urgencies, strict=True):
            self.loader.refused(row, self.clock.monotonic() + RETRY_SECONDS, urgency)

    async def accept(self, rows: list[OutboxRow]) -> None:
        """As the uplink does: durable first."""
        await self.journal.record([outcome(self.path, row.id) for row in rows])
        for row in rows:
            self.loader.decided(row, failed=False)
            self.queue.done(row)


@asynccontextmanager
async def rig(folder: Path, rows: list[tuple[str, object, int]]) -> AsyncIterator[Rig]:
    async with opened(folder) as files:
        write_rows(folder / "store.db", *rows)
        rig = Rig(folder, files)
        tasks = [asyncio.create_task(loop) for loop in (rig.journal.run(), rig.loader.keep_loaded())]
        try:
            await rig.loader.changed()
            yield rig
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_refused_entities_leave_nothing_in_memory_and_come_back_whole_when_they_are_due(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", n % 100, 3) for n in range(300)]) as store:
        refused: list[int] = []
        while len(refused) < 100:
            batch = await store.taken()
            first = {row.entity: row for row in reversed(batch)}
            await store.refuse(list(first.values()))
            for row in batch:
                if row is not first[row.entity]:
                    store.queue.requeue(row)
            refused += [row.id for row in first.values()]
        store.loader.may_load.set()
        await until(lambda: store.queue.idle, "all is read, and nothing is kept", 10)
        assert sorted(refused) == list(range(1, 101))
        assert not store.queue._entities.states
        assert store.queue.oldest_in_memory() is None
        assert store.loader.oldest_waiting() is not None
        assert 0 < (store.queue.seconds_to_next_retry(store.clock.monotonic()) or 0) <= RETRY_SECONDS
        store.clock.seconds += RETRY_SECONDS + 1
        sent: list[int] = []
        while len(sent) < 300:
            batch = await store.taken()
            for row in batch:
                earlier = range(row.id - 100, 0, -100)
                assert all(n in sent for n in earlier), "a row went before an earlier one of its entity"
                sent.append(row.id)
            await store.accept(batch)
        assert sum(store.loader.status.pending.values()) == 0
        assert execute(tmp_path / "store.db.syncd", "SELECT count(*) FROM retry") == [(0,)]
        assert store.loader.oldest_waiting() is None


async def test_a_row_that_is_written_while_its_entity_waits_goes_after_the_one_that_was_refused(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", 1, 4)]) as store:
        await store.refuse(await store.taken())
        write_rows(tmp_path / "store.db", ("R", "1", 1), ("R", 2, 4))
        await store.loader.changed()
        assert [row.id for row in await store.taken()] == [3]
        store.clock.seconds += RETRY_SECONDS + 1
        assert [row.id for row in await store.taken()] == [1, 2]


async def test_an_urgent_row_behind_a_refused_one_has_both_tried_before_all_that_is_less_urgent(tmp_path: Path) -> None:
    async with rig(tmp_path, [*[("R", n, 4) for n in range(200)], ("R", "x", 4)]) as store:
        await refuse_all(store, 201)
        write_rows(tmp_path / "store.db", ("R", "x", 1))
        await store.loader.changed()
        await until(lambda: store.queue._lanes[1].due is not None, "it is promoted")
        for _ in range(3):
            store.clock.seconds += RETRY_SECONDS + 1
            batch = await store.taken(2)
            assert [row.id for row in batch] == [201, 202]
            await store.refuse(batch[:1])
            store.queue.requeue(batch[1])
            await refuse_all(store, 200)


async def refuse_all(store: Rig, count: int) -> None:
    refused = 0
    while refused < count:
        batch = await store.taken()
        await store.refuse(batch)
        refused += len(batch)


async def test_a_restart_keeps_who_waits(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", 1, 3), ("R", 1, 1), ("R", 2, 3)]) as store:
        batch = await store.taken(1)
        assert [row.id for row in batch] == [1]
        await store.refuse(batch)
    async with rig(tmp_path, []) as store:
        assert [row.id for row in await store.taken()] == [3]
        assert sum(store.loader.status.pending.values()) == 3
        assert not store.take()
        store.clock.seconds += RETRY_SECONDS + 1
        assert [row.id for row in await store.taken()] == [1, 2]


async def test_a_clock_that_was_set_back_holds_nobody_for_ever(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", 1, 3)]) as store:
        store.clock.seconds += 30 * 86400
        await store.refuse(await store.taken())
    async with rig(tmp_path, []) as store:
        store.clock.seconds += 600
        assert [row.id for row in await store.taken()] == [1]


async def test_a_retry_that_the_tills_file_has_for_tomorrow_is_of_a_clock_that_was_set_back_and_holds_nobody(tmp_path: Path) -> None:
    async with rig(tmp_path, []) as store:
        write_rows(store.path, ("R", 1, 3), ("R", 1, 3))
        tomorrow = iso_ms(store.clock.now() + timedelta(days=1))
        execute(store.path, "UPDATE sync_outbox SET attempts = 1, next_attempt_at = ? WHERE id = 1", tomorrow)
        await store.loader.changed()
        assert [row.id for row in await store.taken()] == [1, 2]


def _hold_reader(reached: threading.Event, go_on: threading.Event) -> Callable[[sqlite3.Connection], None]:
    """The reader stops at the end of its next snapshot: it has seen the files, and nobody knows yet what it saw."""

    def at_the_end(statement: str) -> None:
        if statement == "COMMIT" and not reached.is_set():
            reached.set()
            go_on.wait(10)

    return lambda connection: connection.set_trace_callback(at_the_end)


async def test_a_decision_made_while_the_backlog_is_counted_is_counted_once(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", n, 3) for n in range(10)]) as store:
        batch = await store.taken()
        for fresh in (True, False):
            reached, go_on = threading.Event(), threading.Event()
            await store.files.reader.run(_hold_reader(reached, go_on))
            write_rows(tmp_path / "store.db", ("R", "new", 4))
            if fresh:
                execute(tmp_path / "store.db", "UPDATE sync_outbox_generation SET generation = generation + 1")
            counting = asyncio.create_task(store.loader.changed())
            await until(reached.is_set, "the snapshot is taken")
            deciding = asyncio.create_task(store.accept([batch.pop(0)]))
            await asyncio.wait({deciding}, timeout=0.2)  # had it gone through now, the count would forget it
            go_on.set()
            await asyncio.gather(counting, deciding)
            await store.files.reader.run(lambda connection: connection.set_trace_callback(None))
            ((pending,),) = execute(tmp_path / "store.db", "SELECT count(*) FROM sync_outbox WHERE status = 'pending'")
            ((decided,),) = execute(tmp_path / "store.db.syncd", "SELECT count(*) FROM outcome")
            assert sum(store.loader.status.pending.values()) == pending - decided


async def test_a_row_that_is_sent_before_it_is_counted_is_never_counted(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", 1, 3)]) as store:
        await store.accept(await store.taken())
        write_rows(tmp_path / "store.db", ("R", 2, 3))
        store.queue.new_rows()  # for another reason
        await store.accept(await store.taken())
        assert sum(store.loader.status.pending.values()) == 0
        await store.loader.changed()
        assert sum(store.loader.status.pending.values()) == 0


async def test_what_waits_is_counted_right_after_a_row_in_flight_was_cancelled_and_sent_all_the_same(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", n, 3) for n in range(10)]) as store:
        flying = await store.taken(2)
        with OutboxAdmin(paths(tmp_path)) as outbox:
            assert outbox.cancel([flying[0].id, 10]) == 2
        await store.loader.changed()
        assert sum(store.loader.status.pending.values()) == 8
        await store.accept(flying)

        def counted() -> bool:
            store.loader.may_load.set()  # as the sender does when a batch is back
            return sum(store.loader.status.pending.values()) == 7

        await until(counted, "the row that was cancelled in flight is not taken off twice")


async def test_a_refusal_that_is_durable_before_the_queue_is_told_is_not_read_as_due_by_then(tmp_path: Path) -> None:
    async with rig(tmp_path, [("R", 1, 3), ("R", 1, 3)]) as it:
        first, second = await it.taken()
        words = {"attempts": 1, "next_attempt_at": iso_ms(it.clock.now())}
        await it.journal.record([outcome(it.path, first.id, "pending", row=first, urgency=3, **words)])
        it.queue.add_due({3: it.clock.monotonic()})  # another row's retry
        it.loader.may_load.set()
        await until(lambda: not it.queue.retries_wait, "what is due was read")
        it.loader.refused(first, it.clock.monotonic(), 3)
        it.queue.requeue(second)
        assert [row.id for row in await it.taken()] == [first.id, second.id]


async def test_a_retry_is_not_looked_for_before_the_millisecond_at_which_it_is_due(tmp_path: Path) -> None:
    async with rig(tmp_path, []) as it:
        it.clock.seconds = 0.25
        assert it.loader._source.due("2026-11-23T10:00:01.750Z") == it.clock.monotonic() + 1.5
