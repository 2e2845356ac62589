"""A store as the first release left it: its files, with a backlog and acknowledgements that are not in the till's file yet.

`tests/data/first_schema` was made by that release; nothing that a later one does may change it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "first_schema"
STILL_TO_SEND = range(29, 61)
"""Of rows 4 to 60: 4 to 10 are `sent`, 11 `failed`, 12 `cancelled`, 13 to 28 acknowledged in syncd's own file only, where 29 and 30
wait for their retry."""


def restore(store: Path) -> None:
    """Put its files where this store's are to be."""
    for name, path in (("store.sql", store), ("state.sql", store.with_name(f"{store.name}.syncd"))):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript((DATA / name).read_text(encoding="utf-8"))


def correlation_id(row: int) -> str:
    """Of a row of its outbox."""
    return f"00000000-0000-4000-8000-{row:012d}"
