"""Whether the outbox still has a number for the next sale.

AUTOINCREMENT never goes below the highest id that a table has had, and where that is SQLite's highest, every INSERT
fails with "database or disk is full". Triggers keep ids out of there (sql/outbox/0002_id_bounds.sql); a row may be
there from before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.store.names import has_table, names_of

if TYPE_CHECKING:
    import sqlite3

HIGHEST = 2**63 - 1
TO_SPARE = 2**32  # ids; at a thousand rows a second they last for seven weeks


def ids_used_up(connection: sqlite3.Connection, path: object) -> str | None:
    """Says in plain words that there are none left, or fewer than `TO_SPARE`; None where there are enough."""
    if not has_table(connection, "sync_outbox"):
        return None
    (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM [sync_outbox]").fetchone()
    if connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        # There is none where a POS made all tables, without AUTOINCREMENT.
        query = "SELECT max(seq) FROM main.sqlite_sequence WHERE lower(name) = ? AND typeof(seq) = 'integer'"
        highest = max(highest, connection.execute(query, (names_of(connection).of("sync_outbox"),)).fetchone()[0] or 0)
    left = HIGHEST - highest
    if left >= TO_SPARE:
        return None
    fails = 'every sale fails with "database or disk is full"' if left == 0 else f"only {left:,} more rows can be written"
    return f"{path}: the outbox has had a row with the id {highest}, so that {fails}: see docs/trouble.md, Outbox ids that are used up"
