"""What the journal has and the till's file does not have yet: taken in chunks, and forgotten once it is durable there.

None of it passes through Python but the ids: SQLite remembers what was taken in a temporary table, and compares by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from syncd.store.database import Database

_TAKEN = "CREATE TEMP TABLE IF NOT EXISTS taken (id INTEGER PRIMARY KEY, correlation_id, status, decided_at)"
_TAKE = """
INSERT INTO temp.taken SELECT id, correlation_id, status, decided_at FROM main.outcome WHERE id > ? ORDER BY id LIMIT ?
"""
_IDS = "SELECT json_group_array(id), count(*), max(id) FROM temp.taken WHERE id > ?"
# An entry that was overwritten meanwhile stays.
_FORGET = """
DELETE FROM main.outcome WHERE id IN (
    SELECT t.id FROM temp.taken AS t CROSS JOIN main.outcome AS o
    ON o.id = t.id AND o.correlation_id = t.correlation_id AND o.status = t.status AND o.decided_at = t.decided_at)
"""
_FORGET_SEEN = """
DELETE FROM main.first_seen WHERE id IN (
    SELECT t.id FROM main.first_seen AS f CROSS JOIN temp.taken AS t
    ON t.id = f.id AND t.correlation_id = f.correlation_id AND t.status <> 'pending')
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some entries of the journal, by id.

    Attributes:
        ids: as a JSON array.
        rows: how many; 0 where there are no more.
        last_id: where the next chunk begins.
    """

    ids: str
    rows: int
    last_id: int


class Unmarked:
    """Reads the journal for the marks.

    Args:
        database: the journal.

    Raises (each method):
        StorageError: the file cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self) -> None:
        """Nothing is taken."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_TAKEN)
            connection.execute("DELETE FROM temp.taken")

        await self._database.run(work)

    async def take(self, after_id: int, limit: int) -> Chunk:
        """The entries behind an id, so many at most."""

        def work(connection: sqlite3.Connection) -> Chunk:
            connection.execute(_TAKE, (after_id, limit))
            ids, rows, last_id = connection.execute(_IDS, (after_id,)).fetchone()
            return Chunk(ids, rows, after_id if last_id is None else last_id)

        return await self._database.run(work)

    async def forget(self) -> None:
        """Delete what was taken since the last time: it is durable in the till's file."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET)
            connection.execute(_FORGET_SEEN)
            connection.execute("DELETE FROM temp.taken")

        await self._database.write(work)
