"""Copies outcomes from the journal to the till's `status` column.

That takes seconds on a quiet file, and longer while a backlog is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.outbox import MIN_ID
from syncd.store.retry_delays import MARK_RETRY_SECONDS
from syncd.store.unmarked import Unmarked
from syncd.store.write_budget import Cost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.store.journal import Journal
    from syncd.store.unmarked import Chunk
    from syncd.store.write_budget import PacedWriter

GATHER_SECONDS = 0.5  # outcomes of this time are marked together
FORGET_ROWS = 5000  # both files are synced to disk once for so many marks

# The journal is read within the transaction: an entry that `syncd outbox retry` has deleted meanwhile marks nothing.
_MARK = """
UPDATE [sync_outbox] AS o
SET status = j.status, attempts = j.attempts, next_attempt_at = j.next_attempt_at, last_error = j.last_error,
    sent_at = CASE j.status WHEN 'sent' THEN j.decided_at END
FROM journal.outcome AS j
WHERE j.id > ? AND j.id <= ? AND o.id = j.id AND o.correlation_id = j.correlation_id AND o.status = 'pending'
"""


class StatusMarks:
    """Copies outcomes to the till's file, durably, and then deletes them from the journal."""

    def __init__(self, till: PacedWriter, journal: Journal, clock: Clock, on_trouble: Callable[[StorageError | None], None]) -> None:
        self._till = till
        self._journal = journal
        self._unmarked = Unmarked(journal.database, journal.again)
        self._clock = clock
        self._on_trouble = on_trouble
        self._cost = Cost()

    async def run(self) -> None:
        """Mark what the journal records; for ever."""
        while True:
            await self._journal.recorded.wait()
            self._journal.recorded.clear()
            await self._clock.sleep(GATHER_SECONDS)
            try:
                await self.mark_all()
                self._on_trouble(None)
            except StorageError as error:  # locked, full, read-only: the journal keeps what it has
                self._on_trouble(error)
                self._journal.recorded.set()
                await self._clock.sleep(MARK_RETRY_SECONDS)

    async def mark_all(self) -> None:
        """Mark what the journal has now, chunk by chunk.

        Raises:
            StorageError: one of the files cannot be written; what is still in the journal is marked again later.
        """
        await self._unmarked.begin()
        after_id, marked = MIN_ID, 0
        while True:
            chunk = await self._unmarked.take(after_id, self._till.room(self._cost, urgent=False))
            if chunk.rows:
                await self._mark(chunk)
                after_id = chunk.last_id
                marked += chunk.rows
            if marked and (not chunk.rows or marked >= FORGET_ROWS):
                await self._till.database.sync()
                await self._unmarked.forget(after_id)
                marked = 0
            if not chunk.rows:
                return

    async def _mark(self, chunk: Chunk) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_MARK, (chunk.after_id, chunk.last_id))

        await self._till.write(work, rows=chunk.rows, cost=self._cost, urgent=False)
