"""Applying: chunk by chunk from the queue into the store's tables, then to disk, and only then the acknowledgements."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

from syncd.clock import iso_ms
from syncd.downlink.queue import MOVED
from syncd.errors import StorageError
from syncd.store.quarantine import Quarantined
from syncd.store.retry_delays import APPLY_RETRY_SECONDS
from syncd.store.times import sortable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.downlink.queue import Chunk, Delivery, Refusals, UpdateQueue
    from syncd.status.report import InboundStatus
    from syncd.store.feed_cursor import FeedCursor
    from syncd.store.inbox import Applied, Inbox
    from syncd.store.inbox_log import InboxLog
    from syncd.store.update import Update

COMPLETED_A_TURN = 50  # deliveries whose handlers go on before anything else gets its turn
FUTURE = timedelta(days=1)  # how far the clocks of HQ and store may differ before it is logged

Result = TypeVar("Result")


class Applier:
    """The applying loop. All that has come while one chunk is written shares the next chunk's commit and disk sync.

    Args:
        status: the section of the report in which it counts.
        acknowledge: told what is on disk; see `Acknowledgements.add`.
        on_feed: told where the catch-up stands, once the updates before it are applied.
        on_trouble: told of a store database that cannot be written, and None once it can.
        on_change: told whenever a figure of the status changes.

    Attributes:
        progress_count: chunks applied: the watchdog sees that the loop makes progress.
        idle: nothing is being applied, and the acks of what was are handed over.
    """

    def __init__(
        self,
        queue: UpdateQueue,
        inbox: Inbox,
        inbox_log: InboxLog,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        status: InboundStatus,
        acknowledge: Callable[[Sequence[str | None], Refusals, datetime], None],
        on_feed: Callable[[FeedCursor], None],
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._inbox = inbox
        self._inbox_log = inbox_log
        self._clock = clock
        self._log = log
        self._status = status
        self._acknowledge = acknowledge
        self._on_feed = on_feed
        self._on_trouble = on_trouble
        self._on_change = on_change
        self.progress_count = 0
        self.idle = True

    async def run(self) -> NoReturn:
        """Apply what waits; for ever."""
        while True:
            self.idle = self._queue.is_empty
            await self._queue.filled()
            self.idle = False
            complete = await self._apply_chunk()
            if complete:
                await self._until_written(self._inbox.sync)
                await self._answer(complete)

    async def recount(self) -> None:
        """Count the quarantine anew: a person, or the retention, may have emptied it."""
        self._status.quarantined = await self._inbox.quarantined()

    async def _apply_chunk(self) -> list[Delivery]:
        """Apply one chunk from the head of the queue; returns the deliveries of which nothing is left in the queue."""
        chunk = self._queue.chunk(self._inbox.room())
        applied: Applied = await self._until_written(lambda: self._inbox.apply(chunk.items, chunk.feed))
        if chunk.feed is not None and applied.whole:
            self._on_feed(chunk.feed)
        self._count(chunk, applied)
        complete = self._queue.applied(chunk, len(applied.stale))
        self.progress_count += 1
        if not all(applied.stale) and chunk.source != MOVED:
            self._status.last_applied_at = self._clock.now()
        self._on_change()
        return complete

    def _count(self, chunk: Chunk, applied: Applied) -> None:
        self._status.quarantined += applied.kept
        tomorrow = sortable(iso_ms(self._clock.now() + FUTURE)) or ""
        number = 0
        for delivery, length in chunk.parts:
            for index in range(delivery.position, delivery.position + min(length, len(applied.stale) - number)):
                item, stale, refusal = chunk.items[number], applied.stale[number], applied.refused.get(number)
                number += 1
                if isinstance(item, Quarantined):
                    refusal = item.reason
                elif chunk.source != MOVED:
                    self._inbox_log.add(item, chunk.source, stale=stale, refusal=refusal)
                    self._status.stale += stale and refusal is None
                    if not stale and refusal is None:
                        self._count_applied(item, tomorrow)
                if refusal is not None:
                    delivery.refusals[index] = refusal
                elif stale:
                    delivery.stale += 1

    def _count_applied(self, update: Update, tomorrow: str) -> None:
        self._status.applied_total[update.entity_type.name] += 1
        if update.version is None and update.updated_at is not None and update.updated_at > tomorrow:
            self._warn_of_the_future(update)

    def _warn_of_the_future(self, update: Update) -> None:
        """Log a time far ahead. It is applied, since our clock may be wrong, but no correction can replace it."""
        self._log.warning(
            "update_from_the_future", entity_type=update.kind, entity_id=update.entity_id,
            updated_at=update.updated_at, hint="no correction with an earlier updatedAt will be applied",
        )  # fmt: skip

    async def _until_written(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Try again while the database is locked, full or read-only; nothing is lost or acknowledged meanwhile."""
        while True:
            try:
                result = await work()
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(APPLY_RETRY_SECONDS)
            else:
                self._on_trouble(None)
                return result

    async def _answer(self, deliveries: list[Delivery]) -> None:
        """They are on disk: tell whoever waits for them, and HQ."""
        now = self._clock.now()
        for number, delivery in enumerate(deliveries, 1):
            if number % COMPLETED_A_TURN == 0:
                await asyncio.sleep(0)
            if not delivery.done.done():
                delivery.done.set_result(delivery.refusals)
            if delivery.acknowledge:
                self._acknowledge(delivery.correlation_ids, delivery.refusals, now)
