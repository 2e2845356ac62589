"""Old rows leave in small pieces: what was sent or cancelled, the inbox and the quarantine, after `sync.retention_days`.

Rows that are pending or failed stay for ever: they are somebody's sale.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.outbox import MIN_ID
from syncd.store.times import sortable
from syncd.store.write_budget import Cost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.store.write_budget import PacedWriter

FIRST_SECONDS = 60.0  # after the start, when there is more urgent work
INTERVAL_SECONDS = 3600.0
RETRY_SECONDS = 30.0  # what keeps us from purging keeps the status critical: look soon whether it is over
SCAN_ROWS = 1000  # looked at in one read, outside the lock
# What is oldest is looked up outside the lock; the records age in the order of their ids.
_INBOX = ("SELECT id, applied_at FROM sync_inbox ORDER BY id LIMIT ?", "DELETE FROM sync_inbox WHERE id <= ?")
_QUARANTINE = ("SELECT id, received_at FROM sync_quarantine ORDER BY id LIMIT ?", "DELETE FROM sync_quarantine WHERE id <= ?")


class Retention:
    """Deletes what is older than `days`.

    Args:
        days: 0 keeps everything.
    """

    def __init__(
        self, outbox: PacedWriter, store: PacedWriter, days: float, clock: Clock, on_trouble: Callable[[StorageError | None], None]
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._days = days
        self._clock = clock
        self._on_trouble = on_trouble
        self._cost = Cost()

    async def run(self) -> None:
        """Purge soon and every hour; for ever."""
        await self._clock.sleep(FIRST_SECONDS)
        while True:
            try:
                if self._days > 0:
                    await self.purge()
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                self._on_trouble(None)
                await self._clock.sleep(INTERVAL_SECONDS)

    async def purge(self) -> int:
        """Delete what is too old.

        Returns:
            The number of rows deleted.

        Raises:
            StorageError: the file cannot be read or written; the rest goes next time.
        """
        before = sortable(iso_ms(self._clock.now() - timedelta(days=self._days))) or ""
        deleted = await self._purge_outbox(before)
        deleted += await self._purge_log(_INBOX, before)
        deleted += await self._purge_log(_QUARANTINE, before)
        return deleted

    async def _purge_outbox(self, before: str) -> int:
        after_id, deleted = MIN_ID, 0
        end = False
        while not end:
            ids, after_id, end = await self._outbox.database.run(partial(_old_rows, after_id=after_id, before=before))
            while ids:
                room = self._outbox.room(self._cost, urgent=False)
                piece, ids = ids[:room], ids[room:]
                await self._outbox.write(partial(_delete_rows, ids=piece), rows=len(piece), cost=self._cost, urgent=False)
                deleted += len(piece)
        return deleted

    async def _purge_log(self, log: tuple[str, str], before: str) -> int:
        oldest, delete = log
        deleted = 0
        while True:
            room = self._store.room(self._cost, urgent=False)
            rows = await self._store.database.run(partial(_fetch, sql=oldest, limit=room))
            old: list[int] = [identifier for identifier, at in rows if (sortable(at) or "") < before]
            if not old:
                return deleted
            await self._store.write(partial(_fetch, sql=delete, limit=old[-1]), rows=len(old), cost=self._cost, urgent=False)
            deleted += len(old)


def _fetch(connection: sqlite3.Connection, sql: str, limit: int) -> list[tuple[int, str]]:
    return connection.execute(sql, (limit,)).fetchall()


def _delete_rows(connection: sqlite3.Connection, ids: list[int]) -> None:
    connection.executemany("DELETE FROM sync_outbox WHERE id = ? AND status IN ('sent', 'cancelled')", [(i,) for i in ids])


def _old_rows(connection: sqlite3.Connection, after_id: int, before: str) -> tuple[list[int], int, bool]:
    """Ids to delete among the next rows, where to go on, and whether the rest is too young: rows age in the order of their ids."""
    rows = connection.execute(
        "SELECT id, status, coalesce(sent_at, created_at) FROM sync_outbox WHERE id > ? AND status IN ('sent', 'cancelled') "
        "ORDER BY id LIMIT ?",
        (after_id, SCAN_ROWS),
    ).fetchall()
    old = []
    for identifier, status, at in rows:
        moment = sortable(at) if isinstance(at, str) else None
        if moment is not None and moment < before:
            old.append(identifier)
        elif moment is not None and status == "sent":
            return old, identifier, True
    return old, rows[-1][0] if rows else after_id, len(rows) < SCAN_ROWS
