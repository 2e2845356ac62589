"""What has come from HQ and is not applied yet: in order, and bounded, however long the database cannot be written.

A live update waits in its handler until there is room: one that is lost there with its connection was never
acknowledged, and comes again by the catch-up. So neither a flood nor a flapping line before a stuck database makes
the queue any longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.store.update import Update

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.store.feed_cursor import FeedCursor
    from syncd.store.quarantine import Quarantined

MAX_UPDATES = 4_000
"""Live updates are taken in below this number: two full transactions, so that the writer never waits for one."""
MAX_CHARACTERS = 8 * 1024 * 1024
"""And below this much text in them. A single list above it is taken in when nothing else waits."""
MOVED = "moved"
"""The source of what HQ did not send now: it was counted, recorded and acknowledged when it came."""
Refusals = dict[int, str]
"""Why some of the updates that came together could not be applied, by their index."""
_COST_CHARACTERS = 200  # what an update takes beside its text


@dataclass(slots=True, eq=False)
class Delivery:
    """Some updates that came together, with the future that is done once they are on disk.

    Attributes:
        source: `live`, `catchup` or `moved`.
        feed: where the catch-up stands once they are applied.
        acknowledge: HQ is told by `Acknowledge`; otherwise it waits for the result of its call.
        position: how many of them are applied.
        stale: how many of them were older than what the table had, or the same.
    """

    items: list[Update | Quarantined]
    correlation_ids: list[str | None]
    source: str
    done: asyncio.Future[Refusals]
    feed: FeedCursor | None = None
    acknowledge: bool = True
    position: int = 0
    refusals: Refusals = field(default_factory=dict)
    stale: int = 0
    characters: int = 0


@dataclass(slots=True)
class Chunk:
    """What goes into one transaction: neighbours of the queue's head, of one source.

    Attributes:
        parts: whose they are, and how many.
        feed: where the catch-up stands behind the last page that ends within the chunk.
    """

    source: str
    items: list[Update | Quarantined] = field(default_factory=list)
    parts: list[tuple[Delivery, int]] = field(default_factory=list)
    feed: FeedCursor | None = None


class UpdateQueue:
    """Deliveries in the order in which they came."""

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()
        self._updates = 0
        self._characters = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False

    def __len__(self) -> int:
        """Updates that wait."""
        return self._updates

    @property
    def is_full(self) -> bool:
        """Nothing live is taken in now."""
        return self._closed or self._updates >= MAX_UPDATES or self._characters >= MAX_CHARACTERS

    def close(self) -> None:
        """Nothing live is taken in any more."""
        self._closed = True

    async def room(self) -> None:
        """Wait until something live may be put in; first come, first served."""
        async with self._turn:
            while self.is_full:
                self._emptied.clear()
                await self._emptied.wait()

    def enqueue(
        self,
        items: Sequence[Update | Quarantined],
        correlation_ids: list[str | None],
        source: str,
        *,
        feed: FeedCursor | None = None,
        acknowledge: bool = True,
    ) -> asyncio.Future[Refusals]:
        """Put in what came together; done once it is applied and on disk. See `Delivery`."""
        done: asyncio.Future[Refusals] = asyncio.get_running_loop().create_future()
        self.put(Delivery(list(items), correlation_ids, source, done, feed, acknowledge))
        return done

    def put(self, delivery: Delivery) -> None:
        """Take it in, whether there is room or not."""
        delivery.characters = sum([_characters(item) for item in delivery.items])
        self._deliveries.append(delivery)
        self._updates += len(delivery.items)
        self._characters += delivery.characters
        self._filled.set()

    async def filled(self) -> None:
        """Wait until there is something in it."""
        while not self._deliveries:
            self._filled.clear()
            await self._filled.wait()

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be applied."""
        return not self._deliveries

    def chunk(self, size: int) -> Chunk:
        """The next updates, at most so many; they stay in the queue until they are `applied`."""
        chunk = Chunk(self._deliveries[0].source)
        for delivery in self._deliveries:
            room, left = size - len(chunk.items), len(delivery.items) - delivery.position
            if delivery.source != chunk.source or (left and not room):
                break
            taken = delivery.items[delivery.position : delivery.position + room]
            chunk.parts.append((delivery, len(taken)))
            chunk.items += taken
            if len(taken) < left:
                break
            chunk.feed = delivery.feed or chunk.feed
        return chunk

    def applied(self, chunk: Chunk, count: int) -> list[Delivery]:
        """The first so many updates of the chunk are applied; returns the deliveries of which nothing is left."""
        complete = []
        is_whole = count == len(chunk.items)
        for delivery, length in chunk.parts:
            if count == 0 and not is_whole:
                break
            taken = min(count, length)
            count -= taken
            delivery.position += taken
            self._updates -= taken
            if delivery.position == len(delivery.items):
                complete.append(self._deliveries.popleft())
                self._characters -= delivery.characters
        self._emptied.set()
        return complete


def _characters(item: Update | Quarantined) -> int:
    if not isinstance(item, Update):
        return _COST_CHARACTERS + len(item.raw)
    return _COST_CHARACTERS + sum([len(value) for value in item.values if type(value) is str])
