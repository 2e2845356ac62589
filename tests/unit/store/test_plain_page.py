"""A page that SQLite writes as one holds what is found where its rows are read one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncd.clock import SystemClock
from syncd.store import outbox_pages, plain_page
from syncd.store.block import Block
from syncd.store.outbox import MIN_ID, OutboxRow, Page
from syncd.store.outbox_pages import PageReader
from syncd.store.times import for_the_wire, wire_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLAIN = "2026-11-23T10:00:00.123Z"
TEXTS = st.one_of(
    st.text(min_size=1, max_size=30),
    st.sampled_from(
        ["'", '"', "\\", "\x7f", "\u2028", "🧾", "Жанна", "\r\n\t\b\f\x01\x1f", "\\u0000", "a\x00b", b"blob", b"\x80\xff", 5, 1.5]
    ),
)
BYTES_AS_TEXT = st.sampled_from([b"\x80\xff", b"\xed\xa0\x80", b"a\xc3"])  # text in the file, and no UTF-8
TIMES = st.one_of(
    st.just(PLAIN),
    st.sampled_from(
        ["2026-11-23 10:00:00.1234567", "2026-11-23T10:00:00.1234567Z", "2026-11-23 10:00:00", "2026-11-23T10:00:00.1234567",
         "2026-11-23T10:00:00.123456Z", "2026-11-23X10:00:00.1234567", "2026-02-30T10:00:00.000Z", "2026-11-23T24:00:00.000Z",
         "2026-11-23T10:00:00+02:00", "yesterday", "", f"{PLAIN}\n{PLAIN}", "2026-11-23T10:00:00.12ü", 0, b"2026-11-23T10:00:00.123Z"],
    ),
)  # fmt: skip
ROW = st.tuples(
    st.one_of(st.just("Receipt"), TEXTS),
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=9), st.just(7.0), st.just(1.5), st.just(b"x"), st.just(-0.0)),
    st.one_of(st.just("Create"), TEXTS),
    st.one_of(st.text(max_size=60), st.text(min_size=150, max_size=250), TEXTS),
    st.one_of(st.uuids().map(str), TEXTS),
    TIMES,
    st.sampled_from([0, 0, 0, 1, "x"]),
    st.sampled_from([None, None, None, PLAIN]),
    st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(["entity_type", "payload", "correlation_id"]), BYTES_AS_TEXT)),
)
SALE = ("Receipt", 1, "Create", "{}", "c", PLAIN, 0, None, None)
HIGHEST_ID = 9 * 10**18  # the triggers keep ids within that, on both sides of zero
IDS = st.one_of(  # of rows that are written one behind the other
    st.integers(-HIGHEST_ID, HIGHEST_ID - 3).map(lambda first: [first + n for n in range(4)]),
    st.lists(st.one_of(st.integers(-HIGHEST_ID, HIGHEST_ID), st.integers(-3, 3)), min_size=4, max_size=4, unique=True).map(sorted),
)
COLUMNS = "entity_type, entity_id, operation, payload, correlation_id, created_at, attempts, next_attempt_at"
TABLE = """
CREATE TABLE sync_outbox (
    id INTEGER PRIMARY KEY, entity_type, entity_id, operation, payload, priority DEFAULT 3, correlation_id, created_at,
    status DEFAULT 'pending',
    attempts INTEGER, next_attempt_at, last_error, sent_at);
CREATE INDEX sync_outbox_by_priority ON sync_outbox (priority, id) WHERE status = 'pending';
CREATE INDEX sync_outbox_by_entity ON sync_outbox (entity_type, entity_id, id, priority) WHERE status = 'pending';
ATTACH ':memory:' AS journal;
CREATE TABLE journal.outcome (id INTEGER PRIMARY KEY, correlation_id, status, attempts, next_attempt_at);
CREATE TABLE journal.first_seen (id INTEGER PRIMARY KEY, correlation_id, seen_at);
CREATE TABLE journal.retry (entity_type, entity_id, id, priority, created_at, due_at, PRIMARY KEY (entity_type, entity_id)) WITHOUT ROWID;
CREATE INDEX journal.retry_by_due ON retry (priority, due_at);
"""


@pytest.fixture
def outbox() -> Iterator[sqlite3.Connection]:
    """An outbox whose columns take whatever is written into them, and an empty journal."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLE)
        yield connection


def read(connection: sqlite3.Connection, limit: int, store_id: int | str) -> Page:
    return PageReader(SystemClock().now, store_id).lane(connection, 3, MIN_ID, limit, lambda _: MIN_ID)


def fields(row: OutboxRow) -> list[object]:
    return [getattr(row, name) for name in OutboxRow.__slots__ if name != "plain"]


def write(connection: sqlite3.Connection, rows: list[tuple[Any, ...]], ids: Sequence[int] = ()) -> None:
    connection.execute("DELETE FROM sync_outbox")
    for number, (*row, odd) in enumerate(rows):
        values = ", ".join("?" * (1 + len(row)))
        row_id = ids[number] if ids else number + 1
        connection.execute(f"INSERT INTO sync_outbox (id, {COLUMNS}) VALUES ({values})", (row_id, *row))
        if odd:
            connection.execute(f"UPDATE sync_outbox SET {odd[0]} = CAST(? AS TEXT) WHERE id = ?", (odd[1], row_id))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=4), ids=IDS, store_id=st.sampled_from([7, "seven", 'S"ü\x01', -1]))
@example(rows=[("Receipt", 1, "Create", "{}", "c", PLAIN, 0, None, ("payload", b"\x80\xff"))], ids=[1], store_id=7)
@example(rows=[("Receipt", 1, "Create", "{}", "c", PLAIN, 0, None, ("entity_type", b"a\xc3"))], ids=[1], store_id=7)
@example(rows=[SALE, ("Rü", "1", "Create", "\x00", "d", PLAIN, 0, None, None)], ids=[1, 2], store_id=7)
@example(rows=[("Receipt", 7.0, "Create", "{}", "c", "2026-11-23 10:00:00.1234567", 0, None, None)], ids=[1], store_id="seven")
@example(rows=[SALE, SALE], ids=[-HIGHEST_ID, HIGHEST_ID], store_id=7)
@example(rows=[SALE, SALE], ids=[HIGHEST_ID - 1, HIGHEST_ID], store_id=7)
def test_a_page_as_one_holds_what_its_rows_hold_one_by_one(
    outbox: sqlite3.Connection, rows: list[tuple[Any, ...]], ids: list[int], store_id: int | str
) -> None:
    write(outbox, rows, ids)
    page = read(outbox, 40, store_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_page, "read", lambda *_, **__: (None, len(rows)))
        patch.setattr(PageReader, "_block", lambda *_: None)
        one_by_one = read(outbox, 40, store_id)
    unreadable = {row.id for row in one_by_one.rows if row.unreadable_time}  # sent as the moment at which they were read
    assert (page.after_id, page.complete) == (one_by_one.after_id, one_by_one.complete)
    assert not (unreadable and isinstance(page.rows, Block))
    if not unreadable:
        assert [fields(row) for row in page.rows] == [fields(row) for row in one_by_one.rows]
    if isinstance(page.rows, Block):
        assert page.rows.items == b",".join(row.encoded for row in one_by_one.rows)
        assert list(page.rows.ids) == ids[: len(rows)]


@pytest.mark.parametrize("created_at", [PLAIN, "2026-11-23 10:00:00.1234567", "2026-11-23 10:00:00", "2026-11-23T10:00:00.1234567Z"])
@pytest.mark.parametrize("entity_id", [5, 5.0, "5", "Ж"])
def test_what_tills_write_is_read_as_one(outbox: sqlite3.Connection, created_at: str, entity_id: object) -> None:
    row = ("Rü", entity_id, "Create", '{"n": "🧾\x00"}', "c", created_at, 0, None, None)
    write(outbox, [row, row])
    block = plain_page.read(outbox, 3, MIN_ID, 10, store_id="7", longest=1000)[0]
    assert block is not None
    assert list(block.ids) == [1, 2]


@pytest.mark.parametrize("column", ["entity_type", "entity_id", "operation", "payload", "correlation_id", "created_at"])
@pytest.mark.parametrize("text", ["x" * 900, "ü" * 450, "\x01" * 150])
def test_a_row_of_many_bytes_is_not_read_with_others(outbox: sqlite3.Connection, column: str, text: str) -> None:
    write(outbox, [SALE] * 40)
    block = plain_page.read(outbox, 3, MIN_ID, 40, store_id="7", longest=1000)[0]
    assert block is not None
    assert plain_page.read(outbox, 3, MIN_ID, 40, store_id="7", longest=block.longest())[0] is not None
    assert plain_page.read(outbox, 3, MIN_ID, 40, store_id="7", longest=block.longest() - 1) == (None, 40)
    outbox.execute(f"UPDATE sync_outbox SET {column} = ? || id", (text,))
    outbox.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 12_000)
    assert plain_page.read(outbox, 3, MIN_ID, 40, store_id="7", longest=1000) == (None, 40), "they were not put together either"


def test_pages_of_long_rows_have_fewer_of_them_and_those_of_short_ones_more_again(
    outbox: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_pages, "MAX_PAGE_BYTES", 10_000)
    lengths = [10] * 20 + [900] * 30 + [10] * 100
    write(outbox, [("R", n, "Create", "x" * length, f"c{n}", PLAIN, 0, None, None) for n, length in enumerate(lengths)])
    reader = PageReader(SystemClock().now, 7)
    found: list[int] = []
    pages: list[tuple[int, bool]] = []
    complete = False
    while not complete:
        page = reader.lane(outbox, 3, found[-1] if found else MIN_ID, 20, lambda _: MIN_ID)
        found += [row.id for row in page.rows]
        pages.append((len(page.rows), isinstance(page.rows, Block)))
        complete = page.complete
        assert sum(len(row.encoded) for row in page.rows) < 12_500
    assert found == list(range(1, 151))
    assert pages[0] == (20, True)
    assert (7, True) in pages
    assert (20, True) in pages[-3:]


def test_rows_a_little_longer_than_those_before_are_read_as_one_all_the_same(
    outbox: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_pages, "MAX_PAGE_BYTES", 10_000)
    write(outbox, [("R", n, "Create", "x" * (900 + 10 * n), f"c{n}", PLAIN, 0, None, None) for n in range(60)])
    reader = PageReader(SystemClock().now, 7)
    page = reader.lane(outbox, 3, MIN_ID, 20, lambda _: MIN_ID)
    monkeypatch.setattr(reader, "_fetch", None)
    found = list(page.rows)
    while not page.complete:
        page = reader.lane(outbox, 3, found[-1].id, 20, lambda _: MIN_ID)
        found += page.rows
        assert sum(len(row.encoded) for row in page.rows) <= 10_000
    assert len(found) == 60


@given(texts=st.lists(TIMES.filter(lambda value: isinstance(value, str)), min_size=1, max_size=3))
def test_lines_that_are_times_on_the_wires_form_are_told_from_others(texts: list[Any]) -> None:
    lines = "\n".join(texts).split("\n")
    found = wire_lines("\n".join(texts).encode())
    assert found in (None, lines)
    if found is not None:
        assert [for_the_wire(line) for line in lines] == lines
    assert wire_lines(PLAIN.encode()) == [PLAIN]
