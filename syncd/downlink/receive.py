"""What the hub pushes: read chunk by chunk, queued to be applied, and answered where the hub waits for a result."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from syncd.downlink.reading import MessageReader, ReadMessages, chunks_of, is_list
from syncd.downlink.sync_item import RECEIVE_ITEM, update_of_item
from syncd.store.update import read_update
from syncd.wire.messages import sync_ack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.downlink.queue import Refusals, UpdateQueue
    from syncd.hub.calls import Handler
    from syncd.hub.supervisor import Hub
    from syncd.store.catalog import Catalog
    from syncd.store.update import Update

CHUNKS_AHEAD = 4
"""Of one long list, read while the first of them is being applied."""
MAX_RESULT_ACKS = 5_000
"""In one result: no hub would take a message with more."""


class LiveUpdates:
    """Handlers for the methods that bring updates: one a kind, and `ReceiveSyncItem`."""

    def __init__(self, hub: Hub, queue: UpdateQueue, catalog: Catalog, clock: Clock, log: FilteringBoundLogger) -> None:
        self._queue = queue
        self._clock = clock
        self._log = log
        for kind in catalog.kinds:
            hub.on(kind.method, self._handler(kind.method, partial(read_update, kind)))
        hub.on(RECEIVE_ITEM, self._handler(RECEIVE_ITEM, partial(update_of_item, catalog)))

    def _handler(self, method: str, read: Callable[[object], Update]) -> Handler:
        async def receive(arguments: list[Any], wants_result: bool) -> object:
            reader = MessageReader(method, read, self._log)
            if not is_list(arguments):
                return await self._receive_one(reader, arguments, wants_result=wants_result)
            acks = await self._receive(reader, arguments, wants_result=wants_result)
            if not wants_result:
                return None
            if len(acks) > MAX_RESULT_ACKS:
                raise ValueError(f"the list was taken; its {len(acks):,} acknowledgements are too many for one result")
            return acks

        return receive

    async def _receive_one(self, reader: MessageReader, message: list[Any], *, wants_result: bool) -> dict[str, object] | None:
        """Return once it is on disk, with its ack where that is wanted: as `_receive` does, without what a list needs."""
        await self._queue.room()
        read = reader.read(message)
        unreadable = read.unreadable[0]
        items = read.items or reader.finish()
        done = self._queue.enqueue(
            items, read.correlation_ids or [None] * len(items), "live", acknowledge=not wants_result and unreadable is None
        )  # fmt: skip
        if read.items:
            reader.finish()  # logs
        refusals = await done
        if not wants_result:
            return None
        if unreadable is None:
            return sync_ack(read.correlation_ids[0], refusals.get(0), self._clock.now())
        return sync_ack(None, unreadable, self._clock.now())

    async def _receive(self, reader: MessageReader, arguments: list[Any], *, wants_result: bool) -> list[dict[str, object]]:
        """Return once all is on disk, with every message's ack where they are wanted."""
        waiting: deque[tuple[ReadMessages, asyncio.Future[Refusals]]] = deque()
        acks: list[dict[str, object]] = []

        async def finish_one() -> None:
            read, done = waiting.popleft()
            refusals = await done
            if wants_result:
                applied = ((identifier, refusals.get(index)) for index, identifier in enumerate(read.correlation_ids))
                now = self._clock.now()
                acks.extend(sync_ack(*(next(applied) if why is None else (None, why)), now) for why in read.unreadable)

        async for messages in chunks_of(arguments):
            if len(waiting) >= CHUNKS_AHEAD:
                await finish_one()
            await self._queue.room()
            read = reader.read(messages)
            done = self._queue.enqueue(read.items, read.correlation_ids, "live", acknowledge=not wants_result)
            waiting.append((read, done))
        rest = reader.finish()
        if rest:
            waiting.append((ReadMessages([], [], []), self._queue.enqueue(rest, [None] * len(rest), "live", acknowledge=False)))
        while waiting:
            await finish_one()
        return acks
