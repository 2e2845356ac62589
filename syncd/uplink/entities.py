"""The rows in memory, and what each entity may do with its own: give them, keep them parked, or leave them on disk.

An entity whose rows are in flight, or that waits for a retry, gives nothing. Of such an entity few rows stay in memory
(*parked*: out of their lane, until the entity can give them); the others are *left on disk*, and read again, by entity,
when it can. `unread_after` says that there are such rows. Where the first of an entity's rows was refused, all of them
are left there: in memory is only when the first of all those retries is due (`Lane.due`).
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import OrderedDict
from typing import TYPE_CHECKING

from syncd.store.outbox import LOW, PRIORITIES
from syncd.uplink.entity_state import EntityState
from syncd.uplink.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncd.store.outbox import Entity, OutboxRow

PARKED_ROWS_AN_ENTITY = 200
PARKED_ROWS = 4000  # of all entities together


class Entities:
    """Which rows are in memory, by entity and by lane.

    Attributes:
        lanes: by priority.
        states: what is known of each entity that has rows in memory, in flight or left on disk, or that is held.
        queued: rows in memory that are not in flight, by id.
        lane_of: the priority at which each of those goes: its own, or the one that it was promoted to.
        in_flight: rows that are with the hub, or have an outcome that is not durable yet, by id.
        to_read: entities that can give rows, and have them on disk only.
    """

    def __init__(self) -> None:
        self.lanes = {priority: Lane() for priority in PRIORITIES}
        self.states: dict[Entity, EntityState] = {}
        self.queued: dict[int, OutboxRow] = {}
        self.lane_of: dict[int, int] = {}
        self.in_flight: dict[int, OutboxRow] = {}
        self.to_read: OrderedDict[Entity, None] = OrderedDict()
        self._parked: set[int] = set()
        self._holds: list[tuple[float, Entity]] = []  # a heap; an entity released early is still in it

    def state(self, entity: Entity) -> EntityState:
        """What is known of this entity; it is known from now on."""
        state = self.states.get(entity)
        if state is None:
            state = self.states[entity] = EntityState()
        return state

    def crowded(self, state: EntityState) -> bool:
        """No more of its rows are kept in memory while it is blocked."""
        return len(state.queued) >= PARKED_ROWS_AN_ENTITY or len(self._parked) >= PARKED_ROWS

    # ── rows come and go ──────────────────────────────────────────────────────────────────────────────────────────
    def add(self, row: OutboxRow, state: EntityState, priority: int) -> None:
        """Take a row into memory, ready at this priority."""
        self.queued[row.id] = row
        insort(state.queued, row.id)
        self.lane_of[row.id] = priority
        self.lanes[priority].add(row.id)

    def add_or_leave(self, row: OutboxRow, state: EntityState, priority: int) -> None:
        """Take a row into memory, or leave it and its entity's later ones on disk, where they have to wait anyway."""
        if state.held_until is not None or (state.in_flight and self.crowded(state)):
            self.leave_on_disk(row.entity, row.id - 1, row.priority)
        else:
            self.add(row, state, priority)

    def parked(self, row_id: int) -> bool:
        """This row is in no lane."""
        return row_id in self._parked

    def park(self, row: OutboxRow, state: EntityState) -> None:
        """Keep the first row of a lane, which its entity cannot give now, out of that lane."""
        lane = self.lanes[self.lane_of[row.id]]
        heapq.heappop(lane.ready)
        lane.ready_count -= 1
        self._parked.add(row.id)
        state.parked.append(row)
        if self.crowded(state):
            kept = state.queued[: PARKED_ROWS_AN_ENTITY // 2]
            self.leave_on_disk(row.entity, kept[-1], row.priority)

    def leave_on_disk(self, entity: Entity, after_id: int, priority: int = LOW) -> None:
        """Drop an entity's rows behind an id from memory; they are read again when it can give them.

        Args:
            priority: the most urgent among rows that are on disk only.
        """
        state = self.state(entity)
        state.unread_after = after_id if state.unread_after is None else min(state.unread_after, after_id)
        state.promoted_to = min(state.promoted_to, priority)
        while state.queued and state.queued[-1] > after_id:
            state.promoted_to = min(state.promoted_to, self.lane_of[state.queued[-1]])
            self._drop_last(state)

    def drop_after(self, state: EntityState, after_id: int) -> None:
        """Drop an entity's rows behind an id from memory; who drops them knows when they are read again."""
        while state.queued and state.queued[-1] > after_id:
            self._drop_last(state)

    def _drop_last(self, state: EntityState) -> None:
        row_id = state.queued.pop()
        row = self.queued.pop(row_id)
        priority = self.lane_of.pop(row_id)
        if row_id in self._parked:
            self._parked.discard(row_id)
            state.parked.remove(row)
        else:
            self.lanes[priority].ready_count -= 1

    def send_first(self, state: EntityState, batch: list[OutboxRow], urgency: int) -> None:
        """An entity's first row goes into this batch, because of a row of this priority."""
        row_id = state.queued.pop(0)
        row = self.queued.pop(row_id)
        priority = self.lane_of.pop(row_id)
        self.lanes[priority].ready_count -= 1
        self.in_flight[row_id] = row
        state.in_flight += 1
        state.urgency = min(priority, urgency, state.urgency)
        state.batch = batch
        batch.append(row)

    def no_longer_in_flight(self, row: OutboxRow) -> EntityState:
        """A row is no longer in flight; its entity's state."""
        del self.in_flight[row.id]
        state = self.states[row.entity]
        state.in_flight -= 1
        if not state.in_flight:
            state.urgency = LOW
        return state

    def give_up_plain(self) -> list[OutboxRow] | None:
        """All rows in memory that are not in flight, where each is plain and goes by itself; they are forgotten here. Else None.

        By itself: in the lane of its own priority, with nothing to know of its entity but that rows may be in flight. What is known of
        entities that have no row in memory stays.
        """
        lane_of, parked = self.lane_of, self._parked
        if parked or self.to_read or not all(row.plain and lane_of[row.id] == row.priority for row in self.queued.values()):
            return None
        for state in self.states.values():
            if state.queued and (not state.only_moves or len({lane_of[row_id] for row_id in state.queued}) > 1):
                return None
        rows = [self.queued[row_id] for row_id in sorted(self.queued)]
        for entity, state in list(self.states.items()):
            state.queued.clear()
            if state.idle:
                del self.states[entity]
        self.queued.clear()
        lane_of.clear()
        for lane in self.lanes.values():
            lane.ready.clear()
            lane.ready_count = 0
        return rows

    # ── entities are held, and released ───────────────────────────────────────────────────────────────────────────
    def hold(self, entity: Entity, row_id: int, until: float) -> None:
        """From this row on an entity gives nothing before that moment (monotonic)."""
        state = self.state(entity)
        state.held_until = until if state.held_until is None else max(state.held_until, until)
        self.leave_on_disk(entity, row_id - 1)
        heapq.heappush(self._holds, (until, entity))

    def hold_until_a_person_acts(self, entity: Entity, failed_id: int) -> None:
        """An entity gives nothing from this row on, until all is read afresh."""
        state = self.state(entity)
        state.failed_from = failed_id if state.failed_from is None else min(failed_id, state.failed_from)
        self.drop_after(state, state.failed_from - 1)
        self.settle(entity)

    def release(self, entity: Entity) -> None:
        """What it was held for has come early."""
        state = self.states.get(entity)
        if state is not None and state.held_until is not None:
            state.held_until = None
            self.settle(entity)

    def release_due(self, now: float) -> None:
        """Release the entities whose moment has come (monotonic)."""
        while self._holds and self._holds[0][0] <= now:
            until, entity = heapq.heappop(self._holds)
            state = self.states.get(entity)
            if state is not None and state.held_until == until:
                state.held_until = None
                self.settle(entity)

    def next_release(self) -> float | None:
        """The earliest moment (monotonic) at which an entity may be released; None where none is held for a time."""
        return self._holds[0][0] if self._holds else None

    def settle(self, entity: Entity) -> None:
        """To be called after a change: has the rows of an entity that is not blocked put into their lanes, or read."""
        state = self.states.get(entity)
        if state is None or state.blocked:
            return
        for row in state.parked:
            self._parked.discard(row.id)
            self.lanes[self.lane_of[row.id]].add(row.id)
        state.parked.clear()
        if state.unread_after is not None and not state.queued:
            self.to_read[entity] = None
        elif state.idle:
            del self.states[entity]

    # ── all of them ───────────────────────────────────────────────────────────────────────────────────────────────
    def reset(self) -> None:
        """Forget everything but what is in flight."""
        for entity, state in list(self.states.items()):
            state.queued.clear()
            state.parked.clear()
            state.held_until, state.failed_from, state.waits_from = None, None, None
            state.unread_after, state.promoted_to = None, LOW
            if not state.in_flight:
                del self.states[entity]
        self.queued.clear()
        self.lane_of.clear()
        self.to_read.clear()
        self._parked.clear()
        self._holds.clear()
        for priority in PRIORITIES:
            self.lanes[priority] = Lane()

    def rows(self) -> Iterable[OutboxRow]:
        """All rows in memory, in no order."""
        yield from self.in_flight.values()
        yield from self.queued.values()
