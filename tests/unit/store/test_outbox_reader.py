"""Reading the outbox on a real file, against our own file beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.store import outbox_pages, outbox_sql
from syncd.store.block import Block
from syncd.store.outbox import OutboxRow
from tests.support.clock import FakeClock
from tests.support.storefiles import AT, a_journal, a_reader, execute, opened, outcome, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.journal import Journal, Outcome
    from syncd.store.outbox import Entity, Page


def nothing_known(_: Entity) -> int:
    return 0


def ids(page: Page) -> list[int]:
    return [row.id for row in page.rows]


async def record(journal: Journal, *outcomes: Outcome) -> None:
    await journal._write(outcomes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_pages_go_on_where_the_last_one_ended_and_keep_to_their_priority(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", n, 3 if n % 2 else 1) for n in range(1, 12)])
        reader = a_reader(files, FakeClock())
        first = await reader.page(3, 0, 4, nothing_known)
        second = await reader.page(3, first.after_id, 4, nothing_known)
        third = await reader.page(3, second.after_id, 4, nothing_known)
        assert (ids(first), ids(second), ids(third)) == ([1, 3, 5, 7], [9, 11], [])
        assert (first.complete, second.complete, third.after_id) == (False, True, 11)
        assert ids(await reader.page(2, 0, 4, nothing_known)) == []


async def test_a_row_becomes_the_contracts_sync_item(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        execute(
            path,
            "INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload, priority, correlation_id, created_at, attempts) "
            "VALUES (9, 'Receipt', 12.0, 'Update', ?, 1, 'ABC', '2026-11-23 10:00:00.1234567', 2)",
            '{"total": 12.50,\n"ü": "\\u0000"}',
        )
        (row,) = (await a_reader(files, FakeClock()).page(1, 0, 10, nothing_known)).rows
        assert orjson.loads(row.encoded) == {
            "entityType": "Receipt", "entityId": 12, "operation": "Update", "payload": '{"total": 12.50,\n"ü": "\\u0000"}',
            "timestamp": "2026-11-23T10:00:00.1234567Z", "storeId": 7, "correlationId": "ABC", "sequence": 9, "priority": 1, "attempt": 3,
        }  # fmt: skip
        assert b'"entityId":12,' in row.encoded


async def test_what_hq_has_decided_is_not_read_again_though_the_tills_file_still_says_pending(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", n, 3) for n in range(4)])
        retry = outcome(path, 3, "pending", attempts=2, next_attempt_at="2026-11-23T10:00:30.000Z")
        await record(a_journal(files, clock), outcome(path, 1), outcome(path, 2, "failed"), retry)
        page = await a_reader(files, clock).page(3, 0, 10, nothing_known)
        assert ids(page) == [3, 4]
        assert page.rows[0].attempts == 2
        assert page.rows[0].retry_at is not None
        assert page.rows[0].retry_at.second == 30
        assert orjson.loads(page.rows[0].encoded)["attempt"] == 3
        assert execute(path, "SELECT DISTINCT status FROM sync_outbox") == [("pending",)]


async def test_a_restored_database_whose_ids_are_used_again_inherits_nothing(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, ("R", "before", 3), ("R", "before", 3))
        await record(a_journal(files, clock), outcome(path, 1), outcome(path, 2, "failed", last_error="no"))
        execute(path, "DELETE FROM sync_outbox")
        execute(path, "DELETE FROM sqlite_sequence WHERE name = 'sync_outbox'")
        assert write_rows(path, ("R", "after", 3), ("R", "after", 3)) == [1, 2]
        reader = a_reader(files, clock)
        page = await reader.page(3, 0, 10, nothing_known)
        assert [(row.id, row.entity_id, row.attempts) for row in page.rows] == [(1, "after", 0), (2, "after", 0)]
        assert (await reader.count(None)).pending[3] == 2
        assert (await reader.count(None)).failed == 0
        assert (await reader.count(None, with_failed_entities=True)).failed_entities == {}


async def test_an_urgent_row_brings_its_entitys_earlier_rows_along(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 5, 4), ("R", "5", 3), ("R", 6, 4), ("P", 5, 4), ("R", 5, 1), ("R", 5, 4))
        page = await a_reader(files, FakeClock()).page(1, 0, 10, nothing_known)
        assert ids(page) == [5]
        assert [row.id for row in page.earlier] == [1, 2], "5 and '5' keep one order; later rows and other entities stay"
        assert page.cut_entities == set()
        known = await a_reader(files, FakeClock()).page(1, 0, 10, lambda entity: 1 if entity == ("R", "5") else 0)
        assert [row.id for row in known.earlier] == [2]


@pytest.mark.parametrize(("earlier", "later"), [(5, "5"), ("5", 5), (5.0, "5"), ("5", 5.0), (-5, "-5"), ("x", "x"), (0, "x"), ("5.0", 5)])
async def test_an_earlier_row_is_found_in_whatever_spelling_its_entity_stands(
    tmp_path: Path, path: Path, earlier: object, later: object
) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", earlier, 4), ("R", later, 1))
        page = await a_reader(files, FakeClock()).page(1, 0, 10, nothing_known)
        same = {str(earlier).removesuffix(".0"), str(later).removesuffix(".0")} in ({"5"}, {"-5"}, {"x"}) and earlier != "5.0"
        assert [row.id for row in page.earlier] == [1] * same
        assert isinstance(page.rows, Block) is not same


async def test_the_rows_of_an_entity_are_walked_once_a_page_however_many_of_them_the_page_has(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", 1, 3)] * 2100, ("P", 1, 1))
        reader = a_reader(files, FakeClock())
        steps = 0

        def count_step() -> None:
            nonlocal steps
            steps += 1

        async def steps_of(limit: int) -> int:
            nonlocal steps
            steps = 0
            await files.reader.run(lambda connection: connection.set_progress_handler(count_step, 1))
            page = await reader.page(3, 2000, limit, nothing_known)
            await files.reader.run(lambda connection: connection.set_progress_handler(None, 0))
            assert (len(page.rows), page.earlier) == (limit, [])
            return steps

        alone = await steps_of(1)
        assert alone > 2000
        assert await steps_of(50) < 2 * alone


async def test_more_earlier_rows_than_one_page_may_bring_are_announced(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_pages, "LOOKAHEAD_ROWS", 3)
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", "x", 4)] * 5, ("R", "x", 1))
        reader = a_reader(files, FakeClock())
        page = await reader.page(1, 0, 10, nothing_known)
        assert [row.id for row in page.earlier] == [1, 2, 3]
        assert page.cut_entities == {("R", "x")}
        rest = await reader.entity_page(("R", "x"), 3, 10)
        assert (ids(rest), rest.complete) == ([4, 5, 6], True)


async def test_big_rows_cannot_fill_the_memory(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_pages, "MAX_PAGE_BYTES", 10_000)
    async with opened(tmp_path) as files:
        for n in range(5):
            sql = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('R', ?, 'Create', ?)"
            execute(path, sql, n, "x" * 6000)
        reader = a_reader(files, FakeClock())
        page = await reader.page(3, 0, 100, nothing_known)
        assert (ids(page), page.complete) == ([1, 2], False)
        assert ids(await reader.page(3, page.after_id, 100, nothing_known)) == [3], "two such rows are more than a page is to have"


@pytest.mark.parametrize("column", ["payload", "entity_type", "entity_id", "correlation_id", "created_at"])
@pytest.mark.parametrize("priority", [1, 4])
async def test_text_that_is_no_utf8_stops_its_own_row_only(tmp_path: Path, path: Path, column: str, priority: int) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, priority), ("R", 2, priority), ("R", 3, priority))
        execute(path, f"UPDATE sync_outbox SET {column} = CAST(x'80FF' AS TEXT) WHERE id = 2")
        page = await a_reader(files, FakeClock()).page(priority, 0, 10, nothing_known)
        assert ids(page) == [1, 2, 3]
        problems = [row.problem is not None for row in page.rows]
        assert problems == [False, column != "created_at", False], "a time that nobody can read is no reason to hold a sale back"
        assert (await a_reader(files, FakeClock()).count(None)).pending[priority] == 3


async def test_a_blob_where_text_belongs_stops_its_own_row_only(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 1), ("R", 2, 1))
        execute(path, "UPDATE sync_outbox SET correlation_id = x'0102', entity_type = x'03' WHERE id = 1")
        page = await a_reader(files, FakeClock()).page(1, 0, 10, nothing_known)
        assert [row.problem is not None for row in page.rows] == [True, False]


async def test_a_time_that_nobody_can_read_is_the_moment_the_row_was_first_seen_for_ever(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3))
        execute(path, "UPDATE sync_outbox SET created_at = 'yesterday' WHERE id = 1")
        reader, journal = a_reader(files, clock), a_journal(files, clock)
        first = (await reader.page(3, 0, 10, nothing_known)).rows[0]
        assert (first.unreadable_time, first.timestamp) == (True, AT)
        await journal.first_saw([(first.id, first.correlation_id, first.timestamp)])
        clock.seconds = 3600
        again = (await reader.page(3, 0, 10, nothing_known)).rows[0]
        assert (again.unreadable_time, again.timestamp, orjson.loads(again.encoded)["timestamp"]) == (False, AT, AT)


async def test_counts_grow_by_what_is_new_and_begin_afresh_with_a_new_generation(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 1), ("R", 2, 3), ("R", 3, 3))
        await record(a_journal(files, clock), outcome(path, 2), outcome(path, 3, "pending", attempts=1))
        reader = a_reader(files, clock)
        first = await reader.count(None)
        assert first.pending == {1: 1, 2: 0, 3: 1, 4: 0}, "one is at HQ; one waits for its retry"
        write_rows(path, ("R", 4, 3), ("R", 5, 4))
        more = await reader.count(first)
        assert more.pending == {1: 0, 2: 0, 3: 1, 4: 1}
        assert (await reader.count(more)).pending == dict.fromkeys((1, 2, 3, 4), 0)
        execute(path, "UPDATE sync_outbox_generation SET generation = generation + 1")
        assert (await reader.count(more)).pending == {1: 1, 2: 0, 3: 2, 4: 1}


async def test_a_count_is_right_though_marks_go_in_and_leave_our_file_meanwhile(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", n, 3) for n in range(10)])
        await record(a_journal(files, clock), *[outcome(path, n) for n in range(1, 7)])
        statements = 0

        def mark_in_the_middle(statement: str) -> None:
            nonlocal statements
            statements += "count(*), max(o.id)" in statement
            if statements == 2:  # the first has shown this reader the till's file as it was
                statements += 1
                execute(path, "UPDATE sync_outbox SET status = 'sent' WHERE id < 7")
                execute(tmp_path / "store.db.syncd", "DELETE FROM outcome")

        def trace(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(mark_in_the_middle)

        await files.reader.run(trace)
        assert (await a_reader(files, clock).count(None)).pending[3] == 4
        assert statements > 2


@pytest.mark.parametrize("what", ["lane", "entity", "due"])
async def test_an_outcome_that_is_marked_and_forgotten_while_a_page_is_read_is_not_read_as_pending(
    tmp_path: Path, path: Path, what: str
) -> None:
    """Marked in the till's file, then dropped from ours, between the two looks at them: whichever is seen, the row is decided."""
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", 1, 3)] * 10)
        journal = a_journal(files, clock)
        await record(journal, *[outcome(path, n) for n in range(1, 7)])
        (row,) = (await a_reader(files, clock).page(3, 6, 1, nothing_known)).rows
        if what == "due":
            await record(journal, outcome(path, 7, "pending", next_attempt_at=AT, row=row))
            execute(tmp_path / "store.db.syncd", "UPDATE retry SET id = 1")
        moved = False

        def mark_in_the_middle(statement: str) -> None:
            nonlocal moved
            if "FROM [sync_outbox] AS o" in statement and not moved:
                moved = True
                execute(path, "UPDATE sync_outbox SET status = 'sent' WHERE id < 7")
                execute(tmp_path / "store.db.syncd", "DELETE FROM outcome WHERE id < 7")

        def trace(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(mark_in_the_middle)

        await files.reader.run(trace)
        reader = a_reader(files, clock)
        if what == "lane":
            page = await reader.page(3, 0, 20, nothing_known)
        elif what == "entity":
            page = await reader.entity_page(("R", "1"), 0, 20)
        else:
            page = await reader.due_page(3, "2026-11-24", "2026-11-25", 20)
        assert moved
        assert ids(page) == [7, 8, 9, 10]


async def test_rows_of_an_entity_that_waits_are_in_no_page_until_its_retry_is_due(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 5, 3), ("R", "5", 3), ("R", 5.0, 1), ("R", 6, 3), ("R", 7, 3), ("R", 7, 3))
        reader, journal = a_reader(files, clock), a_journal(files, clock)
        rows = (await reader.page(3, 0, 10, nothing_known)).rows
        due = "2026-11-23T10:00:30.000Z"
        await record(journal, *[outcome(path, row.id, "pending", attempts=1, next_attempt_at=due, row=row) for row in (rows[1], rows[4])])
        page = await reader.page(3, 0, 10, nothing_known)
        assert ids(page) == [1, 4, 5], "what was written before the refused row is not held back"
        assert page.after_id == 6, "what waits is not looked at again"
        assert ids(await reader.page(1, 0, 10, nothing_known)) == []
        assert ids(await reader.entity_page(("R", "5"), 0, 10)) == [1]
        counts = await reader.count(None)
        assert sum(counts.pending.values()) == 6
        assert counts.next_due == {3: due}
        early = await reader.due_page(3, "2026-11-23T10:00:29.000Z", "2026-11-23T10:08:00.000Z", 10)
        assert (ids(early), early.entities, early.next_due) == ([], {}, due)
        page = await reader.due_page(3, due, "2026-11-23T10:08:00.000Z", 10)
        assert [row.id for row in page.rows] == [2, 3, 6]
        assert [row.retry_at for row in page.rows] == [None, None, None]
        assert [row.attempts for row in page.rows] == [1, 0, 1]
        assert page.entities == {("R", "5"): 2, ("R", "7"): 6}
        assert page.next_due is None
        await journal.retry_is_due({("R", "5"): 2, ("R", "7"): 5})
        assert execute(tmp_path / "store.db.syncd", "SELECT entity_id, id FROM retry") == [("7", 6)], "another row waits there by now"


async def test_a_retry_that_seems_due_too_far_ahead_is_due_now(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3))
        reader = a_reader(files, clock)
        first, second = (await reader.page(3, 0, 10, nothing_known)).rows
        late, soon = "2099-01-01T00:00:00.000Z", "2026-11-23T10:00:30.000Z"
        await record(
            a_journal(files, clock),
            outcome(path, 1, "pending", next_attempt_at=late, row=first), outcome(path, 2, "pending", next_attempt_at=soon, row=second),
        )  # fmt: skip
        page = await reader.due_page(3, AT, "2026-11-23T10:08:48.000Z", 10)
        assert (ids(page), page.entities) == ([1], {("R", "1"): 1})
        assert page.next_due == AT, "the others are looked at next"


async def test_failed_rows_are_counted_in_either_file(tmp_path: Path, path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3), ("P", 2.0, 3), ("R", 3, 3))
        execute(path, "UPDATE sync_outbox SET status = 'failed' WHERE id = 1")
        await record(a_journal(files, clock), outcome(path, 1, "failed"), outcome(path, 2, "failed"))
        reader = a_reader(files, clock)
        assert (await reader.count(None)).failed == 2, "one that both files know is one"
        assert (await reader.count(None, with_failed_entities=True)).failed_entities.keys() == {("R", "1"), ("P", "2")}


async def test_a_failed_row_with_text_that_is_no_utf8_hides_no_other_failed_entity(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3))
        execute(path, "UPDATE sync_outbox SET status = 'failed'")
        execute(path, "UPDATE sync_outbox SET entity_id = CAST(x'80FF' AS TEXT) WHERE id = 1")
        assert ("R", "2") in (await a_reader(files, FakeClock()).count(None, with_failed_entities=True)).failed_entities


async def test_every_page_is_read_by_an_index_and_never_sorts(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3))
        for sql, values in (
            (outbox_sql.LANE, {"priority": 3, "after_id": 0, "limit": 10, "store_id": "7"}),
            (outbox_sql.BLOCK, {"priority": 3, "after_id": 0, "limit": 10, "store_id": "7", "longest": 1000}),
            (
                outbox_sql.ENTITY,
                {"entity_type": "R", "entity_id": 1, "after_id": 0, "before_id": 99, "other_than": 0, "limit": 10, "store_id": "7"},
            ),
        ):
            plan = [row[3] for row in await files.reader.run(lambda c, s=sql, v=values: c.execute(f"EXPLAIN QUERY PLAN {s}", v).fetchall())]  # type: ignore[misc]
            assert any("SEARCH o USING INDEX" in step for step in plan), plan
            tables = [step for step in plan if "SCAN (subquery" not in step]  # the page itself, once it is read
            assert not any("SCAN" in step or "TEMP B-TREE" in step for step in tables), plan


async def test_the_entities_of_a_page_are_looked_up_by_index(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        values = {"priority": 3, "after_id": 0, "up_to": 9}
        for sql in (outbox_sql.OTHERS, outbox_sql.WITH_EARLIER):
            plan = [row[3] for row in await files.reader.run(lambda c, s=sql: c.execute(f"EXPLAIN QUERY PLAN {s}", values).fetchall())]  # type: ignore[misc]
            assert sum("USING INDEX sync_outbox_by_" in step or "USING COVERING INDEX sync_outbox_by_" in step for step in plan) >= 2, plan
            page = ("SCAN CONSTANT ROW", "SCAN p", "USE TEMP B-TREE FOR GROUP BY")  # its entities, once they are read
            tables = [step for step in plan if step not in page]
            assert not any("SCAN" in step or "TEMP B-TREE" in step for step in tables), plan


async def test_plain_rows_are_a_block_that_holds_what_each_row_by_itself_would(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        for n, (entity_id, created_at) in enumerate([(5, AT), ("x", "2026-11-23 10:00:00.1234567"), (7.0, AT)]):
            execute(
                path,
                "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, created_at) VALUES ('Rü', ?, 'Create', ?, ?)",
                entity_id, f'{{"n": {n}, "ü": "\U0001f600"}}', created_at,
            )  # fmt: skip
        block = (await a_reader(files, FakeClock()).page(3, 0, 10, nothing_known)).rows
        assert isinstance(block, Block)
        reader = a_reader(files, FakeClock())
        rows = [row for key in ("5", "x", "7") for row in (await reader.entity_page(("Rü", key), 0, 10)).rows]
        assert [fields(row) for row in block] == [fields(row) | {"plain": True} for row in rows]
        assert block.items == b",".join(row.encoded for row in rows)
        assert list(block.entities) == [row.entity for row in rows]
        assert [fields(row) for row in block[1:]] == [fields(row) | {"plain": True} for row in rows[1:]]
        assert [fields(row) for row in Block.of(list(block))] == [fields(row) for row in block]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sync_outbox SET attempts = 1 WHERE id = 2",
        "UPDATE sync_outbox SET next_attempt_at = '2026-11-23T09:00:00.000Z' WHERE id = 2",
        "UPDATE sync_outbox SET created_at = 'yesterday' WHERE id = 2",
        "UPDATE sync_outbox SET created_at = x'00' WHERE id = 2",
        "UPDATE sync_outbox SET payload = CAST(x'80FF' AS TEXT) WHERE id = 2",
        "UPDATE sync_outbox SET correlation_id = CAST(x'80FF' AS TEXT) WHERE id = 2",
        "UPDATE sync_outbox SET correlation_id = 'a' || char(0) || 'b' WHERE id = 2",
        "UPDATE sync_outbox SET priority = 4, entity_id = 3 WHERE id = 2",
    ],
)
async def test_a_page_with_a_row_that_needs_a_look_is_no_block(tmp_path: Path, path: Path, change: str) -> None:
    async with opened(tmp_path) as files:
        write_rows(path, ("R", 1, 3), ("R", 2, 3), ("R", 3, 3))
        reader = a_reader(files, FakeClock())
        assert isinstance((await reader.page(3, 0, 10, nothing_known)).rows, Block)
        execute(path, change)
        page = await reader.page(3, 0, 10, nothing_known)
        assert not isinstance(page.rows, Block)
        assert sorted(ids(page) + [row.id for row in page.earlier]) == [1, 2, 3]


def fields(row: OutboxRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in OutboxRow.__slots__}


ENTITY = st.sampled_from([("R", 1), ("R", "1"), ("R", 2), ("P", 1), ("P", "x")])
ROWS = st.lists(st.tuples(ENTITY, st.integers(1, 4), st.sampled_from(["", "sent", "failed", "pending", "cancelled-in-till"])), max_size=25)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, limit=st.integers(1, 6))
async def test_pages_hold_what_a_plain_look_at_both_files_finds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[tuple[str, object], int, str]], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("model")
    path = folder / "store.db"
    clock = FakeClock()
    async with opened(folder) as files:
        write_rows(path, *[(kind, identifier, priority) for (kind, identifier), priority, _ in rows])
        known = {n: what for n, (_, _, what) in enumerate(rows, 1)}
        told = [outcome(path, n, what) for n, what in known.items() if what in ("sent", "failed", "pending")]
        await record(a_journal(files, clock), *told)
        cancelled = [(n,) for n, what in known.items() if what == "cancelled-in-till"]
        with closing(sqlite3.connect(path)) as till:
            till.executemany("UPDATE sync_outbox SET status = 'cancelled' WHERE id = ?", cancelled)
            till.commit()
        waiting = [n for n, what in known.items() if what in ("", "pending")]
        entity = {n: (kind, str(identifier)) for n, ((kind, identifier), _, _) in enumerate(rows, 1)}
        urgency = {n: priority for n, (_, priority, _) in enumerate(rows, 1)}
        reader = a_reader(files, clock)
        for priority in (1, 2, 3, 4):
            found: list[int] = []
            after = 0
            while True:
                page = await reader.page(priority, after, limit, nothing_known)
                newest = {row.entity: row.id for row in page.rows}
                expected = {n for n in waiting if urgency[n] != priority and n < newest.get(entity[n], 0)}
                assert {row.id for row in page.earlier} == expected
                found += ids(page)
                after = page.after_id
                if page.complete:
                    break
            assert found == [n for n in waiting if urgency[n] == priority]
        counts = await reader.count(None)
        assert sum(counts.pending.values()) == len(waiting)
