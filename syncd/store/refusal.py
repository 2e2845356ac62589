"""What SQLite refuses of a transaction (a trigger of the POS that raises, a constraint), told apart from a file in trouble."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from syncd.store.schema import is_ours
from syncd.store.sqlite_errors import is_of_the_database, primary_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.store.schema import Schema


def refusal(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], object], schema: Schema) -> str | None:
    """Do the work within the writer's transaction; where SQLite refuses a row, undo all of it, and return why.

    Args:
        schema: while one of its tables is not there, as in the middle of a POS's rebuild, nothing is refused.

    Raises:
        sqlite3.Error: the lock, the disk, the file, or a table that is not there: worth trying again.
    """
    try:
        work(connection)
    except sqlite3.Error as error:
        if is_of_the_database(error) or (primary_code(error) == sqlite3.SQLITE_ERROR and not _has_tables(connection, schema)):
            raise
        if connection.in_transaction:  # RAISE(ROLLBACK) has ended it already
            connection.execute("ROLLBACK")
        connection.execute("BEGIN")  # an empty one, which takes no lock, for the writer to commit
        return str(error)
    return None


def _has_tables(connection: sqlite3.Connection, schema: Schema) -> bool:
    """Within the failed transaction, so that nobody has put a table back meanwhile."""
    return all(is_ours(connection, item) for item in schema.values() if item.kind == "table")
