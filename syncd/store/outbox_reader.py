"""Reads the outbox on a connection of its own: in pages, and never a row that HQ has acknowledged already.

Nothing here writes into the till's file. What HQ has said of a row is in our journal before it is in the till's file,
so every page is read against the journal, which is attached to this connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from syncd.store.outbox_count import count
from syncd.store.outbox_pages import PageReader
from syncd.store.snapshot import snapshot

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime

    from syncd.store.database import Database
    from syncd.store.outbox import DuePage, Entity, Page
    from syncd.store.outbox_count import Counts

T = TypeVar("T")


class OutboxReader:
    """Reads pages of pending rows, and counts them; each call is one snapshot of both files.

    Args:
        database: a connection with the journal attached as `journal`.
        now: the wall clock, in UTC.
        store_id: who we are, in every item.

    Raises (each method):
        StorageError: a file cannot be read.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], store_id: int | str) -> None:
        self.database = database
        self._pages = PageReader(now, store_id)

    async def page(self, priority: int, after_id: int, limit: int, done_up_to: Callable[[Entity], int]) -> Page:
        """The next rows of one priority, with the earlier rows of their entities.

        Args:
            done_up_to: the id up to which all rows of an entity are known to be done; `MIN_ID` where nothing is known.
                It only saves work. It is called on the connection's thread.
        """
        return await self._read(lambda connection: self._pages.lane(connection, priority, after_id, limit, done_up_to))

    async def entity_page(self, entity: Entity, after_id: int, limit: int) -> Page:
        """The next rows of one entity, whatever their priorities."""
        return await self._read(lambda connection: self._pages.entity(connection, entity, after_id, limit))

    async def due_page(self, priority: int, now: str, latest: str, limit: int) -> DuePage:
        """Rows of one priority whose retry is due, with the rows behind them, whatever the priorities of those.

        Args:
            now: ISO 8601 UTC.
            latest: ISO 8601 UTC; no retry can be due later. One that seems to be is due now: the clock was set back.
        """
        return await self._read(lambda connection: self._pages.due(connection, priority, now, latest, limit))

    async def count(self, known: Counts | None, *, with_failed_entities: bool = False) -> Counts:
        """Count what HQ does not have yet; with `known`, only what is newer than that."""
        return await self._read(lambda connection: count(connection, known, with_failed_entities=with_failed_entities))

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        def work(connection: sqlite3.Connection) -> T:
            with snapshot(connection):
                return read(connection)

        return await self.database.run(work)
