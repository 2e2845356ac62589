"""What waits on disk: counts it, and keeps the send queue filled with the next pages of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.outbox import PRIORITIES
from syncd.uplink.outcomes import RETRY_JITTER
from syncd.uplink.queue import LoadLane

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import SyncSettings
    from syncd.store.journal import Journal
    from syncd.store.outbox import Counts, OutboxReader, OutboxRow
    from syncd.uplink.queue import SendQueue

RESCAN_SECONDS = 60.0  # an idle queue looks at its file afresh: rows with ids of their own making
LOAD_RETRY_SECONDS = 1.0


class Loader:
    """Counts and reads the outbox for the queue.

    Args:
        busy: whether outcomes wait to be made durable.
        wake: set whenever there may be something to send.
        on_trouble: told of a store database that cannot be read, and None once it can.
        on_change: told whenever a figure of the status changes.

    Attributes:
        wanted: to be set when there is room in the queue, or something new on disk.
        waiting: rows that wait for their retry, and when they were written.
        pending: rows that HQ does not have yet, by priority.
        failed: rows that are failed.
    """

    def __init__(
        self,
        *,
        queue: SendQueue,
        reader: OutboxReader,
        journal: Journal,
        sync: SyncSettings,
        clock: Clock,
        log: FilteringBoundLogger,
        busy: Callable[[], bool],
        wake: asyncio.Event,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._journal = journal
        self._sync = sync
        self._clock = clock
        self._log = log
        self._busy = busy
        self._wake = wake
        self._on_trouble = on_trouble
        self._on_change = on_change
        self._counts: Counts | None = None
        self._counting = asyncio.Lock()
        self._clock_warned = False
        self.wanted = asyncio.Event()
        self.waiting: dict[int, datetime] = {}
        self.pending = dict.fromkeys(PRIORITIES, 0)
        self.failed = 0

    async def changed(self) -> None:
        """Somebody committed to the store's file: count what is new, and wake the sender.

        Raises:
            nothing: a file that cannot be read now is reported, and read again at the next change.
        """
        async with self._counting:
            try:
                grown = await self._count()
            except StorageError as error:
                self._on_trouble(error)
                return
            self._on_trouble(None)
        if grown:
            self._queue.grown(grown)
            self.wanted.set()
            self._on_change()

    async def _count(self) -> list[int]:
        """Take in what is new, or all of it afresh; the priorities that have grown."""
        known, counts = self._counts, await self._reader.count(self._counts)
        if known is not None and known.generation == counts.generation:
            for priority, number in counts.pending.items():
                self.pending[priority] += number
            self._counts = counts
            return [p for p in PRIORITIES if counts.newest_id[p] != known.newest_id[p]]
        failed = await self._reader.failed()
        held = await self._reader.failed_entities() if self._sync.hold_entity_on_failure else ()
        self._queue.reset()
        self.waiting.clear()
        for entity in held:
            self._queue.hold(entity)
        self.failed, self.pending, self._counts = failed, dict(counts.pending), counts
        return list(PRIORITIES)

    async def rescan(self) -> None:
        """Rows with ids of their own making lie behind what was read; an idle queue has the time to look for them."""
        while True:
            await self._clock.sleep(RESCAN_SECONDS)
            try:
                unmarked = await self._journal.unmarked()
            except StorageError as error:
                self._on_trouble(error)
                continue
            if self._queue.idle and not self._busy() and not unmarked:
                self._counts = None
                await self.changed()

    async def keep_loaded(self) -> None:
        """Keep the queue's lanes filled."""
        while True:
            want = self._queue.wants()
            if want is None:
                await self.wanted.wait()
                self.wanted.clear()
                continue
            self._queue.loading()
            try:
                if isinstance(want, LoadLane):
                    page = await self._reader.page(want.priority, want.after_id, self._queue.page_rows, self._queue.position)
                else:
                    page = await self._reader.entity_page(want.entity, want.after_id, self._queue.page_rows)
                await self._remember_first_seen([row for row in (*page.earlier, *page.rows) if row.unreadable_time])
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(LOAD_RETRY_SECONDS)
                continue
            self._queue.offer(want, page, self._clock.monotonic(), self._retry_in)
            for row in (*page.earlier, *page.rows):
                if row.retry_at is not None and self._retry_in(row.retry_at) > 0:
                    self.waiting[row.id] = row.created
                else:
                    self.waiting.pop(row.id, None)
            self._wake.set()

    def _retry_in(self, at: datetime) -> float:
        """Seconds until then; a clock that was set back must not hold a row for ever."""
        return min(self._sync.retry_max_seconds * (1 + RETRY_JITTER), (at - self._clock.now()).total_seconds())

    async def _remember_first_seen(self, rows: list[OutboxRow]) -> None:
        if not rows:
            return
        if not self._clock_warned:
            self._clock_warned = True
            self._log.warning(
                "created_at_unreadable",
                first_id=rows[0].id,
                rows=len(rows),
                hint="sent as the moment they were first seen; write UTC as ISO 8601",
            )
        await self._journal.first_saw([(row.id, row.correlation_id, row.timestamp) for row in rows])
