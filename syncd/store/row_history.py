"""What both files know of one outbox row: read only, beside the daemon or without it, and never for long.

A row's entity has an index only while it waits; older rows are looked for from the newest back, as far as the time allows.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from syncd.errors import StorageError
from syncd.store.check import read_without_a_trace
from syncd.store.migrate import require_current
from syncd.store.names import UNPREFIXED, names_in
from syncd.store.outbox import as_sent, spellings
from syncd.store.sqlite_errors import primary_code, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from syncd.config.settings import DatabaseSettings

T = TypeVar("T")

SEARCH_SECONDS = 0.5  # about a million rows, where the disk is not slow
STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine, some hundred microseconds
MOST_ROWS = 20
MOST_EARLIER = 500
# Every so many rows one that is not the entity's tells how far the search is.
_SCAN = """
SELECT id, created_at, entity_type = ?1 AND entity_id IN (?2, ?3) FROM [sync_outbox]
WHERE (entity_type = ?1 AND entity_id IN (?2, ?3)) OR id % 10000 = 0 ORDER BY id DESC
"""
_ROW = """
SELECT id, entity_type, entity_id, operation, priority, correlation_id, created_at, length(CAST(payload AS BLOB)),
       status, attempts, next_attempt_at, last_error, sent_at
FROM [sync_outbox] WHERE id = ?
"""
_OUTCOME = "SELECT correlation_id, status, attempts, next_attempt_at, last_error, decided_at FROM outcome WHERE id = ?"
_OF_ENTITY = "SELECT id FROM [sync_outbox] WHERE entity_type = ? AND entity_id IN (?, ?)"
_INDEXED = (f"{_OF_ENTITY} AND status = 'pending' ORDER BY id DESC LIMIT ?", f"{_OF_ENTITY} AND status = 'failed' ORDER BY id DESC LIMIT ?")
_FAILED_BEFORE = f"{_OF_ENTITY} AND status = 'failed' AND id < ? ORDER BY id LIMIT 5"
_EARLIER = """
SELECT id, correlation_id FROM [sync_outbox]
WHERE status = 'pending' AND entity_type = ? AND entity_id IN (?, ?) AND id < ? ORDER BY id LIMIT ?
"""
_AHEAD = "SELECT count(*) FROM [sync_outbox] WHERE status = 'pending' AND (priority < ?1 OR (priority = ?1 AND id < ?2))"


@dataclass(slots=True)
class RowHistory:
    """A row as it stands, whichever of the two files knows it; without its payload.

    Attributes:
        decided_at: when HQ last said something on it, as far as that is known.
        earlier: ids of rows of the same entity that wait, too, and go first; at most `MOST_EARLIER`.
        held_until: when the first of these, or this one, is tried again.
        failed_before: ids of earlier rows of the entity that have failed.
        ahead: about how many rows go out before it.
        first_seen_at: when it was first seen, where nobody can read `created_at`.
    """

    id: int
    entity_type: str
    entity_id: int | str
    operation: str
    priority: int
    correlation_id: str
    created_at: str
    payload_bytes: int
    status: str
    attempts: int
    next_attempt_at: str | None
    last_error: str | None
    decided_at: str | None
    first_seen_at: str | None = None
    earlier: list[int] = field(default_factory=list)
    held_until: str | None = None
    failed_before: list[int] = field(default_factory=list)
    ahead: int = 0


@dataclass(slots=True)
class Found:
    """What a search gave.

    Attributes:
        looked_back_to: rows written before this moment were not looked at; empty where that is not known, None where all were.
        last_id: the highest id that there is.
    """

    rows: list[RowHistory] = field(default_factory=list)
    looked_back_to: str | None = None
    last_id: int | None = None


class RowHistories:
    """Looks into a store's outbox.

    Raises:
        StorageError: there is no outbox here, or it cannot be used.
        ConfigurationError: it is older or newer than this program.
    """

    def __init__(self, paths: DatabaseSettings) -> None:
        self._paths = paths

    def by_id(self, row_id: int) -> Found:
        """The row with this id."""
        return self._found([row_id])

    def by_correlation_id(self, text: str) -> Found:
        """The row with this correlation id; .NET writes a Guid in upper case, others in lower."""
        find = "SELECT id FROM [sync_outbox] WHERE correlation_id IN (?, ?, ?)"
        written = (text, text.lower(), text.upper())
        return self._found(self._read_outbox(lambda c: [row[0] for row in c.execute(find, written)]))

    def by_entity(self, entity_type: str, entity_id: str) -> Found:
        """The last rows of this entity, newest first."""
        entity = (entity_type, *_both(entity_id))
        indexed = self._read_outbox(lambda c: _indexed(c, entity))
        scanned, looked_back_to = self._read_outbox(lambda c: _scan(c, entity))
        answer = self._found(sorted({*indexed, *scanned}, reverse=True)[:MOST_ROWS])
        answer.looked_back_to = looked_back_to
        return answer

    def _found(self, ids: list[int]) -> Found:
        """Our own file first: an outcome is marked in the till's file before it leaves ours."""
        outcomes = read_file(self._paths, "journal", lambda c: {row_id: c.execute(_OUTCOME, (row_id,)).fetchone() for row_id in ids})

        def read(connection: sqlite3.Connection) -> Found:
            rows = [row for row_id in ids for row in connection.execute(_ROW, (row_id,))]
            found = Found([_effective(row, outcomes[row[0]]) for row in rows])
            found.last_id = connection.execute("SELECT max(id) FROM [sync_outbox]").fetchone()[0]
            for row in found.rows:
                if row.status == "pending":
                    _look_around(connection, row)
            return found

        found = self._read_outbox(read)
        waiting = [row for row in found.rows if row.status == "pending"]
        read_file(self._paths, "journal", lambda c: _look_into_journal(c, waiting))
        return found

    def _read_outbox(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return read_file(self._paths, "outbox", work)


def read_file(paths: DatabaseSettings, component: str, work: Callable[[sqlite3.Connection], T]) -> T:
    """Read the file that has a component's tables, and leave nothing behind.

    Raises:
        StorageError: it is not there, or cannot be used.
        ConfigurationError: it is older or newer than this program.
    """
    path = {"outbox": paths.outbox_path, "journal": paths.state_path, "store": paths.path}[component]
    if not path.exists():
        raise StorageError(f"{path}: there is no such database; `syncd run` makes it")

    def read(connection: sqlite3.Connection) -> T:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        require_current(connection, path, component)
        return work(connection)

    try:
        return read_without_a_trace(path, UNPREFIXED if component == "journal" else names_in(paths), read)
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _indexed(connection: sqlite3.Connection, entity: Sequence[object]) -> list[int]:
    """Rows of the entity that wait or have failed: for those there is an index."""
    return [row[0] for sql in _INDEXED for row in connection.execute(sql, (*entity, MOST_ROWS))]


def _scan(connection: sqlite3.Connection, entity: Sequence[object]) -> tuple[list[int], str | None]:
    """The entity's last rows, and how far back the time allowed to look; None where that was far enough."""
    deadline = time.monotonic() + SEARCH_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
    ids, looked_back_to = [], ""
    try:
        for row_id, created_at, is_wanted in connection.execute(_SCAN, entity):
            looked_back_to = str(created_at)
            if is_wanted:
                ids.append(row_id)
            if len(ids) == MOST_ROWS:
                break
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        return ids, looked_back_to
    finally:
        connection.set_progress_handler(None, 0)
    return ids, None


def _effective(row: tuple[Any, ...], outcome: tuple[Any, ...] | None) -> RowHistory:
    """Only for a row that is pending in the till's file, and is the one that was meant, does our own entry count."""
    row_id, entity_type, entity_id, operation, priority, correlation_id, created_at, payload_bytes = row[:8]
    status, attempts, next_attempt_at, last_error, decided_at = row[8:]
    if status == "pending" and outcome is not None and outcome[0] == correlation_id:
        status, attempts, next_attempt_at, last_error, decided_at = outcome[1:]
    return RowHistory(
        row_id, str(entity_type), as_sent(entity_id), operation, priority, correlation_id, created_at, payload_bytes,
        status, attempts, next_attempt_at, last_error, decided_at,
    )  # fmt: skip


def _look_around(connection: sqlite3.Connection, row: RowHistory) -> None:
    entity = (row.entity_type, *_both(str(row.entity_id)))
    row.earlier = [found[0] for found in connection.execute(_EARLIER, (*entity, row.id, MOST_EARLIER))]
    row.failed_before = [found[0] for found in connection.execute(_FAILED_BEFORE, (*entity, row.id))]
    row.ahead = connection.execute(_AHEAD, (row.priority, row.id)).fetchone()[0]


def _look_into_journal(connection: sqlite3.Connection, rows: Sequence[RowHistory]) -> None:
    """What HQ has said already and is not marked in the till's file yet does not count as waiting."""
    done = connection.execute("SELECT count(*) FROM outcome WHERE status <> 'pending'").fetchone()[0]
    for row in rows:
        _look_for_waits(connection, row, done)


def _look_for_waits(connection: sqlite3.Connection, row: RowHistory, done: int) -> None:
    decided = dict(_decided(connection, row.earlier))
    row.failed_before += [row_id for row_id, status in decided.items() if status == "failed"]
    row.earlier = [row_id for row_id in row.earlier if row_id not in decided]
    row.ahead = max(len(row.earlier), row.ahead - done)
    held = connection.execute(
        "SELECT due_at FROM retry WHERE entity_type = ? AND entity_id = ? AND id <= ?", (row.entity_type, str(row.entity_id), row.id)
    ).fetchone()
    row.held_until = held[0] if held else None
    seen = connection.execute("SELECT seen_at FROM first_seen WHERE id = ? AND correlation_id = ?", (row.id, row.correlation_id)).fetchone()
    row.first_seen_at = seen[0] if seen else None


def _decided(connection: sqlite3.Connection, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    for row_id in ids:
        found = connection.execute("SELECT status FROM outcome WHERE id = ? AND status <> 'pending'", (row_id,)).fetchone()
        if found:
            yield row_id, found[0]


def _both(text: str) -> tuple[object, object]:
    """An id as text and, where it is one, as the number that another till writes."""
    known = spellings(text)
    return known[0], known[-1]
