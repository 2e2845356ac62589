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
            self._handle(hub, kind.method, partial(read_update, kind))
        self._handle(hub, RECEIVE_ITEM, partial(update_of_item, catalog))

    def _handle(self, hub: Hub, method: str, read: Callable[[object], Update]) -> None:
        async def receive(arguments: list[Any], wants_result: bool) -> object:
            acks = await self._receive(MessageReader(method, read, self._log), arguments, wants_result=wants_result)
            if not wants_result:
                return None
            if len(acks) > MAX_RESULT_ACKS:
                raise ValueError(f"the list was taken; its {len(acks):,} acknowledgements are too many for one result")
            return acks if is_list(arguments) else acks[0]

        async def receive_burst(messages: list[Any]) -> None:
            await self._queue.room()
            reader = MessageReader(method, read, self._log, kept_singly=len(messages))
            found = reader.read(messages)
            reader.finish()  # logs; each malformed one has its own entry
            await self._queue.enqueue(found.items, found.correlation_ids, "live")

        hub.on(method, receive, receive_burst)

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
