from __future__ import annotations

import sqlite3
from contextlib import closing

from syncd.store.rebuild import REBUILT, finish_rebuilds


def test_a_column_of_the_poss_whose_default_is_an_expression_is_moved_with_it() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(
            "CREATE TABLE prices (id, price, seen NOT NULL DEFAULT (datetime('now')), s DEFAULT (lower('A')), n DEFAULT 5, t DEFAULT 'x')"
        )
        connection.execute("INSERT INTO prices (id, seen) VALUES (1, 'then')")
        connection.execute(f"CREATE TABLE {REBUILT}prices (id PRIMARY KEY, price)")
        finish_rebuilds(connection)
        connection.execute("INSERT INTO prices (id) VALUES (2)")
        rows = connection.execute("SELECT id, seen = 'then', length(seen), s, n, t FROM prices ORDER BY id").fetchall()
        assert rows == [(1, 1, 4, "a", 5, "x"), (2, 0, 19, "a", 5, "x")]
