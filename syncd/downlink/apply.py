"""Applying: chunk by chunk from the queue into the store's tables, then to disk, and only then the acknowledgements."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.quarantine import Quarantined
from syncd.store.retry_delays import APPLY_RETRY_SECONDS
from syncd.store.times import sortable
from syncd.store.update import Update
from syncd.wire.messages import sync_ack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.downlink.queue import Chunk, Delivery, UpdateQueue
    from syncd.status.report import InboundStatus
    from syncd.store.feed_cursor import FeedCursor
    from syncd.store.inbox import Applied, Inbox
    from syncd.store.inbox_log import InboxLog

COMPLETED_A_TURN = 50  # deliveries whose handlers go on before anything else gets its turn
FUTURE = timedelta(days=1)  # how far the clocks of HQ and store may differ before it is logged

Result = TypeVar("Result")


class Applier:
    """The applying loop. All that has come while one chunk is written shares the next chunk's commit and disk sync.

    Args:
        status: the section of the report in which it counts.
        acknowledge: takes the acks of what is on disk.
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
        acknowledge: Callable[[Iterable[dict[str, object]]], None],
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
        if not all(applied.stale):
            self._status.last_applied_at = self._clock.now()
        self._on_change()
        return complete

    def _count(self, chunk: Chunk, applied: Applied) -> None:
        self._status.quarantined += applied.kept
        tomorrow = sortable(iso_ms(self._clock.now() + FUTURE)) or ""
        places = ((delivery, delivery.position + offset) for delivery, length in chunk.parts for offset in range(length))
        for number, (stale, (delivery, index)) in enumerate(zip(applied.stale, places, strict=False)):
            item = chunk.items[number]
            if isinstance(item, Update):
                self._inbox_log.add(item, chunk.source, stale=stale, refusal=applied.refused.get(number))
            failure = item.reason if isinstance(item, Quarantined) else applied.refused.get(number)
            if failure is not None:
                delivery.errors[index] = failure
            elif stale:
                self._status.stale += 1
            elif isinstance(item, Update):
                self._status.applied_total[item.entity_type.name] += 1
                if item.version is None and item.updated_at is not None and item.updated_at > tomorrow:
                    self._warn_of_the_future(item)

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
            acks = [sync_ack(identifier, delivery.errors.get(index), now) for index, identifier in enumerate(delivery.correlation_ids)]
            if not delivery.done.done():
                delivery.done.set_result(acks)
            if delivery.acknowledge:
                self._acknowledge(acks)
