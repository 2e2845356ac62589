"""Which page of the outbox is read next, and how a page comes into memory.

Rows are decided, refused and written while a page is being read, and the page knows nothing of it: `_Meanwhile` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.store.block import Block
from syncd.store.outbox import LOW, DuePage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from syncd.store.outbox import Entity, OutboxRow, Page
    from syncd.uplink.blocks import Blocks
    from syncd.uplink.entities import Entities


@dataclass(frozen=True, slots=True)
class LoadLane:
    """Please read the next page of this priority."""

    priority: int
    after_id: int


@dataclass(frozen=True, slots=True)
class LoadEntity:
    """Please read the next page of this entity."""

    entity: Entity
    after_id: int


@dataclass(frozen=True, slots=True)
class LoadDue:
    """Please read the next rows of this priority whose retry is due, with those behind them."""

    priority: int


Load = LoadLane | LoadEntity | LoadDue


@dataclass(slots=True)
class _Meanwhile:
    """What has happened since a page began to be read; the page does not know it.

    Attributes:
        finished: rows that were decided or refused: they are not taken in again.
        new_rows: priorities of which there are newer rows.
        waits: entities that wait for a retry, and from which row on.
        due: when the first of those retries is due (monotonic), by priority.
    """

    finished: set[int] = field(default_factory=set)
    new_rows: set[int] = field(default_factory=set)
    waits: dict[Entity, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)


class Pages:
    """Reads nothing itself: says what to read, and takes it in.

    Args:
        page_rows: how many rows a lane keeps ready.
    """

    def __init__(self, entities: Entities, blocks: Blocks, page_rows: int) -> None:
        self._entities = entities
        self._blocks = blocks
        self._lanes = entities.lanes
        self._page_rows = page_rows
        self._turn = 0
        self._meanwhile: _Meanwhile | None = None  # while a page is being read

    def next_load(self, now: float, *, fresh_first: bool) -> Load | None:
        """See `SendQueue.next_load`."""
        room = [(p, lane) for p, lane in self._lanes.items() if lane.ready_count < self._page_rows]
        states = self._entities.states
        entities = (LoadEntity(e, after) for e in self._entities.to_read if (after := states[e].unread_after) is not None)
        lanes = (LoadLane(p, lane.after_id) for p, lane in room if not lane.complete)
        due = (LoadDue(p) for p, lane in room if lane.is_due(now) and not (fresh_first and lane.ready_count))
        kinds: list[Iterator[Load]] = [entities, lanes, due]
        return next((load for kind in kinds[self._turn :] + kinds[: self._turn] for load in kind), None)

    def begin_load(self) -> None:
        """A page is about to be read. The kinds of pages take turns, so that none waits for the end of the others."""
        self._turn = (self._turn + 1) % 3
        self._meanwhile = _Meanwhile()

    def add(self, load: Load, page: Page, now: float, retry_in: Callable[[datetime], float], next_due: float | None) -> None:
        """See `SendQueue.add_page`."""
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is None:  # `reset` came in between: this page belongs to what was forgotten
            return
        if isinstance(load, LoadLane) and self._is_plain(page, meanwhile):
            self._read_up_to(load.priority, page, meanwhile)
            if isinstance(page.rows, Block):
                self._blocks.add(page.rows)
            return
        self._blocks.unpack()
        adder = _Adder(self._entities, now, retry_in, meanwhile)
        match load:
            case LoadLane():
                self._add_lane(load.priority, page, adder)
            case LoadEntity():
                self._add_entity(load, page, adder)
            case LoadDue():
                assert isinstance(page, DuePage)
                self._add_due(load.priority, page, next_due, adder)

    def _is_plain(self, page: Page, meanwhile: _Meanwhile) -> bool:
        """It is empty, or a block, and nothing is known of its rows; of their entities no more than that rows are in flight."""
        block = page.rows
        if not isinstance(block, Block):
            return not (block or page.earlier or page.cut_entities)
        entities = self._entities
        in_memory = (entities.in_flight, entities.queued)
        if self._blocks.meet(block) or not all(rows.keys().isdisjoint(block.ids) for rows in in_memory if rows):
            return False
        if entities.states and not entities.states.keys().isdisjoint(block.entities):
            known = (state for entity in block.entities if (state := entities.states.get(entity)) is not None)
            if not all(state.only_moves and not state.queued for state in known):
                return False
        waits = meanwhile.waits
        return not (waits and any(entity in waits for entity in block.entities)) and meanwhile.finished.isdisjoint(block.ids)

    def _read_up_to(self, priority: int, page: Page, meanwhile: _Meanwhile) -> None:
        lane = self._lanes[priority]
        lane.after_id, lane.complete = page.after_id, page.complete and priority not in meanwhile.new_rows

    def _add_lane(self, priority: int, page: Page, adder: _Adder) -> None:
        self._read_up_to(priority, page, adder.meanwhile)
        last_earlier = {}
        for row in page.earlier:
            last_earlier[row.entity] = row.id
            adder.add(row, row.priority)
        for entity in page.cut_entities:  # there are still more in front of this page's rows: read them by entity
            self._entities.leave_on_disk(entity, last_earlier[entity], priority)
        for row in page.rows:
            adder.add(row, row.priority)
        for entity in page.cut_entities:
            self._entities.settle(entity)

    def _add_entity(self, load: LoadEntity, page: Page, adder: _Adder) -> None:
        self._entities.to_read.pop(load.entity, None)
        state = self._entities.state(load.entity)
        if state.unread_after == load.after_id:  # else a row in front of this page is on disk again, and is read first
            state.unread_after = None if page.complete else page.after_id
            promoted_to = state.promoted_to
            for row in page.rows:
                adder.add(row, min(row.priority, promoted_to))
            if page.complete:
                state.promoted_to = LOW
        self._entities.settle(load.entity)

    def _add_due(self, priority: int, page: DuePage, next_due: float | None, adder: _Adder) -> None:
        meanwhile = adder.meanwhile
        self._lanes[priority].due = min((at for at in (next_due, meanwhile.due.get(priority)) if at is not None), default=None)
        last = {row.entity: row.id for row in page.rows}
        promoted = {row.entity for row in page.rows if page.entities.get(row.entity) == row.id and row.priority > priority}
        for entity in page.entities:
            if entity not in meanwhile.waits and (state := self._entities.states.get(entity)) is not None:
                state.waits_from = None
        for row in page.rows:
            adder.add(row, min(row.priority, priority) if row.entity in promoted else row.priority)
        for entity in page.cut_entities:
            self._entities.leave_on_disk(entity, last[entity], priority if entity in promoted else LOW)
        for entity in page.entities:
            self._entities.settle(entity)

    # ── what happens meanwhile ────────────────────────────────────────────────────────────────────────────────────
    def new_rows(self, priorities: Iterable[int]) -> None:
        """There are newer rows of these priorities than were read."""
        for priority in priorities:
            self._lanes[priority].complete = False
            if self._meanwhile is not None:
                self._meanwhile.new_rows.add(priority)

    def finished(self, row_ids: Iterable[int]) -> None:
        """They are decided, or wait in memory: they are not taken in again."""
        if self._meanwhile is not None:
            self._meanwhile.finished.update(row_ids)

    def waits_on_disk(self, entity: Entity, first_id: int, priority: int, due: float) -> None:
        """From this row on an entity waits for a retry, which is due then (monotonic)."""
        self._lanes[priority].due_at(due)
        if self._meanwhile is not None:
            self._meanwhile.waits[entity] = first_id
            self._meanwhile.due[priority] = min(due, self._meanwhile.due.get(priority, due))

    def reset(self) -> None:
        """Forget the page that is being read."""
        self._meanwhile = None


@dataclass(frozen=True, slots=True)
class _Adder:
    """Takes the rows of one page into memory, in the order in which they were written."""

    entities: Entities
    now: float
    retry_in: Callable[[datetime], float]
    meanwhile: _Meanwhile

    def add(self, row: OutboxRow, priority: int) -> None:
        entities = self.entities
        if row.id in entities.queued or row.id in entities.in_flight or row.id in self.meanwhile.finished:
            return
        if (first := self.meanwhile.waits.get(row.entity)) is not None and row.id >= first:
            return
        state = entities.state(row.entity)
        if state.failed_from is not None and row.id > state.failed_from:
            return
        if state.unread_after is not None and row.id > state.unread_after:  # it comes with its entity's page, in order
            state.promoted_to = min(state.promoted_to, row.priority)
        elif row.retry_at is not None and (seconds := self.retry_in(row.retry_at)) > 0:
            entities.hold(row.entity, row.id, self.now + seconds)
        else:
            entities.add_or_leave(row, state, priority)
