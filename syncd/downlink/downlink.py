"""HQ to store: what the hub pushes and what a catch-up fetches goes through one queue, is committed, and only then acknowledged.

Live updates and the catch-up may cross in any order: newer wins. All that has come meanwhile shares one commit and one disk sync.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncd.clock import iso_ms
from syncd.downlink.acknowledgements import Acknowledgements
from syncd.downlink.catch_up import CatchUp
from syncd.downlink.live import LiveUpdates
from syncd.downlink.queue import Delivery, UpdateQueue
from syncd.downlink.receive import REQUEST, MessageReader, in_pieces, update_of_item
from syncd.downlink.unreadable import UnreadableMessages
from syncd.errors import StorageError
from syncd.store.catalog import ENTITY_TYPES
from syncd.store.quarantine import Quarantined
from syncd.store.times import sortable
from syncd.store.update import Update
from syncd.wire.messages import sync_ack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.downlink.queue import Chunk
    from syncd.hub.supervisor import Hub
    from syncd.store.feed_cursor import FeedCursor
    from syncd.store.inbox import Applied, Inbox
    from syncd.store.inbox_log import InboxLog

FUTURE = timedelta(days=1)  # by so much the clocks of HQ and store may differ before it is worth a warning
FINISHED_A_TURN = 50  # deliveries whose handlers go on before anything else gets its turn
RETRY_SECONDS = 1.0  # a database that cannot be written is tried again this often


class Downlink:
    """The applying loop, between what comes (live, and from the catch-up) and the acknowledgements.

    Args:
        on_trouble: told of a store database that cannot be written, and None once it can.
        on_change: told whenever a figure of the status changes.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        inbox: Inbox,
        inbox_log: InboxLog,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._inbox = inbox
        self._inbox_log = inbox_log
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._on_change = on_change
        self._queue = UpdateQueue()
        self._acknowledgements = Acknowledgements(hub, log)
        self.catch_up = CatchUp(hub=hub, inbox=inbox, settings=settings, log=log, clock=clock, deliver=self._page, on_change=on_change)
        # What the status file shows:
        self.applied_total: Counter[str] = Counter({entity_type.name: 0 for entity_type in ENTITY_TYPES})
        self.stale = 0
        self.quarantined = 0
        self.last_applied_at: datetime | None = None
        self.applied_pieces = 0  # a sign of life
        self.unreadable = UnreadableMessages(clock, self._keep, lambda: self.quarantined)
        LiveUpdates(hub, clock, log, room=self._queue.room, deliver=self._live)
        hub.on_unreadable(self.unreadable.take)
        hub.on_shed(lambda _: self.catch_up.connected())

    async def run(self) -> None:
        """Apply, catch up and acknowledge; for ever."""
        await self.catch_up.load()
        self.quarantined = await self._inbox.quarantined()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apply_all(), name="downlink.apply")
            group.create_task(self._acknowledgements.run(), name="downlink.acknowledge")
            group.create_task(self.catch_up.run(), name="downlink.catch_up")
            group.create_task(self._inbox_log.run(), name="downlink.inbox_log")

    async def recount(self) -> None:
        """A person, or the retention, may have emptied the quarantine."""
        self.quarantined = await self._inbox.quarantined()

    @property
    def waiting(self) -> int:
        """Updates that are taken in and not applied yet."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Nothing waits to be applied."""
        return self._queue.is_empty

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _live(
        self, items: Sequence[Update | Quarantined], ids: list[str | None], *, acknowledge: bool
    ) -> asyncio.Future[list[dict[str, object]]]:
        return self._enqueue(items, ids, "live", acknowledge=acknowledge)

    async def _page(self, items: list[Any], feed: FeedCursor | None) -> asyncio.Future[list[dict[str, object]]]:
        """A page of the feed, queued in pieces; the cursor moves with the last of them, which says when all are on disk."""
        reader = MessageReader(REQUEST, lambda item: update_of_item(item, REQUEST), self._log)
        async for messages in in_pieces(items):
            piece = reader.read(messages)
            self._enqueue(piece.items, piece.correlation_ids, "catchup")
        rest = reader.finish()
        return self._enqueue([*rest], [None] * len(rest), "catchup", feed=feed)

    def _keep(self, message: Quarantined) -> None:
        self._enqueue([message], [None], "live", acknowledge=False)

    def _enqueue(
        self,
        items: Sequence[Update | Quarantined],
        ids: list[str | None],
        source: str,
        *,
        feed: FeedCursor | None = None,
        acknowledge: bool = True,
    ) -> asyncio.Future[list[dict[str, object]]]:
        done: asyncio.Future[list[dict[str, object]]] = asyncio.get_running_loop().create_future()
        self._queue.put(Delivery(list(items), ids, source, done, feed, acknowledge))
        return done

    # ── applying ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _apply_all(self) -> None:
        while True:
            await self._queue.filled()
            finished = await self._apply_some()
            if finished:
                await self._until_it_works(self._inbox.sync)
                await self._finish(finished)

    async def _apply_some(self) -> list[Delivery]:
        """Apply one chunk, cut from the head of the queue; returns the deliveries that are complete by it."""
        chunk = self._queue.chunk(self._inbox.room())
        applied: Applied = await self._until_it_works(lambda: self._inbox.apply(chunk.items, chunk.feed))
        if chunk.feed is not None and applied.whole:
            self.catch_up.feed = chunk.feed
        self._count(chunk, applied)
        finished = self._queue.applied(chunk, len(applied.stale))
        self.applied_pieces += 1
        if not all(applied.stale):
            self.last_applied_at = self._clock.now()
        self._on_change()
        return finished

    def _count(self, chunk: Chunk, applied: Applied) -> None:
        places = ((delivery, delivery.position + offset) for delivery, length in chunk.parts for offset in range(length))
        for number, (stale, (delivery, index)) in enumerate(zip(applied.stale, places, strict=False)):
            item = chunk.items[number]
            if isinstance(item, Update):
                self._inbox_log.add(item, chunk.source, stale=stale, refusal=applied.refused.get(number))
            failure = item.reason if isinstance(item, Quarantined) else applied.refused.get(number)
            if failure is not None:
                delivery.errors[index] = failure
                self.quarantined += 1
            elif stale:
                self.stale += 1
            elif isinstance(item, Update):
                self.applied_total[item.entity_type.name] += 1
                self._warn_of_the_future(item)

    def _warn_of_the_future(self, update: Update) -> None:
        """A time that lies far ahead is applied, since the clock that is wrong may be ours; but it beats every later correction."""
        if update.version is not None or update.updated_at is None or update.updated_at <= self._tomorrow():
            return
        self._log.warning(
            "update_from_the_future", entity_type=update.entity_type.name, entity_id=update.entity_id,
            updated_at=update.updated_at, hint="no correction with an earlier updatedAt will be applied",
        )  # fmt: skip

    def _tomorrow(self) -> str:
        return sortable(iso_ms(self._clock.now() + FUTURE)) or ""

    async def _until_it_works(self, work: Callable[[], Any]) -> Any:
        """A database that is locked, full or read-only is tried until it can be written: nothing is lost, and nothing acknowledged."""
        while True:
            try:
                result = await work()
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                self._on_trouble(None)
                return result

    async def _finish(self, deliveries: list[Delivery]) -> None:
        now = self._clock.now()
        for number, delivery in enumerate(deliveries, 1):
            if number % FINISHED_A_TURN == 0:
                await asyncio.sleep(0)
            acks = [sync_ack(identifier, delivery.errors.get(index), now) for index, identifier in enumerate(delivery.correlation_ids)]
            if not delivery.done.done():
                delivery.done.set_result(acks)
            if delivery.acknowledge:
                self._acknowledgements.add(acks)
