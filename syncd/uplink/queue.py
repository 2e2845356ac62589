"""Which rows go out next: the contract's laws of sending, in memory, without a database or a hub.

* **Priority, then write order.** Each priority is a lane, filled page by page in id order.
* **An entity's rows go out in the order they were written.** Rows come into memory with their entity's earlier, less
  urgent ones; an entity whose rows are in flight, or wait for a retry, gives nothing more until they are back.
* **Flat memory.** See `Entities`, which knows what of all that is in memory.
* **Plain rows move as blocks** (`Blocks`), and as rows one by one only from where something else than success happens.

`Pages` knows what is read next and takes it in, `BatchPicker` chooses a batch; what is done here is taking back rows
that were in flight.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from syncd.store.outbox import MIN_ID, PRIORITIES
from syncd.uplink.blocks import Blocks
from syncd.uplink.entities import Entities
from syncd.uplink.pages import Pages
from syncd.uplink.picker import BatchPicker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from syncd.store.block import Block
    from syncd.store.outbox import Entity, OutboxRow, Page
    from syncd.uplink.pages import Load

REMEMBERED_ENTITIES = 50_000  # whose position is remembered, to save reading


class SendQueue:
    """The rows that wait, as far as they are in memory.

    Args:
        max_wait_seconds: a row older than this is promoted.
        page_rows: how many rows a lane keeps ready.
    """

    def __init__(self, *, max_wait_seconds: float, page_rows: int) -> None:
        self.page_rows = page_rows
        self._entities = Entities()
        self._lanes = self._entities.lanes
        self._blocks = Blocks(self._entities, max_wait_seconds)
        self._pages = Pages(self._entities, self._blocks, page_rows)
        self._picker = BatchPicker(self._entities, max_wait_seconds)
        self._positions: OrderedDict[Entity, int] = OrderedDict()

    # ── loading ───────────────────────────────────────────────────────────────────────────────────────────────────
    def next_load(self, now: float, *, fresh_first: bool = False) -> Load | None:
        """What should be read next; None if nothing.

        Args:
            now: monotonic.
            fresh_first: a lane's retries are read only where nothing else of it is ready.
        """
        return self._pages.next_load(now, fresh_first=fresh_first)

    def begin_load(self) -> None:
        """A page is about to be read: what is decided from now on must not be taken in again from it."""
        self._pages.begin_load()

    def position(self, entity: Entity) -> int:
        """Up to this id all rows of the entity are done; `MIN_ID` where nothing is known. Safe on any thread."""
        return self._positions.get(entity, MIN_ID)

    def add_page(self, load: Load, page: Page, now: float, retry_in: Callable[[datetime], float], *, next_due: float | None = None) -> None:
        """Take a page in.

        Args:
            now: monotonic.
            retry_in: seconds from now until a row's `retry_at`.
            next_due: monotonic; with a `DuePage`, when the next retry of that priority is due.
        """
        self._pages.add(load, page, now, retry_in, next_due)

    def new_rows(self, priorities: Iterable[int] = PRIORITIES) -> None:
        """There are newer rows of these priorities than were read."""
        self._pages.new_rows(priorities)

    def add_due(self, next_due: dict[int, float]) -> None:
        """Rows of these priorities wait on disk for a retry; when the first of each is due (monotonic)."""
        for priority, due in next_due.items():
            self._lanes[priority].due_at(due)

    def reset(self) -> None:
        """Forget everything but what is in flight, and read the backlog afresh."""
        self._pages.reset()
        self._blocks.reset()
        self._entities.reset()
        self._positions.clear()

    # ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────
    def take(
        self,
        limit: int,
        fits: Callable[[OutboxRow], bool],
        now: float,
        age: Callable[[datetime], float],
        *,
        spread: bool = False,
        block_bytes: int | None = None,
    ) -> Sequence[OutboxRow]:
        """The next batch, in the order in which it must be processed; its entities are blocked until its rows are back.

        Args:
            limit: rows at most.
            fits: whether one more row has room; called once a row, in order, up to the first that has none.
            now: monotonic.
            age: seconds since a moment.
            spread: some of each priority, whatever waits of the more urgent ones.
            block_bytes: the batch may be a `Block` of so many bytes, with a separator for each row; None where each row needs a look.
        """
        self.release_due(now)
        if block_bytes is None or spread:
            self._blocks.unpack()
            return self._picker.pick(limit, fits, now, age, spread=spread)
        if self._entities.queued:
            self._blocks.pack()
        if self._entities.queued:
            self._blocks.make_rows()
            return self._picker.pick(limit, fits, now, age, spread=False)
        block = self._blocks.take(limit, block_bytes, now, age)
        if block is not None:
            return block
        self._blocks.unpack()
        return self._picker.pick(limit, fits, now, age, spread=False)

    def release_due(self, now: float) -> None:
        """Let the entities whose retry is due (monotonic) give their rows again."""
        self._entities.release_due(now)

    # ── taking back ───────────────────────────────────────────────────────────────────────────────────────────────
    def done(self, row: OutboxRow) -> None:
        """Its outcome is final, and durable."""
        if row.id not in self._entities.in_flight:
            self._blocks.unpack()
        self._entities.no_longer_in_flight(row)
        self._pages.finished((row.id,))
        self._positions[row.entity] = max(row.id, self._positions.get(row.entity, MIN_ID))
        self._positions.move_to_end(row.entity)
        if len(self._positions) > REMEMBERED_ENTITIES:
            self._positions.popitem(last=False)
        self._entities.settle(row.entity)

    def done_block(self, block: Block) -> None:
        """All of its rows are sent, durably."""
        if block not in self._blocks:  # something else has happened meanwhile
            for row in block:
                self.done(row)
            return
        self._blocks.done(block)
        self._pages.finished(block.ids)
        if all(lane.complete and not lane.ready_count for priority, lane in self._lanes.items() if priority != block.priority):
            return  # no row of another priority will ask for the position of these entities
        self._positions.update(zip(block.entities, block.ids, strict=True))
        while len(self._positions) > REMEMBERED_ENTITIES:
            self._positions.popitem(last=False)

    def retry_at(self, row: OutboxRow, moment: float) -> None:
        """It has no outcome: it and its entity's later rows wait until then (monotonic), and then go again."""
        self._blocks.unpack()
        self._entities.no_longer_in_flight(row)
        self._pages.finished((row.id,))
        self._entities.hold(row.entity, row.id, moment)

    def urgency(self, row: OutboxRow) -> int:
        """The priority at which a row in flight is tried again: its own, or that of the most urgent row behind it."""
        self._blocks.unpack()
        state = self._entities.states[row.entity]
        behind = [self._entities.lane_of[row_id] for row_id in state.queued]
        return min([row.priority, state.urgency, *behind, *([state.promoted_to] if state.unread_after is not None else [])])

    def refused(self, row: OutboxRow, due: float, urgency: int) -> None:
        """HQ has refused it, durably: from this row on its entity waits on disk until the retry is due (monotonic)."""
        self._blocks.unpack()
        state = self._entities.no_longer_in_flight(row)
        state.waits_from = row.id if state.waits_from is None else min(row.id, state.waits_from)
        self._entities.drop_after(state, row.id)
        if state.unread_after is not None and state.unread_after >= row.id - 1:
            state.unread_after = None
            self._entities.to_read.pop(row.entity, None)
        self._pages.waits_on_disk(row.entity, state.waits_from, urgency, due)
        self._entities.settle(row.entity)

    def requeue(self, row: OutboxRow, *, from_disk: bool = False) -> None:
        """It was not processed: it goes again; `from_disk` where it may have changed there, and only if it still waits."""
        self._blocks.unpack()
        state = self._entities.no_longer_in_flight(row)
        held = state.failed_from is not None and row.id > state.failed_from
        if not held and (state.waits_from is None or row.id <= state.waits_from):
            if from_disk or state.held_until is not None or (state.unread_after is not None and row.id > state.unread_after):
                self._entities.leave_on_disk(row.entity, row.id - 1, row.priority)
            else:
                self._entities.add(row, state, row.priority)
        self._entities.settle(row.entity)

    def release(self, entity: Entity) -> None:
        """What it waited for need not be waited for any more."""
        self._entities.release(entity)

    def hold(self, entity: Entity, failed_id: int) -> None:
        """Keep an entity back behind its failed row, until a person has looked at that."""
        self._blocks.unpack()
        self._entities.hold_until_a_person_acts(entity, failed_id)

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────
    def seconds_to_next_retry(self, now: float) -> float | None:
        """Seconds until the next retry may be due; None if none waits."""
        moments = [lane.due for lane in self._lanes.values() if lane.due is not None and lane.due > now]
        if (release := self._entities.next_release()) is not None:
            moments.append(release)
        return max(0.0, min(moments) - now) if moments else None

    @property
    def retries_wait(self) -> bool:
        """Rows wait on disk for their retry."""
        return any(lane.due is not None for lane in self._lanes.values())

    @property
    def reads_entities(self) -> bool:
        """Some entities can give rows, and have them on disk only."""
        return bool(self._entities.to_read)

    @property
    def in_flight(self) -> int:
        """Rows that are with the hub, or whose outcome is not durable yet."""
        return len(self._entities.in_flight) + self._blocks.rows_in_flight

    def ids_in_flight(self) -> frozenset[int]:
        """The same rows, by their ids."""
        return frozenset(self._entities.in_flight).union(*(block.ids for block in self._blocks.in_flight))

    def ids_in_memory(self) -> frozenset[int]:
        """Those in flight, and those that wait in memory as rows by themselves."""
        return self.ids_in_flight().union(self._entities.queued)

    @property
    def idle(self) -> bool:
        """Nothing is in memory, and there is nothing to read."""
        entities = self._entities
        in_memory = entities.queued or entities.in_flight or entities.to_read or any(self._blocks)
        return not in_memory and all(lane.complete for lane in self._lanes.values())

    def oldest_in_memory(self) -> datetime | None:
        """When the oldest of the rows in memory was written."""
        moments = [row.created for row in self._entities.rows()] + [block.oldest() for block in self._blocks]
        return min(moments, default=None)
