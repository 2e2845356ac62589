"""SQLite and Python must write the very same bytes for whatever a till may have stored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncd.store import item_sql
from syncd.store.outbox import as_sent
from syncd.wire.messages import UnencodableError, encode_item

TIME = "2026-11-23T10:00:00.000Z"
COLUMNS = ("id", "entity_type", "entity_id", "operation", "payload", "priority", "correlation_id", "attempts")
SELECT = f"SELECT {item_sql.HEAD}, {item_sql.tail('?', 'o.attempts')} FROM sync_outbox AS o"

TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=40),
    st.sampled_from(
        ["", "'", '"', "\\", "</script>", "\x7f", "\u2028", "🧾", "Жанна", "\r\n\t\b\f\x01\x1f", '{"a": "\\u0000"}', "\x00", "a\x00b"]
    ),
)
IDENTIFIERS = st.one_of(st.integers(-(2**63), 2**63 - 1), TEXTS, st.floats(allow_nan=False), st.integers(-(2**60), 2**60).map(float))


def both(row: tuple[Any, ...], store_id: int | str) -> tuple[bytes | None, bytes | None]:
    """The item as SQLite writes it, None where it leaves the row to Python; and as Python does."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE sync_outbox ({', '.join(COLUMNS)})")
        connection.execute(f"INSERT INTO sync_outbox VALUES ({', '.join('?' * len(COLUMNS))})", row)
        ((head, tail),) = connection.execute(SELECT, (orjson.dumps(store_id).decode(),))
    sequence, entity_type, entity_id, operation, payload, priority, correlation_id, attempts = row
    try:
        by_python = encode_item(
            entity_type=entity_type, entity_id=as_sent(entity_id), operation=operation, payload=payload, timestamp=TIME, store_id=store_id,
            correlation_id=correlation_id, sequence=sequence, priority=priority, attempt=attempts + 1,
        )  # fmt: skip
    except UnencodableError:
        by_python = None
    return (None if head is None else head + TIME.encode() + tail), by_python


@given(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1), TEXTS, IDENTIFIERS, TEXTS, TEXTS, st.integers(1, 4), TEXTS, st.integers(0, 2**31),
    ),
    st.one_of(st.integers(-(2**63), 2**63 - 1), TEXTS),
)  # fmt: skip
@settings(max_examples=600)
@example((1, "Receipt", 5.0, "Create", "{}", 1, "c", 0), 7)
@example((1, "Receipt", float(2**53), "Create", "{}", 1, "c", 0), 7)
@example((1, "Receipt", -0.0, "Create", "{}", 1, "c", 0), 7)
@example((1, "Receipt", "", "Create", "{}", 1, "c", 0), "a\x00b")
def test_sqlite_writes_the_bytes_that_python_writes(row: tuple[Any, ...], store_id: int | str) -> None:
    by_sqlite, by_python = both(row, store_id)
    texts = [value for value in row if isinstance(value, str)]
    identifier = row[2]
    is_odd = any("\x00" in text for text in texts) or (
        isinstance(identifier, float) and not (abs(identifier) <= 2**53 and identifier.is_integer())
    )
    assert by_sqlite == (None if is_odd else by_python)


@pytest.mark.parametrize("column", COLUMNS[1:7])
@pytest.mark.parametrize("value", [None, b"blob", 1.5])
def test_a_row_with_a_column_of_an_unusual_type_is_left_to_python(column: str, value: object) -> None:
    row = dict(zip(COLUMNS, (1, "Receipt", 5, "Create", "{}", 1, "c", 0), strict=True)) | {column: value}
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE sync_outbox ({', '.join(COLUMNS)})")
        connection.execute(f"INSERT INTO sync_outbox VALUES ({', '.join('?' * len(COLUMNS))})", tuple(row.values()))
        ((head, _),) = connection.execute(SELECT, ("7",))
    assert head is None


def test_text_that_is_no_utf8_is_noticed() -> None:
    assert item_sql.is_utf8("ü".encode())
    assert not item_sql.is_utf8(b'{"payload":"\xff"}')
    assert not item_sql.is_utf8(b"\xed\xa0\x80")
