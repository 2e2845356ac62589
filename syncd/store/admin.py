"""What a person may do to the outbox: list its rows, retry, cancel or purge them. Works beside a running daemon.

A change is made in transactions of one file each, so that the till waits for no other file's disk, and in an order in
which a kill between them leaves no row behind that the daemon does not know of:

1. the till's file learns which of the rows have failed; where its lock cannot be had, nothing has changed;
2. our journal forgets what HQ said of the rows, and what waits for a retry is due now;
3. the till's file gets the new status, and a generation which makes the daemon read its backlog afresh.

Killed before 3, what has failed is failed still, and what waits goes when the daemon had meant it to.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from syncd.store.by_hand import opened_by_hand
from syncd.store.names import UNPREFIXED, names_in
from syncd.store.outbox import as_sent
from syncd.store.row_filter import RowFilter
from syncd.store.snapshot import snapshot
from syncd.store.sqlite_errors import translate
from syncd.store.till_turns import TillTurns, seconds_since_written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from syncd.config.settings import DatabaseSettings

_JOINED = """
FROM [sync_outbox] AS o LEFT JOIN journal.outcome AS j ON j.id = o.id AND j.correlation_id = o.correlation_id AND o.status = 'pending'
"""
# Only for a row that is pending in the till's file does the journal's entry count.
_EFFECTIVE = f"""
SELECT o.id, o.entity_type, o.entity_id, o.operation, o.priority, o.correlation_id, o.created_at,
       coalesce(j.status, o.status), coalesce(j.attempts, o.attempts),
       CASE WHEN j.id IS NULL THEN o.next_attempt_at ELSE j.next_attempt_at END,
       CASE WHEN j.id IS NULL THEN o.last_error ELSE j.last_error END,
       CASE WHEN j.status = 'sent' THEN j.decided_at ELSE o.sent_at END
{_JOINED}
"""
_WITH_STATUS = {
    "pending": "o.status = 'pending' AND (j.id IS NULL OR j.status = 'pending')",
    "failed": "(o.status = 'failed' OR (o.status = 'pending' AND j.status = 'failed'))",
    "sent": "(o.status = 'sent' OR (o.status = 'pending' AND j.status = 'sent'))",
    "cancelled": "o.status = 'cancelled'",
}
STATUSES = tuple(_WITH_STATUS)
_ORDER = {"pending": "o.priority, o.id", "failed": "o.id", "sent": "o.id DESC", "cancelled": "o.id DESC"}
NEW_GENERATION = "UPDATE main.[sync_outbox_generation] SET generation = generation + 1"
_MARK_FAILED = """
UPDATE main.[sync_outbox] AS o SET status = 'failed', attempts = j.attempts, next_attempt_at = NULL, last_error = j.last_error
FROM journal.outcome AS j WHERE j.id = o.id AND j.correlation_id = o.correlation_id AND j.status = 'failed' AND o.status = 'pending'
"""
_DUE_NOW = "UPDATE journal.retry SET due_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE true"
LONGEST_WAIT_SECONDS = 60  # for the till's lock, once our file has forgotten a row's entry
EVERYTHING = RowFilter()


class Changed(NamedTuple):
    """How many rows one transaction has changed, and for how many seconds it held the till's lock."""

    rows: int
    seconds: float


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


@dataclass(frozen=True, slots=True)
class WholeRow(EffectiveRow):
    """The same, with what goes to HQ."""

    payload: str


class OutboxAdmin:
    """The outbox, open for a short time; a context manager.

    Raises:
        StorageError: there is no outbox here, or it cannot be used.
        ConfigurationError: it is older or newer than this program.
        PermissionDeniedError: it may not be written.
    """

    def __init__(self, paths: DatabaseSettings) -> None:
        self._paths = paths
        self._idle_seconds = seconds_since_written(paths.outbox_path)
        with ExitStack() as stack:
            self._connection = stack.enter_context(opened_by_hand(paths.outbox_path, "outbox", names_in(paths)))
            with opened_by_hand(paths.state_path, "journal", UNPREFIXED):
                pass  # it is there, and this program's
            self._connection.execute("ATTACH DATABASE ? AS journal", (str(paths.state_path),))
            self._connection.execute("PRAGMA journal.synchronous = FULL")
            self._close = stack.pop_all().close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def rows(self, status: str, limit: int, wanted: RowFilter = EVERYTHING) -> list[EffectiveRow]:
        """The first rows with this status: what goes out next, what failed first, what was sent last."""
        sql = f"{_EFFECTIVE} WHERE {_WITH_STATUS[status]} AND {wanted.sql} ORDER BY {_ORDER[status]} LIMIT :limit"
        found = self.read(sql, wanted.parameters | {"limit": limit})
        return [EffectiveRow(row[0], row[1], as_sent(row[2]), *row[3:]) for row in found]

    def row(self, row_id: int) -> WholeRow | None:
        """One row with its payload; None where there is none."""
        sql = _EFFECTIVE.replace("FROM [sync_outbox]", ", o.payload FROM [sync_outbox]") + " WHERE o.id = :id"
        for row in self.read(sql, {"id": row_id}):
            return WholeRow(row[0], row[1], as_sent(row[2]), *row[3:])
        return None

    def ids(self, statuses: Sequence[str], wanted: RowFilter = EVERYTHING) -> list[int]:
        """All rows with one of these statuses, in the order of writing."""
        either = " OR ".join(f"({_WITH_STATUS[status]})" for status in statuses)
        return [row[0] for row in self.read(f"SELECT o.id {_JOINED} WHERE ({either}) AND {wanted.sql} ORDER BY o.id", wanted.parameters)]

    def marked_sent(self, wanted: RowFilter = EVERYTHING) -> list[int]:
        """All rows that the till's file itself knows as sent, in the order of writing."""
        sql = f"SELECT o.id FROM [sync_outbox] AS o WHERE o.status = 'sent' AND {wanted.sql} ORDER BY o.id"  # noqa: S608 - constants
        return [row[0] for row in self.read(sql, wanted.parameters)]

    def read(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Rows of a query on both files as they were at one moment; our own is attached as `journal`."""
        try:
            with snapshot(self._connection):
                return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self._paths.outbox_path) from error

    def retry(self, ids: Sequence[int] | None) -> int:
        """Make failed rows pending again, and have those that wait for their retry sent at once.

        Args:
            ids: which; None for all that failed.

        Returns:
            How many rows that were.
        """
        return self._in_turns(
            self.ids(["failed"]) if ids is None else ids,
            lambda chunk: self._change(chunk, "status = 'pending', attempts = 0, next_attempt_at = NULL, last_error = NULL"),
        )

    def cancel(self, ids: Sequence[int]) -> int:
        """Take rows out of the queue for good: pending or failed ones, never one that HQ has.

        Returns:
            How many rows that were. A row that is just in flight may reach HQ all the same.
        """
        return self._in_turns(ids, lambda chunk: self._change(chunk, "status = 'cancelled', next_attempt_at = NULL"))

    def purge(self, ids: Sequence[int]) -> int:
        """Delete rows that HQ has, and that the till's file knows as sent; all others stay, whatever the ids say.

        Returns:
            How many rows that were.
        """
        return self._in_turns(ids, self._delete)

    def _in_turns(self, ids: Sequence[int], change: Callable[[Sequence[int]], Changed]) -> int:
        """Within the till's budget, so that no sale waits for it."""
        total = 0
        try:
            for chunk in (turns := TillTurns(self._connection, self._idle_seconds)).chunks(ids):
                changed = change(chunk)
                total += changed.rows
                turns.held(len(chunk), changed.seconds, more=chunk[-1] != ids[-1])
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise translate(error, self._paths.outbox_path) from error
        return total

    def _delete(self, ids: Sequence[int]) -> Changed:
        self._connection.execute("BEGIN")  # see `_change`
        began = time.perf_counter()
        marks = ", ".join("?" * len(ids))
        rows = self._connection.execute(
            f"DELETE FROM main.[sync_outbox] WHERE id IN ({marks}) AND status = 'sent'",  # noqa: S608 - question marks
            ids,
        ).rowcount
        self._connection.execute("COMMIT")
        return Changed(rows, time.perf_counter() - began)

    def _change(self, ids: Sequence[int], assignments: str) -> Changed:
        marks = ", ".join("?" * len(ids))
        began = time.perf_counter()
        self._connection.execute(f"{_MARK_FAILED} AND o.id IN ({marks})", ids)
        seconds = time.perf_counter() - began
        self._connection.execute(
            f"DELETE FROM journal.outcome WHERE id IN ({marks}) AND status IN ('failed', 'pending')",  # noqa: S608 - question marks
            ids,
        )
        if self._connection.execute("SELECT 1 FROM journal.sqlite_schema WHERE name = 'retry'").fetchone():
            # A daemon of an older release that is still running has none.
            self._connection.execute(f"{_DUE_NOW} AND id IN ({marks})", ids)
        self._connection.execute(f"PRAGMA busy_timeout = {LONGEST_WAIT_SECONDS * 1000}")
        # Not IMMEDIATE, which locks the journal as well, and would make the till wait for it: the UPDATE locks what it writes.
        self._connection.execute("BEGIN")
        began = time.perf_counter()
        rows = self._connection.execute(
            f"UPDATE main.[sync_outbox] AS o SET {assignments} WHERE id IN ({marks}) AND status IN ('failed', 'pending') "  # noqa: S608
            "AND NOT EXISTS (SELECT 1 FROM journal.outcome AS j WHERE j.id = o.id AND j.correlation_id = o.correlation_id)",
            ids,
        ).rowcount
        self._connection.execute(NEW_GENERATION)
        self._connection.execute("COMMIT")
        return Changed(rows, seconds + time.perf_counter() - began)
