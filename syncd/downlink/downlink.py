"""HQ to store: what the hub pushes and what a catch-up fetches goes through one queue, is committed, and only then acknowledged.

Live updates and the catch-up may cross in any order: newer wins. All that has come meanwhile shares one commit and one disk sync.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncd.downlink.acknowledgements import Acknowledgements
from syncd.downlink.catch_up import CatchUp
from syncd.downlink.receive import RECEIVE_ITEM, REQUEST, correlation_id_of, messages_of, update_of_item
from syncd.errors import StorageError
from syncd.store.catalog import ENTITY_TYPES, MalformedError, Update, raw_text, read_update
from syncd.store.inbox import Quarantined
from syncd.wire.messages import sync_ack

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.supervisor import Hub
    from syncd.store.catalog import EntityType
    from syncd.store.inbox import Applied, Inbox

RETRY_SECONDS = 1.0  # a database that cannot be written is tried again this often


@dataclass(slots=True, eq=False)
class _Delivery:
    """Some updates that came together, and who waits for them."""

    items: list[Update | Quarantined]
    correlation_ids: list[str | None]
    source: str
    done: asyncio.Future[list[dict[str, object]]]
    cursor: str | None = None
    acknowledge: bool = True
    position: int = 0
    errors: dict[int, str] = field(default_factory=dict)


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
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._on_change = on_change
        self._queue: deque[_Delivery] = deque()
        self._work = asyncio.Event()
        self._acknowledgements = Acknowledgements(hub, log)
        self.catch_up = CatchUp(hub=hub, settings=settings, log=log, clock=clock, deliver=self._page, on_change=on_change)
        # What the status file shows:
        self.applied_total: Counter[str] = Counter({entity_type.name: 0 for entity_type in ENTITY_TYPES})
        self.stale = 0
        self.quarantined = 0
        self.last_applied_at: datetime | None = None
        self.applied_pieces = 0  # a sign of life
        for entity_type in ENTITY_TYPES:
            hub.on(entity_type.method, self._receiver(entity_type))
        hub.on(RECEIVE_ITEM, self._receive_item)

    async def run(self) -> None:
        """Apply, catch up and acknowledge; for ever."""
        self.catch_up.cursor = await self._inbox.cursor()
        self.quarantined = await self._inbox.quarantined()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apply_all(), name="downlink.apply")
            group.create_task(self._acknowledgements.run(), name="downlink.acknowledge")
            group.create_task(self.catch_up.run(), name="downlink.catch_up")

    async def recount(self) -> None:
        """A person, or the retention, may have emptied the quarantine."""
        self.quarantined = await self._inbox.quarantined()

    @property
    def idle(self) -> bool:
        """Nothing waits to be applied."""
        return not self._queue

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _receiver(self, entity_type: EntityType) -> Callable[[list[Any], bool], Any]:
        async def receive(arguments: list[Any], wants_result: bool) -> object:
            messages, many = messages_of(arguments)
            items = [self._read(entity_type.method, message, lambda m: read_update(entity_type, m)) for message in messages]
            return await self._accept(items, messages, many=many, wants_result=wants_result)

        return receive

    async def _receive_item(self, arguments: list[Any], wants_result: bool) -> object:
        messages, many = messages_of(arguments)
        items = [self._read(RECEIVE_ITEM, message, update_of_item) for message in messages]
        return await self._accept(items, messages, many=many, wants_result=wants_result)

    def _read(self, method: str, message: object, read: Callable[[object], Update]) -> Update | Quarantined:
        try:
            return read(message)
        except MalformedError as error:
            self._log.warning("update_malformed", method=method, correlation_id=correlation_id_of(message), reason=str(error))
            return Quarantined(method, correlation_id_of(message), str(error), raw_text(message))

    def _accept(
        self, items: list[Update | Quarantined], messages: list[Any], *, many: bool, wants_result: bool
    ) -> asyncio.Future[list[dict[str, object]]] | Any:
        ids = [correlation_id_of(message) for message in messages]
        done = self._enqueue(items, ids, "live", acknowledge=not wants_result)
        return _result(done, many=many, wants_result=wants_result)

    def _page(self, items: list[Any], cursor: str | None) -> asyncio.Future[list[dict[str, object]]]:
        updates = [self._read(REQUEST, item, lambda item: update_of_item(item, REQUEST)) for item in items]
        return self._enqueue(updates, [correlation_id_of(item) for item in items], "catchup", cursor=cursor)

    def _enqueue(
        self,
        items: list[Update | Quarantined],
        ids: list[str | None],
        source: str,
        *,
        cursor: str | None = None,
        acknowledge: bool = True,
    ) -> asyncio.Future[list[dict[str, object]]]:
        done: asyncio.Future[list[dict[str, object]]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Delivery(items, ids, source, done, cursor, acknowledge))
        self._work.set()
        return done

    # ── applying ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _apply_all(self) -> None:
        while True:
            if not self._queue:
                self._work.clear()
                await self._work.wait()
            finished = await self._apply_some()
            if finished:
                await self._until_it_works(self._inbox.sync)
                self._finish(finished)

    async def _apply_some(self) -> list[_Delivery]:
        """Apply one chunk, cut from the head of the queue; returns the deliveries that are complete by it."""
        room = self._inbox.room()
        chunk: list[Update | Quarantined] = []
        parts: list[tuple[_Delivery, int, int]] = []
        cursor = None
        source = self._queue[0].source
        for delivery in self._queue:
            if delivery.source != source or len(chunk) >= room or cursor is not None:
                break
            taken = delivery.items[delivery.position : delivery.position + room - len(chunk)]
            parts.append((delivery, len(chunk), len(taken)))
            chunk += taken
            if delivery.position + len(taken) == len(delivery.items) and delivery.cursor is not None:
                cursor = delivery.cursor
        applied: Applied = await self._until_it_works(lambda: self._inbox.apply(chunk, source, cursor))
        if cursor is not None and applied.whole:
            self.catch_up.cursor = cursor
        finished = []
        for delivery, start, length in parts:
            if start >= len(applied.stale) and not applied.whole:
                break
            for index in range(start, min(start + length, len(applied.stale))):
                self._count(delivery, delivery.position, applied.stale[index], applied.refused.get(index))
                delivery.position += 1
            if delivery.position == len(delivery.items):
                finished.append(delivery)
                self._queue.popleft()
        self.applied_pieces += 1
        if not all(applied.stale):
            self.last_applied_at = self._clock.now()
        self._on_change()
        return finished

    def _count(self, delivery: _Delivery, index: int, stale: bool, failure: str | None) -> None:
        item = delivery.items[index]
        if isinstance(item, Quarantined):
            failure = item.reason
        if failure is not None:
            delivery.errors[index] = failure
            self.quarantined += 1
        elif stale:
            self.stale += 1
        elif isinstance(item, Update):
            self.applied_total[item.entity_type.name] += 1

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

    def _finish(self, deliveries: list[_Delivery]) -> None:
        now = self._clock.now()
        for delivery in deliveries:
            acks = [sync_ack(identifier, delivery.errors.get(index), now) for index, identifier in enumerate(delivery.correlation_ids)]
            if not delivery.done.done():
                delivery.done.set_result(acks)
            if delivery.acknowledge:
                self._acknowledgements.add(acks)


async def _result(done: asyncio.Future[list[dict[str, object]]], *, many: bool, wants_result: bool) -> object:
    acks = await done
    if not wants_result:
        return None
    return acks if many else acks[0]
