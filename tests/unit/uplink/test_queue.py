"""The laws of sending, against a model of the outbox: random rows, pages, verdicts, losses and waits."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.clock import iso_ms
from syncd.store.block import Block
from syncd.store.outbox import PRIORITIES, DuePage, OutboxRow, Page
from syncd.uplink import blocks
from syncd.uplink.blocks import AGED_EVERY, CALM_BATCHES
from syncd.uplink.pages import LoadDue, LoadLane
from syncd.uplink.queue import SendQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncd.store.outbox import Entity
    from syncd.uplink.pages import Load

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Model:
    """An outbox on disk, and a hub that answers as it is told."""

    page_rows: int = 5
    max_wait_seconds: float = 1e12
    entity_limit: int = 3
    fresh_first: bool = False
    now: float = 0.0
    next_due: float | None = None
    rows: dict[int, OutboxRow] = field(default_factory=dict)  # pending on disk
    settled: list[int] = field(default_factory=list)
    retries: dict[Entity, tuple[int, int, float]] = field(default_factory=dict)  # what waits on disk: first row, priority, due
    batches: list[Sequence[OutboxRow]] = field(default_factory=list)
    as_blocks: bool = False
    calm_batches: int = CALM_BATCHES
    blocks_sent: int = 0

    def __post_init__(self) -> None:
        self.queue = SendQueue(max_wait_seconds=self.max_wait_seconds, page_rows=self.page_rows)

    def write(self, entity: str, priority: int = 3, *, age_seconds: float = 0.0, counted: bool = True) -> int:
        row_id = 1 + max([*self.rows, *self.settled, 0])
        self.rows[row_id] = OutboxRow(
            id=row_id, entity_type="E", entity_id=entity, priority=priority, correlation_id=str(row_id),
            timestamp=iso_ms(EPOCH + timedelta(seconds=self.now - age_seconds)),
            created=EPOCH + timedelta(seconds=self.now - age_seconds), attempts=0, retry_at=None, encoded=b"{}",
        )  # fmt: skip
        if counted:
            self.queue.new_rows()
        return row_id

    def _copies(self, chosen: list[OutboxRow]) -> list[OutboxRow]:
        return [OutboxRow(**{name: getattr(row, name) for name in OutboxRow.__slots__ if name != "entity"}) for row in chosen]

    def _pick(self, wanted: Callable[[OutboxRow], bool], limit: int) -> tuple[list[OutboxRow], bool]:
        found = sorted((row for row in self.rows.values() if wanted(row) and not self.waits(row)), key=lambda row: row.id)
        return self._copies(found[:limit]), len(found) < limit

    def waits(self, row: OutboxRow) -> bool:
        return row.entity in self.retries and row.id >= self.retries[row.entity][0]

    def read(self, want: Load) -> Page:
        if isinstance(want, LoadDue):
            return self.read_due(want.priority)
        if not isinstance(want, LoadLane):
            rows, complete = self._pick(lambda r: r.entity == want.entity and r.id > want.after_id, self.entity_limit)
            return Page(rows, rows[-1].id if rows else want.after_id, complete)
        rows, complete = self._pick(lambda r: r.priority == want.priority and r.id > want.after_id, self.page_rows)
        end = max((r.id for r in self.rows.values() if r.priority == want.priority), default=want.after_id)
        page = Page(rows, max(end, want.after_id) if complete else rows[-1].id, complete)
        self.promote(want, page.after_id)
        newest: dict[Entity, int] = {row.entity: row.id for row in rows}
        for entity, last in newest.items():
            earlier, whole = self._pick(
                lambda r, entity=entity, last=last: (
                    r.entity == entity and self.queue.position(entity) < r.id < last and r.priority != want.priority
                ),  # type: ignore[misc]
                self.entity_limit,
            )
            page.earlier += earlier
            if not whole:
                page.cut_entities.add(entity)
        if self.as_blocks and rows and not page.earlier and all(row.retry_at is None for row in rows):
            page.rows = Block.of(rows)
        return page

    def promote(self, want: LoadLane, up_to: int) -> None:
        """As the loader does: who waits with a more urgent row behind the refused one is tried again at that one's priority."""
        for row in self.rows.values():
            if row.priority == want.priority and want.after_id < row.id <= up_to and self.waits(row):
                first_id, priority, due = self.retries[row.entity]
                if priority > want.priority:
                    self.retries[row.entity] = (first_id, want.priority, due)
                    self.queue.add_due({want.priority: due})

    def read_due(self, priority: int) -> DuePage:
        """As the loader does: the entries that were read leave, and then nothing holds these rows back but the queue."""
        page = DuePage([], 0, complete=True)
        for due, entity in sorted((due, entity) for entity, (_, p, due) in self.retries.items() if p == priority):
            if due > self.now or len(page.rows) >= self.page_rows:
                self.next_due = due
                break
            first_id = self.retries.pop(entity)[0]
            rows, complete = self._pick(lambda r, e=entity, i=first_id: r.entity == e and r.id >= i, self.entity_limit)  # type: ignore[misc]
            if rows and rows[0].id == first_id:
                rows[0].retry_at = None
            page.rows = [*page.rows, *rows]
            page.entities[entity] = first_id
            if not complete:
                page.cut_entities.add(entity)
        else:
            self.next_due = None
        return page

    def reset(self) -> None:
        self.queue.reset()
        due: dict[int, float] = {}
        for _, priority, at in self.retries.values():
            due[priority] = min(at, due.get(priority, at))
        self.queue.add_due(due)

    def begin_load(self) -> tuple[Load, Page] | None:
        want = self.queue.next_load(self.now, fresh_first=self.fresh_first)
        if want is None:
            return None
        self.queue.begin_load()
        return want, self.read(want)

    def end_load(self, load: tuple[Load, Page]) -> None:
        self.queue.add_page(*load, self.now, lambda at: (at - EPOCH).total_seconds() - self.now, next_due=self.next_due)

    def load_all(self) -> None:
        for _ in range(10_000):
            load = self.begin_load()
            if load is None:
                return
            self.end_load(load)
        pytest.fail("the queue never stops reading")

    def take(self, limit: int = 4, *, spread: bool = False) -> Sequence[OutboxRow]:
        age = lambda moment: self.now - (moment - EPOCH).total_seconds()  # noqa: E731
        room = 1000 if self.as_blocks else None
        batch = self.queue.take(limit, lambda _: True, self.now, age, spread=spread, block_bytes=room)
        busy = {row.entity for other in self.batches for row in other}
        seen: dict[Entity, int] = {}
        for row in batch:
            assert row.entity not in busy, "an entity is in two batches at once"
            assert row.id in self.rows, "a row that was done went out again"
            earlier = [r.id for r in self.rows.values() if r.entity == row.entity and r.id < row.id]
            assert max(earlier, default=0) == seen.get(row.entity, 0), f"{row.id} went out before an earlier row of its entity"
            seen[row.entity] = row.id
            at = self.rows[row.id].retry_at
            assert at is None or (at - EPOCH).total_seconds() <= self.now, "a row went out before its retry was due"
        if batch:
            self.batches.append(batch)
        return batch

    def finish(self, batch: Sequence[OutboxRow], verdicts: list[str]) -> None:
        """`sent`, `back`, `refused` or `deferred` (in memory) for each; after one that is not sent, its entity's later rows come back."""
        self.batches.remove(batch)
        if isinstance(batch, Block) and set(verdicts) == {"sent"}:
            for row_id in batch.ids:
                del self.rows[row_id]
            self.settled += batch.ids
            self.blocks_sent += batch in self.queue._blocks
            self.queue.done_block(batch)
            return
        stopped: set[Entity] = set()
        for row, verdict in zip(batch, verdicts, strict=True):
            if row.entity in stopped:
                self.queue.requeue(row)
            elif verdict == "sent":
                del self.rows[row.id]
                self.settled.append(row.id)
                self.queue.done(row)
            elif verdict == "refused":
                stopped.add(row.entity)
                self.rows[row.id].retry_at = EPOCH + timedelta(seconds=self.now + 30)
                waiting = self.retries.get(row.entity)
                urgency = self.queue.urgency(row)
                if waiting is None or row.id <= waiting[0]:
                    self.retries[row.entity] = (row.id, urgency, self.now + 30)
                self.queue.refused(row, self.now + 30, urgency)
            elif verdict == "deferred":
                stopped.add(row.entity)
                self.queue.retry_at(row, self.now + 10)
            else:
                stopped.add(row.entity)
                self.queue.requeue(row)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 4), st.sampled_from(PRIORITIES)),
        st.tuples(st.just("write unseen"), st.integers(0, 4), st.sampled_from(PRIORITIES)),
        st.tuples(st.just("count"), st.just(0), st.just(0)),
        st.tuples(st.just("begin"), st.just(0), st.just(0)),
        st.tuples(st.just("end"), st.just(0), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 6), st.integers(0, 1)),
        st.tuples(st.just("finish"), st.integers(0, 3), st.integers(0, 4**6 - 1)),
        st.tuples(st.just("pass"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("reset"), st.just(0), st.just(0)),
    ),
    max_size=120,
)


@given(
    operations=OPERATIONS, max_wait=st.sampled_from([1e12, 20.0]), fresh_first=st.booleans(), as_blocks=st.booleans(),
    calm_batches=st.sampled_from([1, 2, CALM_BATCHES]),
)  # fmt: skip
@settings(max_examples=800)
def test_whatever_happens_order_holds_and_everything_arrives(
    operations: list[tuple[str, int, int]], max_wait: float, *, fresh_first: bool, as_blocks: bool, calm_batches: int
) -> None:
    play(Model(max_wait_seconds=max_wait, fresh_first=fresh_first, as_blocks=as_blocks, calm_batches=calm_batches), operations)


@pytest.mark.parametrize("seed", range(200))
def test_a_long_walk_keeps_the_order_and_everything_arrives(seed: int) -> None:
    chance = random.Random(seed)
    model = Model(
        max_wait_seconds=chance.choice([1e12, 20.0]), fresh_first=chance.random() < 0.3, entity_limit=chance.choice([1, 3, 50]),
        as_blocks=bool(seed // 2 % 2), calm_batches=chance.choice([1, 2, CALM_BATCHES]),
    )  # fmt: skip
    entities = chance.choice([2, 5, 20, 200])
    kinds = (
        ["write"] * 4 + ["write unseen", "count"] + ["begin", "end"] * 5 + ["take"] * 3 + ["finish"] * 3 + ["pass"] + ["reset"] * (seed % 2)
    )
    operations = []
    for kind in chance.choices(kinds, k=300):
        match kind:
            case "write" | "write unseen":
                values = chance.randrange(entities), chance.choice(PRIORITIES)
            case "take":
                values = chance.randint(1, 6), chance.randrange(2)
            case "finish":
                values = chance.randrange(4), chance.randrange(4**6)
            case _:
                values = chance.randint(1, 40), 0
        operations.append((kind, *values))
    play(model, operations)


def check_counts(queue: SendQueue) -> None:
    """What is counted is what there is, and no entity has rows both in a block and by themselves."""
    entities, blocks = queue._entities, queue._blocks
    for priority, lane in entities.lanes.items():
        rows = [row_id for row_id in entities.queued if entities.lane_of[row_id] == priority and not entities.parked(row_id)]
        assert set(rows) <= set(lane.ready)
        assert lane.ready_count == len(rows) + sum(map(len, blocks._ready[priority]))
    for block in blocks:
        assert not any(entities.states[entity].queued for entity in block.entities if entity in entities.states)


def play(model: Model, operations: list[tuple[str, int, int]]) -> None:
    """Do all this, and then let everything go through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CALM_BATCHES", model.calm_batches)
        play_on(model, operations)


def play_on(model: Model, operations: list[tuple[str, int, int]]) -> None:
    load = None
    for what, a, b in operations:
        check_counts(model.queue)
        if what == "write":
            model.write(str(a), b)
        elif what == "write unseen":  # the till has committed, and nobody has noticed yet
            model.write(str(a), b, counted=False)
        elif what == "count":
            model.queue.new_rows()
        elif what == "begin" and load is None:
            load = model.begin_load()
        elif what == "end" and load is not None:
            model.end_load(load)
            load = None
        elif what == "take":
            model.take(a, spread=bool(b))
        elif what == "finish" and model.batches:
            batch = model.batches[a % len(model.batches)]
            model.finish(batch, [("sent", "refused", "back", "deferred")[(b // 4**i) % 4] for i in range(len(batch))])
        elif what == "pass":
            model.now += a
        elif what == "reset":
            model.reset()
            load = None
    if load is not None:
        model.end_load(load)
    model.queue.new_rows()
    written = len(model.rows) + len(model.settled)
    for batch in list(model.batches):
        model.finish(batch, ["back"] * len(batch))
    for _ in range(20 * written + 20):
        model.load_all()
        check_counts(model.queue)
        batch = model.take()
        if batch:
            model.finish(batch, ["sent"] * len(batch))
        elif (seconds := model.queue.seconds_to_next_retry(model.now)) is not None:
            model.now += seconds + 0.001
        elif model.queue.idle:  # a retry that is due is read from disk first
            break
    assert not model.rows, "rows were left behind"
    assert sorted(model.settled) == list(range(1, written + 1))
    assert model.queue.idle


def test_urgent_rows_go_first_and_then_in_the_order_they_were_written() -> None:
    model = Model(page_rows=50)
    for number in range(20):
        model.write(f"e{number}", PRIORITIES[number % 4])
    model.load_all()
    batch = model.take(20)
    assert [(row.priority, row.id) for row in batch] == sorted((row.priority, row.id) for row in batch)


def test_a_critical_row_written_amid_a_backlog_is_in_the_next_batch() -> None:
    model = Model(page_rows=10)
    for number in range(500):
        model.write(f"e{number}", 3)
    model.load_all()
    model.take(4)
    critical = model.write("new", 1)
    model.load_all()
    assert model.take(4)[0].id == critical


def test_a_critical_row_is_in_the_next_batch_even_where_the_whole_backlog_has_waited_too_long() -> None:
    model = Model(page_rows=10, max_wait_seconds=3600)
    for number in range(100):
        model.write(f"e{number}", 4, age_seconds=30 * 86400)
    critical = model.write("new", 1)
    model.load_all()
    assert critical in [row.id for row in model.take(10)]


def test_a_row_that_has_waited_too_long_is_not_starved_by_a_stream_of_urgent_ones() -> None:
    model = Model(page_rows=50, max_wait_seconds=3600)
    old = model.write("old", 4, age_seconds=3601)
    for number in range(200):
        model.write(f"e{number}", 1)
    model.load_all()
    batches = [model.take(4) for _ in range(10)]
    assert any(row.id == old for batch in batches for row in batch)


def test_an_earlier_row_is_promoted_to_its_entitys_urgent_one() -> None:
    model = Model()
    for number in range(30):
        model.write(f"e{number}", 3)
    low = model.write("shop", 4)
    critical = model.write("shop", 1)
    model.load_all()
    assert [row.id for row in model.take(4)][:2] == [low, critical]


def test_an_entity_with_more_rows_than_memory_holds_goes_out_whole_and_in_order() -> None:
    model = Model(page_rows=5)
    for _ in range(3000):
        model.write("one", 3)
    model.write("one", 1)
    other = model.write("other", 3)
    sent: list[int] = []
    for _ in range(2000):
        model.load_all()
        first, second = model.take(50), model.take(50)
        assert len(list(model.queue._entities.rows())) + sum(map(len, model.queue._blocks)) < 1000
        for batch in (first, second):
            if batch:
                sent += [row.id for row in batch]
                model.finish(batch, ["sent"] * len(batch))
        if not model.rows:
            break
    assert [row_id for row_id in sent if row_id != other] == list(range(1, 3002))
    assert sent.index(other) < 200, "one entity's rows kept the others waiting"


@pytest.mark.parametrize("loads_before", range(3))  # the kinds of pages take turns
def test_a_row_that_is_deferred_while_its_entitys_next_page_is_read_still_goes_first(loads_before: int) -> None:
    model = Model(page_rows=5, entity_limit=1)
    for _ in range(loads_before):
        load_one(model)
    model.write("one", 3)
    model.load_all()
    first = model.take(1)
    model.write("one", 2)
    load = model.begin_load()
    while load is not None and not load[1].rows:
        model.end_load(load)
        load = model.begin_load()
    assert load is not None
    model.finish(first, ["refused"])
    model.end_load(load)
    model.now += 31
    load_one(model)
    again = model.take(1)
    load = model.begin_load()
    if again:
        model.finish(again, ["deferred"])
    if load is not None:
        model.end_load(load)
    model.now += 11
    while model.rows:
        model.load_all()
        if batch := model.take(1):
            model.finish(batch, ["sent"])
    assert model.settled == [1, 2]


def load_one(model: Model) -> None:
    load = model.begin_load()
    if load is not None:
        model.end_load(load)


def test_plain_rows_go_as_blocks_within_the_bytes_of_a_message() -> None:
    model = Model(page_rows=100, as_blocks=True)
    for n in range(250):
        model.write(str(n))
    sizes = []
    while model.rows:
        model.load_all()
        first, second = model.take(1000), model.take(40)
        sizes.append(len(first))
        for batch in (first, second):
            if batch:
                assert isinstance(batch, Block)
                model.finish(batch, ["sent"] * len(batch))
    assert model.blocks_sent > 2
    assert max(sizes) == 100  # of the page; 1000 bytes hold 333


def test_the_few_rows_of_a_sale_go_in_one_message_whatever_their_priorities() -> None:
    model = Model(page_rows=20, as_blocks=True)
    for priority in (3, 1, 2, 3):
        model.write(f"of priority {priority}", priority)
    model.load_all()
    assert [row.priority for row in model.take(10)] == [1, 2, 3, 3]


def test_blocks_stay_blocks_though_each_entity_has_rows_in_flight_again_and_again() -> None:
    model = Model(page_rows=40, as_blocks=True)
    for n in range(400):
        model.write(str(n % 15))
    batches = 0
    while model.rows:
        model.load_all()
        for batch in (model.take(5), model.take(5)):
            if batch:
                assert isinstance(batch, Block)
                batches += 1
        for batch in list(model.batches):
            model.finish(batch, ["sent"] * len(batch))
    assert model.blocks_sent == batches


def test_an_urgent_block_goes_alone_amid_a_backlog_of_blocks() -> None:
    model = Model(page_rows=20, as_blocks=True)
    for n in range(40):
        model.write(f"old {n}")
    model.load_all()
    model.write("urgent", 1)
    model.load_all()
    first, second = model.take(10), model.take(10)
    assert isinstance(first, Block)
    assert ([row.priority for row in first], len(second)) == ([1], 10)
    assert isinstance(second, Block)


def test_a_refusal_among_blocks_makes_rows_of_all_and_keeps_the_order() -> None:
    model = Model(page_rows=20, as_blocks=True)
    for n in range(60):
        model.write(str(n % 30))
    model.load_all()
    first, second = model.take(5), model.take(5)
    model.load_all()
    model.finish(second, ["sent"] * 5)
    model.finish(first, ["sent", "refused", "back", "sent", "deferred"])
    play(model, [])


def test_after_a_refusal_rows_become_blocks_again_once_it_is_calm() -> None:
    model = Model(page_rows=20, as_blocks=True)
    for n in range(900):
        model.write(f"{n % 300}", 1 + n % 2)
    kinds: list[bool] = []
    while model.rows and len(kinds) < 400:
        model.load_all()
        for batch in (model.take(5), model.take(5)):
            check_counts(model.queue)
            if batch:
                kinds.append(isinstance(batch, Block))
        for batch in list(model.batches):
            model.finish(batch, ["refused" if len(kinds) == 10 and i == 2 else "sent" for i in range(len(batch))])
        model.now += 1
    assert not model.rows
    assert kinds[:10] == [True] * 10
    assert 20 <= kinds.count(False) <= 80  # until it is calm, and again when the retry is due
    assert all(kinds[-20:])


def test_of_a_backlog_that_has_waited_too_long_one_batch_in_ten_is_the_oldest_and_all_go_as_blocks() -> None:
    model = Model(page_rows=50, as_blocks=True, max_wait_seconds=60)
    for n in range(400):
        model.write(str(n), 1 if n >= 100 else 3, age_seconds=1000)
    batches = []
    while model.rows:
        model.load_all()
        batches.append(model.take(5))
        model.finish(batches[-1], ["sent"] * len(batches[-1]))
    assert all(isinstance(batch, Block) for batch in batches)
    oldest = [number for number, batch in enumerate(batches[:60], 1) if batch[0].priority == 3]
    assert oldest == list(range(AGED_EVERY, 61, AGED_EVERY))


def test_an_urgent_row_is_in_the_next_batch_whatever_blocks_have_waited_too_long() -> None:
    model = Model(page_rows=50, as_blocks=True, max_wait_seconds=60)
    for n in range(600):
        model.write(str(n), 3 + n % 2, age_seconds=1000)
    for n in range(50):
        model.load_all()
        model.write(f"urgent {n}", 1)
        model.load_all()
        batch = model.take(5)
        assert [row.entity_id for row in batch if row.priority == 1] == [f"urgent {n}"]
        model.finish(batch, ["sent"] * len(batch))
    assert any(row_id <= 600 for row_id in model.settled), "those that have waited too long are starved"


def test_rows_of_an_entity_whose_block_is_in_flight_wait_for_it() -> None:
    model = Model(page_rows=4, as_blocks=True)
    for name in ("a", "b", "a", "c"):
        model.write(name)
    model.load_all()
    first = model.take(2)
    assert isinstance(first, Block)
    second = model.take(1)
    assert [row.entity[1] for row in second] == ["c"]
    assert isinstance(second, Block)
    model.finish(first, ["sent", "sent"])
    assert [row.entity[1] for row in model.take(4)] == ["a"]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("changed", [2, 7], ids=["in flight", "ready"])
def test_a_row_in_a_block_whose_priority_a_till_changes_goes_out_once(changed: int, *, lost: bool) -> None:
    model = Model(page_rows=8, as_blocks=True)
    for number in range(8):
        model.write(f"e{number}", 3)
    model.load_all()
    batch = model.take(4)
    assert [row.id for row in batch] == [1, 2, 3, 4]
    model.rows[changed].priority = 1
    model.queue.new_rows([1])
    model.load_all()
    model.finish(batch, ["back" if lost else "sent"] * 4)
    while batch := model.take(4):
        model.finish(batch, ["sent"] * len(batch))
        model.load_all()
    assert sorted(model.settled) == list(range(1, 9))
    assert model.queue.idle


def test_a_long_run_of_one_entity_in_flight_keeps_no_other_back() -> None:
    model = Model(page_rows=8, as_blocks=True)
    for _ in range(16):
        model.write("hot")
    others = [model.write(f"e{number}") for number in range(4)]
    model.load_all()
    assert [row.entity_id for row in model.take(4)] == ["hot"] * 4
    for _ in range(3):
        model.load_all()
        batch = model.take(4)
        if batch:
            break
    assert [row.id for row in batch] == others


def test_a_row_that_a_till_has_made_urgent_is_not_overtaken_by_its_entitys_next() -> None:
    model = Model(page_rows=100, as_blocks=True)
    first = model.write("E")
    for n in range(10):
        model.write(str(n))
    model.write("urgent", 1)
    model.load_all()  # the lane of urgent rows is read beyond the first
    model.rows[first].priority = 1
    model.write("E", 1)
    model.load_all()
    while model.rows:
        model.load_all()
        batch = model.take()
        assert batch, "rows were left behind"
        model.finish(batch, ["sent"] * len(batch))


def test_a_row_in_memory_that_a_till_replaces_by_another_of_the_same_id_is_not_in_a_block_besides() -> None:
    model = Model(page_rows=100, as_blocks=True)
    for n in range(3):
        model.write(str(n))
    model.load_all()
    assert len(model.take(1, spread=True)) == 1
    replaced = model.rows[3]
    replaced.entity_id, replaced.entity, replaced.priority = "X", ("E", "X"), 1
    model.queue.new_rows()
    model.load_all()
    check_counts(model.queue)
    assert not any(3 in block.ids for block in model.queue._blocks)
