"""Reads a page of plain rows as one: SQLite joins their items, and nothing is made of a row by itself.

A row of a result costs a step of its statement, its values as objects, and Python's lock being given away and waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from syncd.store import item_sql, outbox_sql
from syncd.store.block import Block, Columns
from syncd.store.times import wire_lines

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_NUL = rb"\u0000"  # as JSON has it; SQLite ends a text there where it takes it out of JSON, as the journal's statement does


def read(
    connection: sqlite3.Connection, priority: int, after_id: int, limit: int, *, store_id: str, longest: int
) -> tuple[Block | None, int]:
    """The next rows of a priority as a block, and how many there are; no block where one of them needs a look.

    Args:
        store_id: as JSON text.
        longest: bytes of an item; a row with a longer one needs a look.
    """
    bounds = {"priority": priority, "after_id": after_id, "limit": limit, "store_id": store_id, "longest": longest}
    rows, plain, *columns = connection.execute(outbox_sql.BLOCK, bounds).fetchone()
    if not plain or plain < rows:
        return None, rows
    ids, kinds, entity_ids, correlation_ids, stamps, lengths, items = columns
    timestamps = wire_lines(stamps)
    if timestamps is None or len(timestamps) != rows or _NUL in correlation_ids or not item_sql.is_utf8(items):
        return None, rows
    found = Columns.of(
        ids=_as_range(orjson.loads(ids)), kinds=orjson.loads(kinds), entity_ids=orjson.loads(entity_ids),
        correlation_ids=orjson.loads(correlation_ids), timestamps=timestamps, items=items, lengths=orjson.loads(lengths),
    )  # fmt: skip
    return Block(priority, found), rows


def _as_range(ids: list[int]) -> Sequence[int]:
    first, behind = ids[0], ids[-1] + 1
    return range(first, behind) if behind - first == len(ids) else ids  # no range longer than 2^63 - 1 has a `len`
