"""Both files of the outbox as they were at one moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Read the till's file and the attached journal within one transaction; the journal's moment is a little earlier.

    An outcome is marked in the till's file first and is dropped from the journal after that. So a row that is marked in
    between is read as decided in both, never as pending in both.
    """
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT 1 FROM journal.outcome LIMIT 1").fetchone()
        yield
    finally:
        if connection.in_transaction:  # an error may have ended it
            connection.execute("COMMIT")
