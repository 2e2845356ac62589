"""Counts what HQ does not have yet: on the connection's thread, within a snapshot of both files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.store.outbox import MIN_ID, PRIORITIES, as_sent
from syncd.store.outbox_sql import OLDEST_WAITING
from syncd.store.text import any_text

if TYPE_CHECKING:
    import sqlite3

    from syncd.store.outbox import Entity

_NEXT_DUE = "SELECT priority, min(due_at) FROM journal.retry INDEXED BY retry_by_due GROUP BY priority"
_COUNT = """
SELECT count(*), max(o.id) FROM [sync_outbox] AS o INDEXED BY [sync_outbox_by_priority]
WHERE o.status = 'pending' AND o.priority = ? AND o.id > ?
"""
_DECIDED = """
SELECT count(*) FROM journal.outcome AS j JOIN [sync_outbox] AS o ON o.id = j.id AND o.correlation_id = j.correlation_id
WHERE j.id > ? AND j.status <> 'pending' AND o.status = 'pending' AND o.priority = ?
"""
_FAILED = """
SELECT (SELECT count(*) FROM [sync_outbox] INDEXED BY [sync_outbox_failed] WHERE status = 'failed')
     + (SELECT count(*) FROM journal.outcome AS j JOIN [sync_outbox] AS o ON o.id = j.id AND o.correlation_id = j.correlation_id
        WHERE j.status = 'failed' AND o.status = 'pending')
"""
_FAILED_ENTITIES = """
SELECT o.entity_type, o.entity_id, o.id FROM [sync_outbox] AS o INDEXED BY [sync_outbox_failed] WHERE o.status = 'failed'
UNION ALL
SELECT o.entity_type, o.entity_id, o.id FROM journal.outcome AS j
JOIN [sync_outbox] AS o ON o.id = j.id AND o.correlation_id = j.correlation_id WHERE j.status = 'failed' AND o.status = 'pending'
"""


@dataclass(slots=True)
class Counts:
    """How many rows HQ does not have yet, by priority, as one snapshot of both files has them.

    Attributes:
        pending: with a `known` before: only what is newer than that.
        newest_id: the highest id of each priority that is counted in.
        fresh: it is all of them, and the rest of these is given:
        failed: rows that are `failed`.
        failed_entities: theirs, and the first such row of each, where they were asked for.
        next_due: when the next retry is due, by priority.
        oldest_waiting: when the oldest row that waits for its retry was written.
    """

    pending: dict[int, int]
    newest_id: dict[int, int]
    generation: int
    fresh: bool = True
    failed: int = 0
    failed_entities: dict[Entity, int] = field(default_factory=dict)
    next_due: dict[int, str] = field(default_factory=dict)
    oldest_waiting: str | None = None


def count(connection: sqlite3.Connection, known: Counts | None, *, with_failed_entities: bool) -> Counts:
    """Count all rows; with `known`, only newer ones, unless somebody has retried or cancelled rows since."""
    generation = int(connection.execute("SELECT coalesce((SELECT generation FROM [sync_outbox_generation]), 0)").fetchone()[0])
    fresh = known is None or known.generation != generation
    counts = Counts(dict.fromkeys(PRIORITIES, 0), dict.fromkeys(PRIORITIES, MIN_ID), generation, fresh)
    for priority in PRIORITIES:
        since = MIN_ID if fresh or known is None else known.newest_id[priority]
        number, newest = connection.execute(_COUNT, (priority, since)).fetchone()
        if number:
            number -= connection.execute(_DECIDED, (since, priority)).fetchone()[0]
        counts.pending[priority] = number
        counts.newest_id[priority] = since if newest is None else newest
    if fresh:
        counts.failed = int(connection.execute(_FAILED).fetchone()[0])
        if with_failed_entities:
            counts.failed_entities = any_text(connection, lambda: _failed_entities(connection))
        counts.next_due = dict(connection.execute(_NEXT_DUE).fetchall())
        counts.oldest_waiting = connection.execute(OLDEST_WAITING).fetchone()[0]
    return counts


def _failed_entities(connection: sqlite3.Connection) -> dict[Entity, int]:
    found: dict[Entity, int] = {}
    for kind, identifier, failed_id in connection.execute(_FAILED_ENTITIES):
        entity = (str(kind), str(as_sent(identifier)))
        found[entity] = min(failed_id, found.get(entity, failed_id))
    return found
