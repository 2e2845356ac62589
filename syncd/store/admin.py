"""What a person may do to the outbox: list its rows, retry them, cancel them. Works beside a running daemon.

A change is made in two transactions, and a crash between them does no harm, since the row is simply pending then: first
the row's entry in our journal is deleted, then the till's file gets the new status and a new generation, which makes
the daemon read its backlog afresh.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from syncd.errors import StorageError, SyncdError
from syncd.store.database import BUSY_TIMEOUT_SECONDS
from syncd.store.migrate import require_current
from syncd.store.outbox import as_sent
from syncd.store.permissions import require_own_database, require_writable
from syncd.store.snapshot import snapshot
from syncd.store.sqlite_errors import translate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from syncd.config.settings import DatabaseSettings

CHUNK_ROWS = 100  # one transaction
PAUSE_SECONDS = 0.05  # between two of them, for the till

_EFFECTIVE = """
SELECT o.id, o.entity_type, o.entity_id, o.operation, o.priority, o.correlation_id, o.created_at,
       coalesce(j.status, o.status), coalesce(j.attempts, o.attempts),
       CASE WHEN j.id IS NULL THEN o.next_attempt_at ELSE j.next_attempt_at END,
       CASE WHEN j.id IS NULL THEN o.last_error ELSE j.last_error END,
       CASE WHEN j.status = 'sent' THEN j.decided_at ELSE o.sent_at END
FROM sync_outbox AS o LEFT JOIN journal.outcome AS j ON j.id = o.id AND j.correlation_id = o.correlation_id AND o.status = 'pending'
"""
# Only for a row that is pending in the till's file does the journal's entry count.
_BY_STATUS = {
    "pending": f"{_EFFECTIVE} WHERE o.status = 'pending' AND (j.id IS NULL OR j.status = 'pending') ORDER BY o.priority, o.id LIMIT ?",
    "failed": f"{_EFFECTIVE} WHERE o.status = 'failed' OR (o.status = 'pending' AND j.status = 'failed') ORDER BY o.id LIMIT ?",
    "sent": f"{_EFFECTIVE} WHERE o.status = 'sent' OR (o.status = 'pending' AND j.status = 'sent') ORDER BY o.id DESC LIMIT ?",
    "cancelled": f"{_EFFECTIVE} WHERE o.status = 'cancelled' ORDER BY o.id DESC LIMIT ?",
}


@dataclass(frozen=True, slots=True)
class EffectiveRow:
    """A row as it stands, whichever of the two files knows it; without its payload."""

    id: int
    entity_type: str
    entity_id: int | str
    operation: str
    priority: int
    correlation_id: str
    created_at: str
    status: str
    attempts: int
    next_attempt_at: str | None
    last_error: str | None
    sent_at: str | None


class OutboxAdmin:
    """The outbox, open for a short time; a context manager.

    Raises:
        StorageError: there is no outbox here, or it cannot be used.
        ConfigurationError: it is older or newer than this program.
        PermissionDeniedError: it may not be written.
    """

    def __init__(self, paths: DatabaseSettings) -> None:
        self._paths = paths
        require_writable(paths.outbox_path)
        require_own_database(paths.state_path)
        for path in (paths.outbox_path, paths.state_path):
            if not path.exists():
                raise StorageError(f"{path}: there is no such database; `syncd run` makes it")
        try:
            self._connection = sqlite3.connect(paths.outbox_path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
        except sqlite3.Error as error:
            raise translate(error, paths.outbox_path) from error
        try:
            # A text that is no UTF-8 may be the very reason why a row failed: that row is shown, and so are all others.
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")
            require_current(self._connection, paths.outbox_path, "outbox")
            with closing(sqlite3.connect(paths.state_path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)) as journal:
                require_current(journal, paths.state_path, "journal")
            self._connection.execute("ATTACH DATABASE ? AS journal", (str(paths.state_path),))
            self._connection.execute("PRAGMA journal.synchronous = FULL")
        except sqlite3.Error as error:
            self._connection.close()
            raise translate(error, paths.outbox_path) from error
        except SyncdError:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, status: str, limit: int) -> list[EffectiveRow]:
        """The first rows with this status: what goes out next, what failed first, what was sent last."""
        try:
            with snapshot(self._connection):
                found = self._connection.execute(_BY_STATUS[status], (limit,)).fetchall()
            return [EffectiveRow(row[0], row[1], as_sent(row[2]), *row[3:]) for row in found]
        except sqlite3.Error as error:
            raise translate(error, self._paths.outbox_path) from error

    def retry(self, ids: Sequence[int] | None) -> int:
        """Make failed rows pending again, and have those that wait for their retry sent at once.

        Args:
            ids: which; None for all that failed.

        Returns:
            How many rows that were.
        """
        if ids is None:
            ids = [row.id for row in self.rows("failed", -1)]
        return sum(
            self._change(chunk, "status = 'pending', attempts = 0, next_attempt_at = NULL, last_error = NULL") for chunk in _chunks(ids)
        )

    def cancel(self, ids: Sequence[int]) -> int:
        """Take rows out of the queue for good: pending or failed ones, never one that HQ has.

        Returns:
            How many rows that were. A row that is just in flight may reach HQ all the same.
        """
        return sum(self._change(chunk, "status = 'cancelled', next_attempt_at = NULL") for chunk in _chunks(ids))

    def _change(self, ids: Sequence[int], assignments: str) -> int:
        marks = ", ".join("?" * len(ids))
        try:
            self._connection.execute(
                f"DELETE FROM journal.outcome WHERE id IN ({marks}) AND status IN ('failed', 'pending')",  # noqa: S608 - question marks
                ids,
            )
            if self._connection.execute("SELECT 1 FROM journal.sqlite_schema WHERE name = 'retry'").fetchone():
                # A daemon of an older release that is still running has none.
                self._connection.execute(f"DELETE FROM journal.retry WHERE id IN ({marks})", ids)  # noqa: S608 - question marks
            # Not IMMEDIATE, which locks the journal as well, and would make the till wait for it: the UPDATE locks what it writes.
            self._connection.execute("BEGIN")
            changed = self._connection.execute(
                f"UPDATE main.sync_outbox AS o SET {assignments} WHERE id IN ({marks}) AND status IN ('failed', 'pending') "  # noqa: S608
                "AND NOT EXISTS (SELECT 1 FROM journal.outcome AS j WHERE j.id = o.id AND j.correlation_id = o.correlation_id)",
                ids,
            ).rowcount
            self._connection.execute("UPDATE main.sync_outbox_generation SET generation = generation + 1")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise translate(error, self._paths.outbox_path) from error
        return changed


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), CHUNK_ROWS):
        if start:
            time.sleep(PAUSE_SECONDS)  # a command of its own process: there is no loop and no clock here
        yield ids[start : start + CHUNK_ROWS]
