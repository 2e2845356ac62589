"""Reading the outbox: in pages, by keyset, never touching what HQ has acknowledged already.

Nothing here writes into the till's file. A row that is `pending` there and has an outcome in our journal is done with (or waits for its
retry), so every page is read against the journal, which is attached to this connection.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from syncd.clock import iso_ms
from syncd.store import item_sql
from syncd.store.database import any_text, is_text
from syncd.store.times import for_the_wire, parse_time
from syncd.wire.messages import UnencodableError, encode_item

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from syncd.store.database import Database

T = TypeVar("T")
Entity = tuple[str, str]  # type, and id as text: the number 5 and the text "5" keep one order

MAX_PAGE_BYTES = 4 * 1024 * 1024  # of payload a page, so that big rows cannot fill the memory
PRIORITIES = (1, 2, 3, 4)
MAX_ATTEMPTS = 2**31  # as many as anybody can mean
LOOKAHEAD_ROWS = 200  # earlier rows of an entity that one page brings along
FOLLOWING_ROWS = 50  # later rows of an entity that come along with the one whose retry is due

_ATTEMPTS = "CASE WHEN j.id IS NULL THEN o.attempts ELSE j.attempts END"
_ATTEMPT = f"CASE typeof({_ATTEMPTS}) WHEN 'integer' THEN min(max({_ATTEMPTS}, 0), {MAX_ATTEMPTS}) ELSE 0 END"
# An earlier row of the same entity with another priority; as number or text, since one till writes 5 and another one '5'. HQ may have it
# already: this only saves looking for those of an entity that has none.
_HAS_EARLIER = """
EXISTS (SELECT 1 FROM sync_outbox AS e INDEXED BY sync_outbox_by_entity
        WHERE e.status = 'pending' AND e.entity_type = o.entity_type AND e.id < o.id AND e.priority <> o.priority
          AND e.entity_id IN (
              o.entity_id, CAST(o.entity_id AS INTEGER),
              CAST(CASE typeof(o.entity_id) WHEN 'real' THEN CAST(o.entity_id AS INTEGER) ELSE o.entity_id END AS TEXT)))
"""
_COLUMNS = f"""
SELECT o.id, o.entity_type, o.entity_id, o.priority, o.correlation_id, o.created_at, {_ATTEMPT},
       CASE WHEN j.id IS NULL THEN o.next_attempt_at ELSE j.next_attempt_at END,
       f.seen_at, {item_sql.HEAD}, {item_sql.tail(":store_id", _ATTEMPT)}
"""
_WHOLE = "SELECT operation, payload FROM sync_outbox WHERE id = ?"
_JOURNAL = """
LEFT JOIN journal.outcome AS j ON j.id = o.id AND j.correlation_id = o.correlation_id
LEFT JOIN journal.first_seen AS f ON f.id = o.id AND f.correlation_id = o.correlation_id
"""
_SAME_ENTITY = """
r.entity_type = o.entity_type AND r.id <= o.id
AND r.entity_id = CAST(CASE typeof(o.entity_id) WHEN 'real' THEN CAST(o.entity_id AS INTEGER) ELSE o.entity_id END AS TEXT)
"""
_WAITS = f"EXISTS (SELECT 1 FROM journal.retry AS r WHERE {_SAME_ENTITY})"  # noqa: S608 - constants
_LESS_URGENT_WAITS = "SELECT EXISTS (SELECT 1 FROM journal.retry INDEXED BY retry_by_due WHERE priority > ?)"
_PROMOTED = f"""
SELECT DISTINCT r.entity_type, r.entity_id, r.due_at
FROM sync_outbox AS o INDEXED BY sync_outbox_by_priority CROSS JOIN journal.retry AS r ON {_SAME_ENTITY}
WHERE o.status = 'pending' AND o.priority = :priority AND o.id > :after_id AND o.id <= :up_to AND r.priority > :priority
"""  # noqa: S608 - constants
_LANE = f"""
{_COLUMNS}, {_HAS_EARLIER} FROM sync_outbox AS o INDEXED BY sync_outbox_by_priority {_JOURNAL}
WHERE o.status = 'pending' AND o.priority = :priority AND o.id > :after_id AND (j.id IS NULL OR j.status = 'pending') AND NOT {_WAITS}
ORDER BY o.id LIMIT :limit
"""
_FOLLOWING = f"""
{_COLUMNS}, 0 FROM sync_outbox AS o INDEXED BY sync_outbox_by_entity {_JOURNAL}
WHERE o.status = 'pending' AND o.entity_type = :entity_type AND o.entity_id = :entity_id AND o.id > :after_id AND o.id < :before_id
  AND o.priority <> :other_than AND (j.id IS NULL OR j.status = 'pending')
ORDER BY o.id LIMIT :limit
"""
_ENTITY = _FOLLOWING.replace("ORDER BY", f"AND NOT {_WAITS} ORDER BY")
_DUE = """
SELECT entity_type, entity_id, id, due_at FROM journal.retry INDEXED BY retry_by_due
WHERE priority = ? AND due_at > ? ORDER BY due_at LIMIT ?
"""
_NEXT_DUE = "SELECT priority, min(due_at) FROM journal.retry INDEXED BY retry_by_due GROUP BY priority"
_OLDEST_WAITING = "SELECT min(created_at) FROM journal.retry INDEXED BY retry_by_age"
_COUNT = """
SELECT count(*), max(o.id) FROM sync_outbox AS o INDEXED BY sync_outbox_by_priority
WHERE o.status = 'pending' AND o.priority = ? AND o.id > ?
"""
_NEWEST = """
SELECT max(o.id) FROM sync_outbox AS o INDEXED BY sync_outbox_by_priority
WHERE o.status = 'pending' AND o.priority = ? AND o.id > ?
"""
_DECIDED = """
SELECT count(*) FROM journal.outcome AS j JOIN sync_outbox AS o ON o.id = j.id AND o.correlation_id = j.correlation_id
WHERE j.id > ? AND j.status <> 'pending' AND o.status = 'pending' AND o.priority = ?
"""
_FAILED = """
SELECT (SELECT count(*) FROM sync_outbox INDEXED BY sync_outbox_failed WHERE status = 'failed')
     + (SELECT count(*) FROM journal.outcome AS j JOIN sync_outbox AS o ON o.id = j.id AND o.correlation_id = j.correlation_id
        WHERE j.status = 'failed' AND o.status = 'pending')
"""
_FAILED_ENTITIES = """
SELECT o.entity_type, o.entity_id FROM sync_outbox AS o INDEXED BY sync_outbox_failed WHERE o.status = 'failed'
UNION
SELECT o.entity_type, o.entity_id FROM journal.outcome AS j
JOIN sync_outbox AS o ON o.id = j.id AND o.correlation_id = j.correlation_id WHERE j.status = 'failed' AND o.status = 'pending'
"""
MIN_ID, MAX_ID = -(2**63), 2**63 - 1


@dataclass(slots=True, eq=False)
class OutboxRow:
    """One row of the outbox, as it will go out.

    Attributes:
        timestamp: `created_at` in the wire's form; where nobody can read that, the moment we first saw the row.
        created: the same as a moment.
        retry_at: not to be sent before; None where it may go at once.
        unreadable_time: `created_at` was of no use.
        problem: why this row can never be sent, where that is so.
        encoded: the item as JSON, ready for the wire; empty where there is a problem.
        has_earlier: there may be earlier rows of its entity with another priority.
    """

    id: int
    entity_type: str
    entity_id: int | str
    priority: int
    correlation_id: str
    timestamp: str
    created: datetime
    attempts: int
    retry_at: datetime | None
    unreadable_time: bool = False
    problem: str | None = None
    encoded: bytes = b""
    has_earlier: bool = False
    entity: Entity = field(init=False)

    def __post_init__(self) -> None:
        self.entity = (self.entity_type, str(self.entity_id))


@dataclass(slots=True)
class Page:
    """Some rows, in the order they were written.

    Attributes:
        after_id: where the next page begins.
        complete: there was nothing more when this was read.
        earlier: rows of the same entities that were written before one of `rows` with another priority; they must go first.
        cut_entities: entities of which there are still more such rows than `earlier` holds.
        promoted: entities that wait for the retry of a less urgent row, and have one of this priority behind it; when it is due.
    """

    rows: list[OutboxRow]
    after_id: int
    complete: bool
    earlier: list[OutboxRow] = field(default_factory=list)
    cut_entities: set[Entity] = field(default_factory=set)
    promoted: dict[Entity, str] = field(default_factory=dict)


@dataclass(slots=True)
class DuePage(Page):
    """Rows whose retry is due, each with those behind it; `cut_entities` have more than those.

    Attributes:
        entities: that wait no longer, and the row from which on they did.
        next_due: when the next of this priority is due; None where no other waits.
        oldest_waiting: when the oldest row that waits was written.
    """

    entities: dict[Entity, int] = field(default_factory=dict)
    next_due: str | None = None
    oldest_waiting: str | None = None


@dataclass(slots=True)
class Counts:
    """How many rows HQ does not have yet, by priority, as one snapshot of both files has them.

    Attributes:
        pending: with a `known` before: only what is newer than that.
        newest_id: the highest id of each priority that is counted in.
        fresh: it is all of them, and the rest of these is given:
        failed: rows that are `failed`.
        failed_entities: theirs, where they were asked for.
        next_due: when the next retry is due, by priority.
        oldest_waiting: when the oldest row that waits for its retry was written.
    """

    pending: dict[int, int]
    newest_id: dict[int, int]
    generation: int
    fresh: bool = True
    failed: int = 0
    failed_entities: set[Entity] = field(default_factory=set)
    next_due: dict[int, str] = field(default_factory=dict)
    oldest_waiting: str | None = None


class OutboxReader:
    """Reads pages of pending rows.

    Args:
        database: a connection with the journal attached as `journal`.
        now: the wall clock, in UTC.
        store_id: who we are, in every item.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], store_id: int | str) -> None:
        self.database = database
        self._now = now
        self._store_id = store_id
        self._store_id_json = orjson.dumps(store_id).decode()

    async def page(self, priority: int, after_id: int, limit: int, done_up_to: Callable[[Entity], int]) -> Page:
        """The next rows of one priority, with the earlier rows of their entities.

        Args:
            done_up_to: the id up to which all rows of an entity are known to be done; `MIN_ID` where nothing is known. It only saves work.
        """

        def read(connection: sqlite3.Connection) -> Page:
            rows, complete = self._rows(connection, _LANE, {"priority": priority, "after_id": after_id, "limit": limit})
            page = Page(rows, rows[-1].id if rows else after_id, complete)
            if complete:  # behind the last of them there may be rows of entities that wait: they are not looked at again
                newest = connection.execute(_NEWEST, (priority, after_id)).fetchone()[0]
                page.after_id = page.after_id if newest is None else newest
            if connection.execute(_LESS_URGENT_WAITS, (priority,)).fetchone()[0]:
                scanned = {"priority": priority, "after_id": after_id, "up_to": page.after_id}
                found = connection.execute(_PROMOTED, scanned).fetchall()
                page.promoted = {(kind, identifier): due_at for kind, identifier, due_at in found}
            self._add_earlier(connection, page, priority, done_up_to)
            return page

        return await self._snapshot(read)

    async def entity_page(self, entity: Entity, after_id: int, limit: int) -> Page:
        """The next rows of one entity, whatever their priorities."""

        def read(connection: sqlite3.Connection) -> Page:
            rows, complete = self._entity_rows(connection, _ENTITY, entity, after_id, MAX_ID, 0, limit)
            return Page(rows, rows[-1].id if rows else after_id, complete)

        return await self._snapshot(read)

    async def due_page(self, priority: int, now: str, latest: str, limit: int) -> DuePage:
        """Rows of one priority whose retry is due, whatever the priorities of the rows behind them.

        Args:
            latest: no retry can be due later than this; where one seems to be, the clock was set back, and it is due now.
        """

        def read(connection: sqlite3.Connection) -> DuePage:
            page = DuePage([], MIN_ID, complete=True)
            found = connection.execute(_DUE, (priority, latest, limit)).fetchall()
            again = bool(found)  # the others then, at once
            found = found or connection.execute(_DUE, (priority, "", limit)).fetchall()
            size = 0
            for kind, identifier, first_id, due_at in found:
                if now < due_at <= latest or len(page.rows) >= limit or size >= MAX_PAGE_BYTES:
                    page.next_due = due_at
                    break
                entity = (kind, identifier)
                rows, complete = self._entity_rows(connection, _FOLLOWING, entity, first_id - 1, MAX_ID, 0, FOLLOWING_ROWS)
                if rows and rows[0].id == first_id:
                    rows[0].retry_at = None
                page.entities[entity] = first_id
                page.rows += rows
                size += sum(len(row.encoded) for row in rows)
                if not complete:
                    page.cut_entities.add(entity)
            else:
                page.next_due = now if again or len(found) == limit else None
            page.oldest_waiting = connection.execute(_OLDEST_WAITING).fetchone()[0]
            return page

        return await self._snapshot(read)

    async def count(self, known: Counts | None, *, with_failed_entities: bool = False) -> Counts:
        """Count what wants sending; with `known`, only what is newer than that."""

        def read(connection: sqlite3.Connection) -> Counts:
            generation = int(connection.execute("SELECT coalesce((SELECT generation FROM sync_outbox_generation), 0)").fetchone()[0])
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
                counts.oldest_waiting = connection.execute(_OLDEST_WAITING).fetchone()[0]
            return counts

        return await self._snapshot(read)

    async def _snapshot(self, read: Callable[[sqlite3.Connection], T]) -> T:
        def work(connection: sqlite3.Connection) -> T:
            with snapshot(connection):
                return read(connection)

        return await self.database.run(work)

    # ── on the connection's thread ────────────────────────────────────────────────────────────────────────────────
    def _rows(self, connection: sqlite3.Connection, sql: str, parameters: dict[str, Any]) -> tuple[list[OutboxRow], bool]:
        return any_text(connection, lambda: self._fetch(connection, sql, parameters))

    def _fetch(self, connection: sqlite3.Connection, sql: str, parameters: dict[str, Any]) -> tuple[list[OutboxRow], bool]:
        rows: list[OutboxRow] = []
        size = 0
        cursor = connection.execute(sql, parameters | {"store_id": self._store_id_json})
        try:
            for raw in cursor:
                row = self._row(connection, raw)
                rows.append(row)
                size += len(row.encoded)
                if size >= MAX_PAGE_BYTES:
                    return rows, False
        finally:
            cursor.close()
        return rows, len(rows) < parameters["limit"]

    def _row(self, connection: sqlite3.Connection, raw: tuple[Any, ...]) -> OutboxRow:
        identifier, kind, entity_id, priority, correlation_id, created_at, attempts, retry_at, seen_at, head, tail, has_earlier = raw
        written = parse_time(created_at) if isinstance(created_at, str) else None
        timestamp = for_the_wire(created_at) if written else seen_at
        if timestamp is None:
            timestamp = iso_ms(self._now())
        moment = written or parse_time(timestamp)
        retry = parse_time(retry_at) if isinstance(retry_at, str) else None
        row = OutboxRow(
            id=identifier, entity_type=kind, entity_id=as_sent(entity_id), priority=priority,
            correlation_id=correlation_id, timestamp=timestamp, created=moment[0] if moment else self._now(),
            attempts=attempts, retry_at=retry[0] if retry else None, unreadable_time=written is None and seen_at is None,
            has_earlier=bool(has_earlier),
        )  # fmt: skip
        encoded = None if head is None else head + timestamp.encode() + tail
        if encoded is not None and item_sql.is_utf8(encoded):
            row.encoded = encoded
        else:
            self._encode(connection, row)
        return row

    def _encode(self, connection: sqlite3.Connection, row: OutboxRow) -> None:
        """In Python, where SQLite leaves it to us."""
        operation, payload = any_text(connection, lambda: connection.execute(_WHOLE, (row.id,)).fetchone())
        try:
            row.encoded = encode_item(
                entity_type=row.entity_type, entity_id=row.entity_id, operation=operation, payload=payload, timestamp=row.timestamp,
                store_id=self._store_id, correlation_id=row.correlation_id, sequence=row.id, priority=row.priority,
                attempt=row.attempts + 1,
            )  # fmt: skip
        except UnencodableError as error:
            row.problem = str(error)

    def _entity_rows(
        self, connection: sqlite3.Connection, sql: str, entity: Entity, after_id: int, before_id: int, other_than: int, limit: int
    ) -> tuple[list[OutboxRow], bool]:
        kind, text = entity
        if not (is_text(kind) and is_text(text)):  # none of its rows can ever be sent, so that their order is nothing to keep
            return [], True
        rows: list[OutboxRow] = []
        complete = True
        for identifier in _spellings(text):
            found, whole = self._rows(
                connection,
                sql,
                {
                    "entity_type": kind, "entity_id": identifier, "after_id": after_id, "before_id": before_id, "other_than": other_than,
                    "limit": limit,
                },
            )  # fmt: skip
            rows += found
            complete = complete and whole
        rows.sort(key=lambda row: row.id)
        if len(rows) > limit:
            rows, complete = rows[:limit], False
        return rows, complete

    def _add_earlier(self, connection: sqlite3.Connection, page: Page, priority: int, done_up_to: Callable[[Entity], int]) -> None:
        for entity, newest in _newest_of_each(row for row in page.rows if row.has_earlier):
            rows, complete = self._entity_rows(connection, _ENTITY, entity, done_up_to(entity), newest, priority, LOOKAHEAD_ROWS)
            page.earlier += rows
            if not complete:
                page.cut_entities.add(entity)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One moment of both files, ours a little earlier.

    An outcome is marked in the till's file first and leaves ours after that, so a row that is marked in between is read as decided
    twice, never as pending.
    """
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT 1 FROM journal.outcome LIMIT 1").fetchone()
        yield
    finally:
        if connection.in_transaction:  # an error may have ended it
            connection.execute("COMMIT")


def _failed_entities(connection: sqlite3.Connection) -> set[Entity]:
    return {(str(kind), str(as_sent(identifier))) for kind, identifier in connection.execute(_FAILED_ENTITIES)}


def _newest_of_each(rows: Iterable[OutboxRow]) -> Iterable[tuple[Entity, int]]:
    return {row.entity: row.id for row in rows}.items()


def as_sent(entity_id: object) -> int | str:
    """JavaScript binds every number as REAL; on the wire 5.0 is the 5 that was meant."""
    if isinstance(entity_id, float) and entity_id.is_integer():
        return int(entity_id)
    return entity_id if isinstance(entity_id, int | str) else str(entity_id)


def _spellings(text: str) -> tuple[int | str, ...]:
    """An entity's id may stand in the file as a number by one till and as text by another."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 19 and str(int(text)) == text and MIN_ID <= int(text) <= MAX_ID:
        return text, int(text)
    return (text,)
