"""Python loads this where `PYTHONPATH` names its folder: every table that a connection of syncd's touches is written down.

A line is `FILE DATABASE TABLE`, in the file that `WATCHED_TABLES` names; SQLite's authorizer tells them, triggers' included.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

import syncd.store.names

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.names import Names

_connect = syncd.store.names.connect
_seen: set[str] = set()


def _watched(database: str | Path, names: Names, **options: Any) -> sqlite3.Connection:
    connection = _connect(database, names, **options)

    def note(action: int, table: str | None, __: str | None, schema: str | None, ___: str | None) -> int:
        if action == sqlite3.SQLITE_READ:
            schema = schema or "main"  # SQLite names none where a query takes no column, as count(*)
        line = f"{str(database).removeprefix('file://').partition('?')[0]} {schema} {table}\n"
        if action != sqlite3.SQLITE_PRAGMA and schema and table and line not in _seen:
            _seen.add(line)
            with open(os.environ["WATCHED_TABLES"], "a", encoding="utf-8") as file:  # noqa: PTH123 - an early module
                file.write(line)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    return connection


syncd.store.names.connect = _watched
