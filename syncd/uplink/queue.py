"""Which rows go out next: the contract's laws of sending, in memory, without a database or a hub.

* **Priority, then write order.** Each priority is a lane, filled page by page in id order; a batch is taken from the most urgent first.
* **An entity's rows go out in the order they were written.** A row that is taken brings its entity's earlier, less urgent rows along, in
  front of it; an entity whose rows are in flight, or wait for a retry, gives nothing more until they are back.
* **Nothing starves.** Up to a tenth of a batch is for rows that have waited longer than `max_wait_minutes`, oldest first. A tenth and not
  all of it: after a month without a line every row has waited that long, and the new Critical row must still be in the next batch.
* **Flat memory.** An entity that cannot give its rows now keeps few of them; the others are *left on disk* and read again, by entity, when
  it can. That is the one idea here that is not obvious: `_Entity.unread_after` says that there are such rows. An entity whose row
  was refused leaves all of them there: in memory is only when the first of all those retries is due.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.store.outbox import MIN_ID, PRIORITIES, DuePage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from syncd.store.outbox import Entity, OutboxRow, Page

AGED_SHARE = 0.1  # of a batch, at most
PARKED_ROWS_AN_ENTITY = 200  # an entity in flight keeps so many of its later rows in memory
PARKED_ROWS = 4000  # all of them together
REMEMBERED_ENTITIES = 50_000  # whose position is remembered, to save reading


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
class _Lane:
    after_id: int = MIN_ID
    complete: bool = False
    due: float | None = None  # monotonic; when the first retry of those that wait on disk is due
    ready: list[int] = field(default_factory=list)  # a heap of ids; some may have left by another way
    ready_count: int = 0


@dataclass(slots=True)
class _Entity:
    queued: list[int] = field(default_factory=list)  # ids in memory and not in flight, ascending
    parked: list[OutboxRow] = field(default_factory=list)  # those of them that a lane has passed by meanwhile
    in_flight: int = 0
    urgency: int = 4  # the most urgent priority among those
    batch: object = None  # the batch being put together, while it takes from here
    held_until: float | None = None  # monotonic; infinity: until somebody retries or cancels its failed row
    waits_from: int | None = None  # this row was refused: it and those behind it wait on disk
    unread_after: int | None = None  # there are rows after this id that were left on disk
    boost: int = 4  # the most urgent priority among those

    @property
    def blocked(self) -> bool:
        return self.in_flight > 0 or self.held_until is not None

    @property
    def idle(self) -> bool:
        return not (self.queued or self.in_flight or self.held_until is not None or self.unread_after is not None)


class SendQueue:
    """The rows that wait, as far as they are in memory.

    Args:
        max_wait_seconds: a row older than this is promoted.
        page_rows: how many rows a lane keeps ready.
    """

    def __init__(self, *, max_wait_seconds: float, page_rows: int) -> None:
        self._max_wait = max_wait_seconds
        self.page_rows = page_rows
        self._lanes = {priority: _Lane() for priority in PRIORITIES}
        self._rows: dict[int, OutboxRow] = {}  # queued
        self._lane_of: dict[int, int] = {}  # of queued rows: the lane they are in, by promotion or their own
        self._parked: set[int] = set()
        self._in_flight: dict[int, OutboxRow] = {}
        self._entities: dict[Entity, _Entity] = {}
        self._refill: OrderedDict[Entity, None] = OrderedDict()
        self._holds: list[tuple[float, Entity]] = []
        self._positions: OrderedDict[Entity, int] = OrderedDict()
        self._finished_meanwhile: set[int] | None = None  # while a page is being read
        self._grown_meanwhile: set[int] = set()
        self._waits_meanwhile: dict[Entity, int] = {}
        self._due_meanwhile: dict[int, float] = {}
        self._turn = 0
        self._aged_credit = 0.0

    # ── loading ───────────────────────────────────────────────────────────────────────────────────────────────────
    def wants(self, now: float, *, fresh_first: bool = False) -> Load | None:
        """What should be read next, the most urgent first; None if nothing.

        Args:
            now: monotonic.
            fresh_first: a lane wants its retries only where nothing else is ready.
        """
        self._turn = (self._turn + 1) % 3  # in turn, so that none waits for the end of the others
        room = [(p, lane) for p, lane in self._lanes.items() if lane.ready_count < self.page_rows]
        entities = (LoadEntity(e, after) for e in self._refill if (after := self._entities[e].unread_after) is not None)
        lanes = (LoadLane(p, lane.after_id) for p, lane in room if not lane.complete)
        due = (LoadDue(p) for p, lane in room if lane.due is not None and lane.due <= now and not (fresh_first and lane.ready_count))
        kinds: list[Iterator[Load]] = [entities, lanes, due]
        return next((load for kind in kinds[self._turn :] + kinds[: self._turn] for load in kind), None)

    def loading(self) -> None:
        """A page is about to be read: what is finished from now on must not be taken in again from it."""
        self._finished_meanwhile = set()
        self._grown_meanwhile.clear()
        self._waits_meanwhile.clear()
        self._due_meanwhile.clear()

    def position(self, entity: Entity) -> int:
        """All rows of this entity up to this id are done; `MIN_ID` where nothing is known."""
        return self._positions.get(entity, MIN_ID)

    def offer(self, load: Load, page: Page, now: float, retry_in: Callable[[datetime], float], *, next_due: float | None = None) -> None:
        """Take a page in.

        Args:
            now: monotonic.
            retry_in: seconds from now until a row's `retry_at`.
            next_due: monotonic; with a `DuePage`, when the next retry of that priority is due.
        """
        finished, self._finished_meanwhile = self._finished_meanwhile, None
        if finished is None:  # `reset` came in between: this page belongs to what was forgotten
            return
        if isinstance(load, LoadLane):
            lane = self._lanes[load.priority]
            lane.after_id, lane.complete = page.after_id, page.complete and load.priority not in self._grown_meanwhile
        elif isinstance(load, LoadDue):
            assert isinstance(page, DuePage)
            self._take_due(load.priority, page, now, retry_in, next_due, finished)
            return
        else:
            self._refill.pop(load.entity, None)
            state = self._entity(load.entity)
            state.unread_after = None if page.complete else page.after_id
        boost = self._entity(load.entity).boost if isinstance(load, LoadEntity) else 4
        cut = {}
        for row in page.earlier:
            cut[row.entity] = row.id
            self._add(row, row.priority, now, retry_in, finished)
        for entity in page.cut_entities:  # there are still more in front of this page's rows: read them by entity
            self._leave_on_disk(entity, cut[entity], load.priority if isinstance(load, LoadLane) else 4)
        for row in page.rows:
            self._add(row, min(row.priority, boost), now, retry_in, finished)
        if isinstance(load, LoadEntity):
            if page.complete:
                self._entity(load.entity).boost = 4
            self._settle(load.entity)
        for entity in page.cut_entities:
            self._settle(entity)

    def _take_due(
        self,
        priority: int,
        page: DuePage,
        now: float,
        retry_in: Callable[[datetime], float],
        next_due: float | None,
        finished: set[int],
    ) -> None:
        lane = self._lanes[priority]
        lane.due = min((at for at in (next_due, self._due_meanwhile.get(priority)) if at is not None), default=None)
        last = {row.entity: row.id for row in page.rows}
        promoted = {row.entity for row in page.rows if page.entities.get(row.entity) == row.id and row.priority > priority}
        for entity in page.entities:
            if entity not in self._waits_meanwhile and (state := self._entities.get(entity)) is not None:
                state.waits_from = None
        for row in page.rows:
            self._add(row, min(row.priority, priority) if row.entity in promoted else row.priority, now, retry_in, finished)
        for entity in page.cut_entities:
            self._leave_on_disk(entity, last[entity], priority if entity in promoted else 4)
        for entity in page.entities:
            self._settle(entity)

    def _add(self, row: OutboxRow, priority: int, now: float, retry_in: Callable[[datetime], float], finished: set[int]) -> None:
        if row.id in self._rows or row.id in self._in_flight or row.id in finished:
            return
        if (first := self._waits_meanwhile.get(row.entity)) is not None and row.id >= first:
            return
        state = self._entity(row.entity)
        if state.unread_after is not None and row.id > state.unread_after:  # it comes with its entity's page, in order
            state.boost = min(state.boost, row.priority)
            return
        if row.retry_at is not None and (seconds := retry_in(row.retry_at)) > 0:
            self._hold(row.entity, row.id, now + seconds)
            return
        if state.held_until is not None or (state.in_flight and self._crowded(state)):
            self._leave_on_disk(row.entity, row.id - 1, row.priority)
            return
        self._rows[row.id] = row
        insort(state.queued, row.id)
        self._ready(row, priority)

    def _crowded(self, state: _Entity) -> bool:
        return len(state.queued) >= PARKED_ROWS_AN_ENTITY or len(self._parked) >= PARKED_ROWS

    def _ready(self, row: OutboxRow, priority: int) -> None:
        lane = self._lanes[priority]
        self._lane_of[row.id] = priority
        heapq.heappush(lane.ready, row.id)
        lane.ready_count += 1

    def _leave_on_disk(self, entity: Entity, after_id: int, priority: int) -> None:
        """Forget an entity's rows behind an id; they are read again when it can give them."""
        state = self._entity(entity)
        state.unread_after = after_id if state.unread_after is None else min(state.unread_after, after_id)
        state.boost = min(state.boost, priority)
        while state.queued and state.queued[-1] > after_id:
            state.boost = min(state.boost, self._lane_of[state.queued[-1]])
            self._drop(state, state.queued.pop())

    def _drop(self, state: _Entity, row_id: int) -> None:
        row = self._rows.pop(row_id)
        lane = self._lane_of.pop(row_id)
        if row_id in self._parked:
            self._parked.discard(row_id)
            state.parked.remove(row)
        else:
            self._lanes[lane].ready_count -= 1

    def grown(self, priorities: Iterable[int] = PRIORITIES) -> None:
        """There are newer rows of these priorities than were read."""
        for priority in priorities:
            self._lanes[priority].complete = False
            self._grown_meanwhile.add(priority)

    def reset(self) -> None:
        """Forget everything but what is in flight, and read the backlog afresh."""
        self._finished_meanwhile = None
        for entity, state in list(self._entities.items()):
            state.queued.clear()
            state.parked.clear()
            state.held_until, state.waits_from, state.unread_after, state.boost = None, None, None, 4
            if not state.in_flight:
                del self._entities[entity]
        self._rows.clear()
        self._lane_of.clear()
        self._parked.clear()
        self._refill.clear()
        self._holds.clear()
        self._positions.clear()
        self._lanes = {priority: _Lane() for priority in PRIORITIES}

    def waits_on_disk(self, next_due: dict[int, float]) -> None:
        """When the first retry of each priority is due (monotonic), of rows that wait on disk."""
        for priority, due in next_due.items():
            lane = self._lanes[priority]
            lane.due = due if lane.due is None else min(due, lane.due)

    # ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────
    def take(
        self, limit: int, fits: Callable[[OutboxRow], bool], now: float, age: Callable[[OutboxRow], float], *, spread: bool = False
    ) -> list[OutboxRow]:
        """The next batch, in the order in which it must be processed; its entities are busy until its rows are back.

        Args:
            limit: rows at most.
            fits: whether one more row has room; asked once a row, in order, and taken at its word.
            now: monotonic.
            age: seconds since a row was written.
            spread: some of each priority, whatever waits of the more urgent ones.
        """
        self._expire(now)
        batch: list[OutboxRow] = []
        room = _Room(limit, fits)
        share = self._aged_share(limit, batch, age)
        if spread:
            for priority in PRIORITIES:
                upto = len(batch) + max(1, limit // len(PRIORITIES))
                while len(batch) < min(upto, limit) and not room.full and (row := self._head(priority, batch)):
                    self._take_row(row, batch, room, min(upto, limit))
        self._take_urgent(batch, room, limit - share, now)
        while share and not room.full and (row := self._oldest(batch, age)) is not None:
            before = len(batch)
            self._take_row(row, batch, room, len(batch) + share)
            if len(batch) == before:
                break
            share -= min(share, len(batch) - before)
            self._aged_credit = max(0.0, self._aged_credit - (len(batch) - before))
        self._take_urgent(batch, room, limit, now)
        for row in batch:
            self._entities[row.entity].batch = None
        return batch

    def _aged_share(self, limit: int, batch: list[OutboxRow], age: Callable[[OutboxRow], float]) -> int:
        if self._oldest(batch, age) is None:
            self._aged_credit = 0.0
            return 0
        self._aged_credit = min(self._aged_credit + limit * AGED_SHARE, max(1.0, limit * AGED_SHARE))
        return min(limit, int(self._aged_credit))

    def _oldest(self, batch: list[OutboxRow], age: Callable[[OutboxRow], float]) -> OutboxRow | None:
        """The first written of the less urgent rows that have waited too long."""
        heads = (row for priority in PRIORITIES[1:] if (row := self._head(priority, batch)) and age(row) > self._max_wait)
        return min(heads, key=lambda row: row.id, default=None)

    def _head(self, priority: int, batch: list[OutboxRow]) -> OutboxRow | None:
        """The lane's first row that may go now; rows of blocked entities are parked on the way."""
        lane = self._lanes[priority]
        while lane.ready:
            row = self._rows.get(lane.ready[0])
            if row is None or self._lane_of[row.id] != priority or row.id in self._parked:
                heapq.heappop(lane.ready)
                continue
            state = self._entities[row.entity]
            if not state.blocked or state.batch is batch:
                return row
            heapq.heappop(lane.ready)
            lane.ready_count -= 1
            self._parked.add(row.id)
            state.parked.append(row)
            if self._crowded(state):
                kept = state.queued[: PARKED_ROWS_AN_ENTITY // 2]
                self._leave_on_disk(row.entity, kept[-1], row.priority)
        return None

    def _take_urgent(self, batch: list[OutboxRow], room: _Room, limit: int, now: float) -> None:
        for priority in PRIORITIES:
            while len(batch) < limit and not room.full and (row := self._head(priority, batch)):
                self._take_row(row, batch, room, limit)
            lane = self._lanes[priority]
            if not lane.complete or (lane.due is not None and lane.due <= now):
                return  # there are more of these on disk: what is less urgent waits until they are read

    def _take_row(self, row: OutboxRow, batch: list[OutboxRow], room: _Room, limit: int) -> None:
        """This row, its entity's earlier ones first."""
        state = self._entities[row.entity]
        while state.queued and state.queued[0] <= row.id:
            first = self._rows[state.queued[0]]
            if len(batch) >= limit or not room.take(first):
                return
            state.queued.pop(0)
            del self._rows[first.id]
            lane = self._lane_of.pop(first.id)
            self._lanes[lane].ready_count -= 1
            self._in_flight[first.id] = first
            state.in_flight += 1
            state.urgency = min(lane, row.priority, state.urgency)
            state.batch = batch
            batch.append(first)

    # ── coming back ───────────────────────────────────────────────────────────────────────────────────────────────
    def done(self, row: OutboxRow) -> None:
        """Its outcome is final, and durable."""
        self._landed(row)
        if self._finished_meanwhile is not None:
            self._finished_meanwhile.add(row.id)
        self._positions[row.entity] = max(row.id, self._positions.get(row.entity, MIN_ID))
        self._positions.move_to_end(row.entity)
        if len(self._positions) > REMEMBERED_ENTITIES:
            self._positions.popitem(last=False)
        self._settle(row.entity)

    def wait(self, row: OutboxRow, until: float) -> None:
        """It was refused: its entity waits for its retry (monotonic; infinity: for a person)."""
        self._landed(row)
        if self._finished_meanwhile is not None:
            self._finished_meanwhile.add(row.id)
        self._hold(row.entity, row.id, until)

    def urgency(self, row: OutboxRow) -> int:
        """The priority at which a row that is in flight is tried again: its own, or the most urgent of those that wait for it."""
        state = self._entities[row.entity]
        behind = [self._lane_of[row_id] for row_id in state.queued]
        return min([row.priority, state.urgency, *behind, *([state.boost] if state.unread_after is not None else [])])

    def retry(self, row: OutboxRow, due: float, urgency: int) -> None:
        """It was refused, which is durable: from this row on its entity waits on disk until the retry is due (monotonic)."""
        self._landed(row)
        state = self._entity(row.entity)
        state.waits_from = row.id if state.waits_from is None else min(row.id, state.waits_from)
        while state.queued and state.queued[-1] > row.id:
            self._drop(state, state.queued.pop())
        if state.unread_after is not None and state.unread_after >= row.id - 1:
            state.unread_after = None
            self._refill.pop(row.entity, None)
        self.waits_on_disk({urgency: due})
        if self._finished_meanwhile is not None:
            self._waits_meanwhile[row.entity] = state.waits_from
            self._due_meanwhile[urgency] = min(due, self._due_meanwhile.get(urgency, due))
        self._settle(row.entity)

    def back(self, row: OutboxRow) -> None:
        """It was not processed, through no fault of its own: it goes again."""
        self._landed(row)
        state = self._entity(row.entity)
        if state.waits_from is not None and row.id > state.waits_from:
            self._settle(row.entity)
            return
        if state.held_until is not None or (state.unread_after is not None and row.id > state.unread_after):
            self._leave_on_disk(row.entity, row.id - 1, row.priority)
        else:
            self._rows[row.id] = row
            insort(state.queued, row.id)
            self._ready(row, row.priority)
        self._settle(row.entity)

    def release(self, entity: Entity) -> None:
        """What it waited for need not be waited for any more."""
        state = self._entities.get(entity)
        if state is not None and state.held_until not in (None, float("inf")):
            state.held_until = None
            self._settle(entity)

    def hold(self, entity: Entity) -> None:
        """Keep an entity back until a person has looked at its failed row."""
        state = self._entity(entity)
        state.held_until = float("inf")
        if state.queued:
            self._leave_on_disk(entity, state.queued[0] - 1, 4)

    def _landed(self, row: OutboxRow) -> None:
        del self._in_flight[row.id]
        state = self._entities[row.entity]
        state.in_flight -= 1
        state.urgency = state.urgency if state.in_flight else 4

    def _hold(self, entity: Entity, row_id: int, until: float) -> None:
        state = self._entity(entity)
        state.held_until = until if state.held_until is None else max(state.held_until, until)
        self._leave_on_disk(entity, row_id - 1, 4)
        if until != float("inf"):
            heapq.heappush(self._holds, (until, entity))

    def _expire(self, now: float) -> None:
        while self._holds and self._holds[0][0] <= now:
            until, entity = heapq.heappop(self._holds)
            state = self._entities.get(entity)
            if state is not None and state.held_until == until:
                state.held_until = None
                self._settle(entity)

    def _settle(self, entity: Entity) -> None:
        """After a change: give the entity's rows to their lanes again, ask for those on disk, or forget it."""
        state = self._entities.get(entity)
        if state is None or state.blocked:
            return
        for row in state.parked:
            self._parked.discard(row.id)
            self._ready(row, self._lane_of[row.id])
        state.parked.clear()
        if state.unread_after is not None and not state.queued:
            self._refill[entity] = None
        elif state.idle:
            del self._entities[entity]

    def _entity(self, entity: Entity) -> _Entity:
        state = self._entities.get(entity)
        if state is None:
            state = self._entities[entity] = _Entity()
        return state

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────
    def next_expiry(self, now: float) -> float | None:
        """Seconds until the next retry is due; None if none waits."""
        self._expire(now)
        moments = [until for until, _ in self._holds[:1]]
        moments += [lane.due for lane in self._lanes.values() if lane.due is not None and lane.due > now]
        return max(0.0, min(moments) - now) if moments else None

    @property
    def retries_wait(self) -> bool:
        """Rows wait on disk for their retry."""
        return any(lane.due is not None for lane in self._lanes.values())

    @property
    def in_flight(self) -> int:
        """Rows that are with the hub, or whose outcome is not durable yet."""
        return len(self._in_flight)

    @property
    def idle(self) -> bool:
        """Nothing is in memory, and there is nothing to read."""
        return not self._rows and not self._in_flight and not self._refill and all(lane.complete for lane in self._lanes.values())

    def rows_in_memory(self) -> Iterable[OutboxRow]:
        """All of them, in no order; for looking at the oldest."""
        yield from self._in_flight.values()
        yield from self._rows.values()


class _Room:
    """How much more a batch holds."""

    def __init__(self, limit: int, fits: Callable[[OutboxRow], bool]) -> None:
        self._limit = limit
        self._fits = fits
        self.full = False

    def take(self, row: OutboxRow) -> bool:
        if not self._fits(row):
            self.full = True
        return not self.full
