"""What the journal has and the till's file does not have yet: taken in stretches of ids, and forgotten once it is durable there.

An entry may be overwritten while it is being marked, and what it says then is not in the till's file: `Again` knows of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from syncd.store.outbox import MIN_ID

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from syncd.store.database import Database

_TAKE = "SELECT count(*), max(id) FROM (SELECT id FROM outcome WHERE id > ? ORDER BY id LIMIT ?)"
_TAKEN = "id > :after_id AND id <= :last_id AND id NOT IN (SELECT value FROM json_each(:again))"
_FORGET_SEEN = f"""
DELETE FROM first_seen WHERE {_TAKEN} AND EXISTS (
    SELECT 1 FROM outcome AS o WHERE o.id = first_seen.id AND o.correlation_id = first_seen.correlation_id AND o.status <> 'pending')
"""  # noqa: S608 - constants
_FORGET = f"DELETE FROM outcome WHERE {_TAKEN}"  # noqa: S608 - constants


class Again:
    """Ids of entries that were recorded after their stretch had been taken. Used on the journal's thread only.

    Attributes:
        taken_up_to: the end of the last stretch; what is recorded behind it is still to be taken.
        ids: up to there.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Nothing is taken."""
        self.taken_up_to = MIN_ID
        self.ids: set[int] = set()

    def recorded(self, ids: Sequence[int]) -> None:
        """These entries are new, or say something else now."""
        self.ids.update([row_id for row_id in ids if row_id <= self.taken_up_to])


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some entries of the journal, by id.

    Attributes:
        after_id: they are behind this one.
        last_id: the last of them.
        rows: how many; 0 where there are no more.
    """

    after_id: int
    last_id: int
    rows: int


class Unmarked:
    """Reads the journal for the marks.

    Args:
        database: the journal.
        again: told by whoever records.

    Raises (each method):
        StorageError: the file cannot be read or written.
    """

    def __init__(self, database: Database, again: Again) -> None:
        self._database = database
        self._again = again
        self._forgotten_up_to = MIN_ID

    async def begin(self) -> None:
        """Nothing is taken."""
        self._forgotten_up_to = MIN_ID
        await self._database.run(lambda _: self._again.begin())

    async def take(self, after_id: int, limit: int) -> Chunk:
        """The entries behind an id, so many at most."""

        def work(connection: sqlite3.Connection) -> Chunk:
            rows, last_id = connection.execute(_TAKE, (after_id, limit)).fetchone()
            if rows:
                self._again.taken_up_to = last_id
            return Chunk(after_id, last_id if rows else after_id, rows)

        return await self._database.run(work)

    async def forget(self, up_to: int) -> None:
        """Delete what was taken up to this id: it is durable in the till's file. What was recorded again meanwhile stays."""

        def work(connection: sqlite3.Connection) -> None:
            again = orjson.dumps(list(self._again.ids)).decode()
            taken = {"after_id": self._forgotten_up_to, "last_id": up_to, "again": again}
            connection.execute(_FORGET_SEEN, taken)
            connection.execute(_FORGET, taken)

        await self._database.write(work)
        self._forgotten_up_to = up_to
