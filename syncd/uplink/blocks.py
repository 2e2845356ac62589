"""Blocks of plain rows on their way: as long as nothing but success happens to them, no row is looked at by itself.

A block is *ready* in its lane, then *in flight*, then done. Whatever else happens (a refusal, a lost line, a page with a row that
needs a look) first makes rows of all blocks (`unpack`): from then on they go by `Entities` and `BatchPicker`, as rows do. Where nothing of
that has happened for a while, blocks are made of what is in memory again (`pack`).
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

from syncd.store.block import Block
from syncd.store.outbox import CRITICAL, PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from syncd.store.outbox import Entity
    from syncd.uplink.entities import Entities

CALM_BATCHES = 20  # of rows, and nothing but success: then blocks again
AGED_EVERY = 10  # batches: one is of the rows that have waited longest


class Blocks:
    """Which blocks are ready, and which are in flight.

    Args:
        max_wait_seconds: a row older than this is aged.
    """

    def __init__(self, entities: Entities, max_wait_seconds: float) -> None:
        self._entities = entities
        self._max_wait_seconds = max_wait_seconds
        self._ready: dict[int, deque[Block]] = {priority: deque() for priority in PRIORITIES}
        self._in_flight: dict[Block, None] = {}
        self._busy: set[Entity] = set()  # of those in flight
        self._calm = 0  # batches of rows since something else than success happened
        self._since_aged = 0  # batches

    def __iter__(self) -> Iterator[Block]:
        """All of them."""
        yield from self._in_flight
        for ready in self._ready.values():
            yield from ready

    def __contains__(self, block: Block) -> bool:
        """It is in flight, and still a block."""
        return block in self._in_flight

    def meet(self, page: Block) -> bool:
        """A row of this page is in a block, or its entity waits in a block of another lane: a till has changed priorities meanwhile."""
        first, last = page.ids[0], page.ids[-1]
        near = [block.ids for block in self if block.ids[0] <= last and first <= block.ids[-1]]
        if near and not set(page.ids).isdisjoint(chain.from_iterable(near)):
            return True
        others = [block.entities for priority, ready in self._ready.items() if priority != page.priority for block in ready]
        return bool(others) and not set(page.entities).isdisjoint(chain.from_iterable(others))

    @property
    def in_flight(self) -> Iterable[Block]:
        """Those that are with the hub, or have outcomes that are not durable yet."""
        return self._in_flight

    @property
    def rows_in_flight(self) -> int:
        """How many rows are with the hub, or have an outcome that is not durable yet."""
        return sum(map(len, self._in_flight))

    def add(self, block: Block) -> None:
        """A page was read."""
        self._ready[block.priority].append(block)
        self._entities.lanes[block.priority].ready_count += len(block)

    def take(self, limit: int, budget_bytes: int, now: float, age: Callable[[datetime], float]) -> Block | tuple[()] | None:
        """The next batch as a block, nothing, or None where its rows have to be picked one by one.

        To be asked only where no rows are in memory that are ready by themselves.

        Args:
            now: monotonic.
            age: seconds since a moment.
        """
        lanes = [priority for priority in PRIORITIES if self._ready[priority]]
        if not lanes:
            return ()
        wait = any(not lane.complete or lane.is_due(now) for p, lane in self._entities.lanes.items() if p < lanes[0])
        if wait or len(lanes) > 1:  # else they go in the order they were written, however old they are
            if not wait and sum(len(block) for p in lanes for block in self._ready[p]) <= limit:
                return None  # a sale's rows of several priorities: one message
            aged = self._take_aged(lanes, limit, budget_bytes, age)
            if aged is None or aged or wait:  # waits for more urgent ones that are still to be read
                return aged
        for priority in lanes:
            taken = self._take_of_lane(priority, limit, budget_bytes)
            lane = self._entities.lanes[priority]
            if taken is None or taken or not lane.complete or lane.is_due(now):
                return taken
        return ()

    def _take_aged(self, lanes: list[int], limit: int, budget_bytes: int, age: Callable[[datetime], float]) -> Block | tuple[()] | None:
        """One batch in ten: the oldest of the rows that have waited too long. See `take`, and `picker.py` for why not more."""
        firsts = {p: self._ready[p][0] for p in lanes if p > CRITICAL and age(self._ready[p][0].first_written()) > self._max_wait_seconds}
        if not firsts:
            self._since_aged = 0
            return ()
        self._since_aged += 1
        if self._since_aged < AGED_EVERY:
            return ()
        oldest = min(firsts, key=lambda priority: firsts[priority].ids[0])
        if oldest > lanes[0] and sum(map(len, self._ready[lanes[0]])) < limit:
            # A few urgent rows go in the next batch, whatever waits: if there are always some, together with aged ones.
            return None if self._since_aged >= 2 * AGED_EVERY else ()
        taken = self._take_of_lane(oldest, limit, budget_bytes)
        if taken:
            self._since_aged = 0
        return taken

    def _take_of_lane(self, priority: int, limit: int, budget_bytes: int) -> Block | tuple[()] | None:
        """See `take`; rows of an entity that is in flight stay, and those of the same entity behind them."""
        ready = self._ready[priority]
        while len(ready) > 1 and len(ready[0]) < limit:
            ready[0] = ready.popleft().joined(ready[0])
        block = ready[0]
        first = block.entities[:limit]
        if self._busy.isdisjoint(first) and self._entities.states.keys().isdisjoint(first):
            rows = block.fitting(limit, budget_bytes)
            block, rest = block[:rows], block[rows:]
        else:
            indices = self._idle(block, limit)
            if not indices:  # rows of other entities may be behind a long run of one: picked as rows, they pass it
                return None if len(ready) > 1 or not self._entities.lanes[priority].complete else ()
            indices = indices[: block.pick(indices).fitting(limit, budget_bytes)]
            block, rest = block.pick(indices), block.pick(sorted(set(range(len(block))).difference(indices)))
        if not block:
            return None
        if rest:
            ready[0] = rest
        else:
            ready.popleft()
        self._entities.lanes[priority].ready_count -= len(block)
        self._in_flight[block] = None
        self._busy.update(block.entities)
        return block

    def _idle(self, block: Block, limit: int) -> list[int]:
        """Positions of the first rows whose entities have nothing in flight, and no row in front that stays."""
        found: list[int] = []
        stays: set[Entity] = set()
        states = self._entities.states
        for index, entity in enumerate(block.entities):
            if entity in self._busy or entity in states or entity in stays:
                stays.add(entity)
            else:
                found.append(index)
                if len(found) == limit:
                    break
        return found

    def done(self, block: Block) -> None:
        """All of its rows are sent, durably."""
        del self._in_flight[block]
        self._busy.difference_update(block.entities)

    def unpack(self) -> None:
        """Something else than success has happened: make rows of all blocks."""
        self._calm = 0
        self.make_rows()

    def pack(self) -> None:
        """A batch of rows is about to be taken: make blocks of all in memory, where it is plain and it has been calm for a while."""
        self._calm += 1
        if self._calm < CALM_BATCHES:
            return
        self._calm = 0
        self.make_rows()
        rows = self._entities.give_up_plain() or ()
        for priority in PRIORITIES:
            if of_lane := [row for row in rows if row.priority == priority]:
                self.add(Block.of(of_lane))

    def make_rows(self) -> None:
        """Make rows of all blocks."""
        entities = self._entities
        for block in self._in_flight:
            for row in block:
                state = entities.state(row.entity)
                entities.in_flight[row.id] = row
                state.in_flight += 1
                state.urgency = min(row.priority, state.urgency)
        for ready in self._ready.values():
            for block in ready:
                entities.lanes[block.priority].ready_count -= len(block)
                for row in block:
                    entities.add_or_leave(row, entities.state(row.entity), row.priority)
        self._forget()

    def reset(self) -> None:
        """Forget what is ready; what is in flight becomes rows."""
        for ready in self._ready.values():
            ready.clear()
        self.unpack()

    def _forget(self) -> None:
        for ready in self._ready.values():
            ready.clear()
        self._in_flight.clear()
        self._busy.clear()
