"""What waits on disk: counts it, and keeps the send queue filled (`page_source.py` reads its pages)."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.block import Block
from syncd.store.outbox import PRIORITIES, DuePage
from syncd.store.retry_delays import READ_RETRY_SECONDS
from syncd.store.times import parse_time
from syncd.uplink.page_source import PageSource
from syncd.uplink.pages import LoadEntity, LoadLane

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import SyncSettings
    from syncd.status.report import OutboxStatus
    from syncd.store.journal import Journal
    from syncd.store.outbox import OutboxRow, Page
    from syncd.store.outbox_count import Counts
    from syncd.store.outbox_reader import OutboxReader
    from syncd.uplink.breaker import Breaker
    from syncd.uplink.pages import Load
    from syncd.uplink.queue import SendQueue

# While the queue is idle, all is read afresh: a till that sets ids itself may have written below those already read.
RESCAN_SECONDS = 60.0
# And sooner where rows are pending that nothing is going to read: a till has made them more urgent, and that was read already.
LOOK_SECONDS = 2.0


class Loader:
    """Counts and reads the outbox for the queue.

    Args:
        status: the section of the report whose `pending` and `failed` are counted here.
        busy: whether outcomes wait to be made durable.
        wake: set whenever there may be something to send.
        on_trouble: told of a store database that cannot be read, and None once it can.
        on_change: told whenever a figure of the status changes.
        on_generation: told when a person has retried or cancelled rows.

    Attributes:
        may_load: to be set when there is room in the queue, or something new on disk.
        waiting: rows that wait in memory until they may go again, and when they were written.
    """

    def __init__(
        self,
        *,
        queue: SendQueue,
        breaker: Breaker,
        reader: OutboxReader,
        journal: Journal,
        sync: SyncSettings,
        clock: Clock,
        log: FilteringBoundLogger,
        status: OutboxStatus,
        busy: Callable[[], bool],
        wake: asyncio.Event,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
        on_generation: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._breaker = breaker
        self._reader = reader
        self._source = PageSource(queue=queue, reader=reader, journal=journal, sync=sync, clock=clock, log=log)
        self._journal = journal
        self._sync = sync
        self._clock = clock
        self.status = status
        self._busy = busy
        self._wake = wake
        self._on_trouble = on_trouble
        self._on_change = on_change
        self._on_generation = on_generation
        self._generation: int | None = None
        self._counts: Counts | None = None
        self._counting = asyncio.Lock()
        self._oldest_on_disk: str | None = None
        self._perhaps_cancelled: frozenset[int] = frozenset()  # rows in flight when a person last retried or cancelled some
        self.may_load = asyncio.Event()
        self.waiting: dict[int, datetime] = {}

    async def changed(self) -> None:
        """Somebody committed to the store's file: count what is new, and wake the sender.

        Raises:
            nothing: a file that cannot be read is reported, and read again until it can be.
        """
        async with self._counting:
            while True:
                try:
                    grown = await self._count()
                    break
                except StorageError as error:
                    self._on_trouble(error)
                    await self._clock.sleep(READ_RETRY_SECONDS)
            self._on_trouble(None)
        if grown:
            self._queue.new_rows(grown)
            self.may_load.set()
            self._on_change()

    async def _count(self) -> list[int]:
        """Take in what is new, or all of it afresh; the priorities that have new rows."""
        async with self._journal.still:  # an outcome is either in the snapshot, or comes after it has been taken in
            known = self._counts
            counts = await self._reader.count(known, with_failed_entities=self._sync.hold_entity_on_failure)
            self._counts = counts
            if known is not None and not counts.fresh:
                for priority, number in counts.pending.items():
                    self.status.pending[priority] += number
                return [p for p in PRIORITIES if counts.newest_id[p] != known.newest_id[p]]
            if self._generation not in (None, counts.generation):
                self._on_generation()
                self._perhaps_cancelled = self._queue.ids_in_flight()
            self._generation = counts.generation
            self._queue.reset()
            self.waiting.clear()
            for entity, failed_id in counts.failed_entities.items():
                self._queue.hold(entity, failed_id)
            self._queue.add_due({p: self._source.due(at) for p, at in counts.next_due.items()})
            self._oldest_on_disk = counts.oldest_waiting
            self.status.failed, self.status.pending = counts.failed, dict(counts.pending)
            return list(PRIORITIES)

    def may_be_cancelled(self, row: OutboxRow) -> bool:
        """It was in flight when a person cancelled rows, and not all of those are back: only the disk knows."""
        return row.id in self._perhaps_cancelled

    def decided(self, row: OutboxRow, *, failed: bool) -> None:
        """It is sent or failed, durably."""
        self.waiting.pop(row.id, None)
        if self._counts is not None and row.id <= self._counts.newest_id[row.priority]:  # else it was never counted
            self.status.pending[row.priority] = max(0, self.status.pending[row.priority] - 1)
        self.status.failed += failed

    def sent(self, block: Block) -> None:
        """All of these are sent, durably."""
        for row_id in block.ids if self.waiting else ():
            self.waiting.pop(row_id, None)
        if self._counts is not None:
            counted = bisect_right(block.ids, self._counts.newest_id[block.priority])
            self.status.pending[block.priority] = max(0, self.status.pending[block.priority] - counted)

    def oldest_waiting(self) -> datetime | None:
        """When the oldest row that waits for its retry was written."""
        moments = list(self.waiting.values())
        if self._queue.retries_wait and self._oldest_on_disk and (parsed := parse_time(self._oldest_on_disk)):
            moments.append(parsed[0])
        return min(moments, default=None)

    def refused(self, row: OutboxRow, due: float, urgency: int) -> None:
        """It was refused, which is durable: its entity waits on disk until then (monotonic)."""
        created = iso_ms(row.created)
        if not self._queue.retries_wait or self._oldest_on_disk is None or created < self._oldest_on_disk:
            self._oldest_on_disk = created
        self._queue.refused(row, due, urgency)

    async def rescan(self) -> None:
        """Look for rows whose ids or priorities a till has set itself, below what was read already; only while the queue is idle."""
        seconds, known = 0.0, 0
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            seconds += LOOK_SECONDS
            unread = self._unread()
            if (seconds < RESCAN_SECONDS and unread in (0, known)) or not self._may_rescan():
                continue
            try:
                unmarked = await self._journal.unmarked()
            except StorageError as error:
                self._on_trouble(error)
                continue
            self._on_trouble(None)
            if not unmarked and self._may_rescan():
                seconds, known = 0.0, unread
                self._counts = None
                await self.changed()

    def _may_rescan(self) -> bool:
        return self._queue.idle and not self._busy() and not self._breaker.open

    def _unread(self) -> int:
        """Rows that are pending on disk while nothing in memory leads to them; 0 where some wait there for a reason."""
        waits = self._queue.retries_wait or self._queue.seconds_to_next_retry(self._clock.monotonic()) is not None
        return self.status.pending_total if self._queue.idle and not waits and not self._sync.hold_entity_on_failure else 0

    async def keep_loaded(self) -> None:
        """Keep the queue's lanes filled."""
        entity_pages = 0  # in a row
        while True:
            if self._perhaps_cancelled and self._perhaps_cancelled.isdisjoint(self._queue.ids_in_flight()):
                # One that was cancelled was not counted, and its outcome is taken off the count all the same: count afresh.
                self._perhaps_cancelled, self._counts = frozenset(), None
                await self.changed()
            load = self._queue.next_load(self._clock.monotonic(), fresh_first=self._breaker.open)
            if load is None:
                await self.may_load.wait()
                self.may_load.clear()
                continue
            self._queue.begin_load()
            try:
                page = await self._source.read(load)
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(READ_RETRY_SECONDS)
                continue
            self._on_trouble(None)
            self._take_in(load, page)
            # Entities whose wait ended together are read one by one: their rows go out in one message all the same.
            entity_pages = entity_pages + 1 if isinstance(load, LoadEntity) else 0
            if not (self._queue.reads_entities and entity_pages % self._sync.batch_size):
                self._wake.set()

    def _take_in(self, load: Load, page: Page) -> None:
        next_due = None
        if isinstance(page, DuePage):
            self._oldest_on_disk = page.oldest_waiting
            next_due = self._source.due(page.next_due) if page.next_due else None
        self._queue.add_page(load, page, self._clock.monotonic(), self._source.retry_in, next_due=next_due)
        if isinstance(load, LoadLane) and page.promoted:
            self._queue.add_due({load.priority: self._source.due(min(page.promoted.values()))})
        for row in () if isinstance(page.rows, Block) else (*page.earlier, *page.rows):
            if row.retry_at is not None and self._source.retry_in(row.retry_at) > 0:
                self.waiting[row.id] = row.created
            else:
                self.waiting.pop(row.id, None)
