"""Picks the rows of the next batch from those in memory.

* **Priority, then write order.** A batch is taken from the most urgent lane first; a row that is taken brings its
  entity's earlier, less urgent rows along, in front of it.
* **Nothing starves.** Up to a tenth of a batch is for rows that have waited longer than `max_wait_minutes`, oldest
  first. A tenth and not all of it: after a month without a line every row has waited that long, and the new Critical
  row must still be in the next batch.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from syncd.store.outbox import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from syncd.store.outbox import OutboxRow
    from syncd.uplink.entities import Entities

AGED_SHARE = 0.1  # of a batch, at most


class BatchPicker:
    """Takes rows out of their lanes.

    Args:
        max_wait_seconds: a row older than this is aged.
    """

    def __init__(self, entities: Entities, max_wait_seconds: float) -> None:
        self._entities = entities
        self._max_wait_seconds = max_wait_seconds
        self._aged_credit = 0.0  # rows; where a batch is small, a tenth of it is less than a row

    def pick(
        self, limit: int, fits: Callable[[OutboxRow], bool], now: float, age: Callable[[datetime], float], *, spread: bool
    ) -> list[OutboxRow]:
        """See `SendQueue.take`."""
        batch: list[OutboxRow] = []
        room = _Room(fits)
        share = self._aged_share(limit, batch, age)
        if spread:
            for priority in PRIORITIES:
                upto = min(limit, len(batch) + max(1, limit // len(PRIORITIES)))
                while len(batch) < upto and not room.full and (row := self._skip_to_ready(priority, batch)):
                    self._take(row, batch, room, upto)
        self._take_urgent(batch, room, limit - share, now)
        while share and not room.full and (row := self._oldest_aged(batch, age)) is not None:
            before = len(batch)
            self._take(row, batch, room, before + share)
            if len(batch) == before:
                break
            share -= min(share, len(batch) - before)
            self._aged_credit = max(0.0, self._aged_credit - (len(batch) - before))
        self._take_urgent(batch, room, limit, now)
        for row in batch:
            self._entities.states[row.entity].batch = None
        return batch

    def _aged_share(self, limit: int, batch: list[OutboxRow], age: Callable[[datetime], float]) -> int:
        """How many rows of this batch are for aged ones; 0 where there are none."""
        if self._oldest_aged(batch, age) is None:
            self._aged_credit = 0.0
            return 0
        self._aged_credit = min(self._aged_credit + limit * AGED_SHARE, max(1.0, limit * AGED_SHARE))
        return min(limit, int(self._aged_credit))

    def _oldest_aged(self, batch: list[OutboxRow], age: Callable[[datetime], float]) -> OutboxRow | None:
        """The first written of the less urgent rows that have waited too long."""
        firsts = (self._skip_to_ready(priority, batch) for priority in PRIORITIES[1:])
        aged = (row for row in firsts if row and age(row.created) > self._max_wait_seconds)
        return min(aged, key=lambda row: row.id, default=None)

    def _skip_to_ready(self, priority: int, batch: list[OutboxRow]) -> OutboxRow | None:
        """The lane's first row that may go into this batch; rows of blocked entities are parked on the way."""
        entities = self._entities
        lane = entities.lanes[priority]
        while lane.ready:
            row = entities.queued.get(lane.ready[0])
            if row is None or entities.lane_of[row.id] != priority or entities.parked(row.id):
                heapq.heappop(lane.ready)  # it has left this lane by another way
                continue
            state = entities.states[row.entity]
            if not state.blocked or state.batch is batch:
                return row
            entities.park(row, state)
        return None

    def _take_urgent(self, batch: list[OutboxRow], room: _Room, limit: int, now: float) -> None:
        for priority in PRIORITIES:
            while len(batch) < limit and not room.full and (row := self._skip_to_ready(priority, batch)):
                self._take(row, batch, room, limit)
            lane = self._entities.lanes[priority]
            if not lane.complete or lane.is_due(now):
                return  # there are more of these on disk: what is less urgent waits until they are read

    def _take(self, row: OutboxRow, batch: list[OutboxRow], room: _Room, limit: int) -> None:
        """This row, its entity's earlier ones first, as far as there is room."""
        entities = self._entities
        state = entities.states[row.entity]
        while state.queued and state.queued[0] <= row.id:
            if len(batch) >= limit or not room.take(entities.queued[state.queued[0]]):
                return
            entities.send_first(state, batch, row.priority)


class _Room:
    """How much more a batch holds."""

    def __init__(self, fits: Callable[[OutboxRow], bool]) -> None:
        self._fits = fits
        self.full = False

    def take(self, row: OutboxRow) -> bool:
        if not self._fits(row):
            self.full = True
        return not self.full
