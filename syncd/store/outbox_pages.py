"""Reads pages of the outbox and encodes their rows: on the connection's thread, within a snapshot of both files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from syncd.clock import iso_ms
from syncd.store import item_sql, outbox_sql, plain_page
from syncd.store.block import Block, Columns
from syncd.store.outbox import MAX_ID, MIN_ID, DuePage, OutboxRow, Page, as_sent, spellings
from syncd.store.text import any_text, is_text
from syncd.store.times import moment_for_the_wire, parse_time, wire_forms
from syncd.wire.messages import UnencodableError, encode_item

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime

    from syncd.store.outbox import Entity

MAX_PAGE_BYTES = 4 * 1024 * 1024  # of encoded rows a page, so that big rows cannot fill the memory
LOOKAHEAD_ROWS = 200  # earlier rows of an entity that one page brings along
FOLLOWING_ROWS = 50  # later rows of an entity that come along with the one whose retry is due

_Raw = tuple[Any, ...]  # the columns of `outbox_sql`
_HEAD = 9


class PageReader:
    """The pages that a connection can read.

    Args:
        now: the wall clock, in UTC.
        store_id: who we are, in every item.
    """

    def __init__(self, now: Callable[[], datetime], store_id: int | str) -> None:
        self._now = now
        self._store_id = store_id
        self._store_id_json = orjson.dumps(store_id).decode()
        self._plain_rows = MAX_PAGE_BYTES

    def lane(self, connection: sqlite3.Connection, priority: int, after_id: int, limit: int, done_up_to: Callable[[Entity], int]) -> Page:
        """See `OutboxReader.page`."""
        block, complete = self._plain_page(connection, priority, after_id, limit)
        preceded = self._preceded(connection, priority, after_id, block.ids[-1]) if block is not None else set()
        raws: list[_Raw] = []
        if preceded or (block is None and not complete):
            raws, complete = self._fetch(connection, outbox_sql.LANE, {"priority": priority, "after_id": after_id, "limit": limit})
            self._fit(max(map(_size, raws)))
            preceded = self._preceded(connection, priority, after_id, raws[-1][0])
            block = None if preceded else self._block(priority, raws)
        if block is not None:
            page = Page(block, block.ids[-1], complete)
        else:
            rows, complete = self._rows(connection, raws, complete=complete)
            page = Page(rows, rows[-1].id if rows else after_id, complete)
            self._add_earlier(connection, page, priority, preceded, done_up_to)
        if complete:  # rows of waiting entities may be behind the last one: skip them from now on
            newest = connection.execute(outbox_sql.NEWEST, (priority, after_id)).fetchone()[0]
            page.after_id = page.after_id if newest is None else newest
        if connection.execute(outbox_sql.LESS_URGENT_WAITS, (priority,)).fetchone()[0]:
            scanned = {"priority": priority, "after_id": after_id, "up_to": page.after_id}
            found = connection.execute(outbox_sql.PROMOTED, scanned).fetchall()
            page.promoted = {(kind, identifier): due_at for kind, identifier, due_at in found}
        return page

    def _plain_page(self, connection: sqlite3.Connection, priority: int, after_id: int, limit: int) -> tuple[Block | None, bool]:
        """The next rows, if none of them needs a look; and whether there is nothing more, as there is not where there is no row at all."""
        limit = min(limit, self._plain_rows)
        longest = MAX_PAGE_BYTES // limit
        block, rows = plain_page.read(connection, priority, after_id, limit, store_id=self._store_id_json, longest=longest)
        if block is not None:
            self._fit(block.longest())
        return block, rows < limit if block is not None else not rows

    def _fit(self, longest: int) -> None:
        """Where items are long a plain page has fewer of them, so that it has `MAX_PAGE_BYTES` at most, those to come a quarter longer."""
        self._plain_rows = max(1, MAX_PAGE_BYTES * 4 // max(1, longest * 5))

    def _preceded(self, connection: sqlite3.Connection, priority: int, after_id: int, up_to: int) -> set[Entity]:
        """Entities of the rows between two ids that may have earlier ones with another priority."""
        bounds = {"priority": priority, "after_id": after_id, "up_to": up_to}
        if not connection.execute(outbox_sql.OTHERS, bounds).fetchone()[0]:
            return set()
        found = any_text(connection, lambda: connection.execute(outbox_sql.WITH_EARLIER, bounds).fetchall())
        return {(kind, str(as_sent(entity_id))) for kind, entity_id in found}

    def _add_earlier(
        self, connection: sqlite3.Connection, page: Page, priority: int, preceded: set[Entity], done_up_to: Callable[[Entity], int]
    ) -> None:
        newest_of_each = {row.entity: row.id for row in page.rows if row.entity in preceded}
        for entity, newest in newest_of_each.items():
            rows, complete = self._entity_rows(
                connection, outbox_sql.ENTITY, entity, LOOKAHEAD_ROWS, after_id=done_up_to(entity), before_id=newest, other_than=priority
            )
            page.earlier += rows
            if not complete:
                page.cut_entities.add(entity)

    def entity(self, connection: sqlite3.Connection, entity: Entity, after_id: int, limit: int) -> Page:
        """See `OutboxReader.entity_page`."""
        rows, complete = self._entity_rows(connection, outbox_sql.ENTITY, entity, limit, after_id=after_id)
        return Page(rows, rows[-1].id if rows else after_id, complete)

    def due(self, connection: sqlite3.Connection, priority: int, now: str, latest: str, limit: int) -> DuePage:
        """See `OutboxReader.due_page`."""
        page = DuePage([], MIN_ID, complete=True)
        found = connection.execute(outbox_sql.DUE, (priority, latest, limit)).fetchall()
        again = bool(found)  # the others then, at once
        found = found or connection.execute(outbox_sql.DUE, (priority, "", limit)).fetchall()
        due_rows: list[OutboxRow] = []
        size = 0
        for kind, identifier, first_id, due_at in found:
            if now < due_at <= latest or len(due_rows) >= limit or size >= MAX_PAGE_BYTES:
                page.next_due = due_at
                break
            entity = (kind, identifier)
            rows, complete = self._entity_rows(connection, outbox_sql.FOLLOWING, entity, FOLLOWING_ROWS, after_id=first_id - 1)
            if rows and rows[0].id == first_id:
                rows[0].retry_at = None
            page.entities[entity] = first_id
            due_rows += rows
            size += sum(len(row.encoded) for row in rows)
            if not complete:
                page.cut_entities.add(entity)
        else:
            page.next_due = now if again or len(found) == limit else None
        page.rows = due_rows
        page.oldest_waiting = connection.execute(outbox_sql.OLDEST_WAITING).fetchone()[0]
        return page

    def _entity_rows(
        self,
        connection: sqlite3.Connection,
        sql: str,
        entity: Entity,
        limit: int,
        *,
        after_id: int,
        before_id: int = MAX_ID,
        other_than: int = 0,
    ) -> tuple[list[OutboxRow], bool]:
        """The entity's rows between two ids, but for one priority; and whether there was nothing more."""
        kind, text = entity
        if not (is_text(kind) and is_text(text)):  # none of its rows can ever be sent, so their order does not matter
            return [], True
        bounds = {"entity_type": kind, "after_id": after_id, "before_id": before_id, "other_than": other_than, "limit": limit}
        rows: list[OutboxRow] = []
        complete = True
        for identifier in spellings(text):
            raws, whole = self._fetch(connection, sql, bounds | {"entity_id": identifier})
            found, whole = self._rows(connection, raws, complete=whole)
            rows += found
            complete = complete and whole
        rows.sort(key=lambda row: row.id)
        if len(rows) > limit:
            rows, complete = rows[:limit], False
        return rows, complete

    def _fetch(self, connection: sqlite3.Connection, sql: str, parameters: dict[str, Any]) -> tuple[list[_Raw], bool]:
        """What SQLite gives for each row; and whether there was nothing more."""
        return any_text(connection, lambda: _fetched(connection, sql, parameters | {"store_id": self._store_id_json}))

    def _block(self, priority: int, raws: list[_Raw]) -> Block | None:
        """All of these as columns; None where one of them needs a look, by itself or by its time."""
        if not raws:
            return None
        ids, kinds, entity_ids, _, correlation_ids, created_at, attempts, retry_at, _, heads, tails = zip(*raws, strict=True)
        if any(attempts) or None in heads or retry_at.count(None) != len(raws):
            return None
        if (timestamps := wire_forms(created_at)) is None:
            return None
        moments = "\n".join(timestamps).encode().split(b"\n")
        items = [head + moment + tail for head, moment, tail in zip(heads, moments, tails, strict=True)]
        joined = b",".join(items)
        if not item_sql.is_utf8(joined):
            return None
        columns = Columns.of(
            ids=ids, kinds=kinds, entity_ids=[as_sent(entity_id) for entity_id in entity_ids], correlation_ids=correlation_ids,
            timestamps=timestamps, items=joined, lengths=[len(item) for item in items],
        )  # fmt: skip
        return Block(priority, columns)

    def _rows(self, connection: sqlite3.Connection, raws: list[_Raw], *, complete: bool) -> tuple[list[OutboxRow], bool]:
        """Each of these as a row, as far as they are not too many bytes; and whether there was nothing more."""
        rows: list[OutboxRow] = []
        size = 0
        for raw in raws:
            row = self._row(connection, raw)
            rows.append(row)
            size += len(row.encoded)
            if size >= MAX_PAGE_BYTES:
                return rows, False
        return rows, complete

    def _row(self, connection: sqlite3.Connection, raw: _Raw) -> OutboxRow:
        identifier, kind, entity_id, priority, correlation_id, created_at, attempts, retry_at, seen_at, head, tail = raw
        written = moment_for_the_wire(created_at) if isinstance(created_at, str) else None
        created, timestamp = written or self._first_seen(seen_at)
        retry = parse_time(retry_at) if isinstance(retry_at, str) else None
        row = OutboxRow(
            id=identifier, entity_type=kind, entity_id=as_sent(entity_id), priority=priority,
            correlation_id=correlation_id, timestamp=timestamp, created=created,
            attempts=attempts, retry_at=retry[0] if retry else None, unreadable_time=written is None and seen_at is None,
        )  # fmt: skip
        encoded = None if head is None else head + timestamp.encode() + tail
        if encoded is not None and item_sql.is_utf8(encoded):
            row.encoded = encoded
        else:
            self._encode(connection, row)
        return row

    def _first_seen(self, seen_at: str | None) -> tuple[datetime, str]:
        """What stands in for a `created_at` that nobody can read."""
        now = self._now()
        found = None if seen_at is None else moment_for_the_wire(seen_at)
        return found or (now, seen_at or iso_ms(now))

    def _encode(self, connection: sqlite3.Connection, row: OutboxRow) -> None:
        """Encode in Python a row that SQLite could not encode (see item_sql)."""
        operation, payload = any_text(connection, lambda: connection.execute(outbox_sql.WHOLE, (row.id,)).fetchone())
        try:
            row.encoded = encode_item(
                entity_type=row.entity_type, entity_id=row.entity_id, operation=operation, payload=payload, timestamp=row.timestamp,
                store_id=self._store_id, correlation_id=row.correlation_id, sequence=row.id, priority=row.priority,
                attempt=row.attempts + 1,
            )  # fmt: skip
        except UnencodableError as error:
            row.problem = str(error)


def _fetched(connection: sqlite3.Connection, sql: str, parameters: dict[str, Any]) -> tuple[list[_Raw], bool]:
    raws: list[_Raw] = []
    size = 0
    cursor = connection.execute(sql, parameters)
    try:
        for raw in cursor:
            raws.append(raw)
            size += _size(raw)
            if size >= MAX_PAGE_BYTES:
                return raws, False
    finally:
        cursor.close()
    return raws, len(raws) < parameters["limit"]


def _size(raw: _Raw) -> int:
    """Bytes of its item, but for its time; where SQLite has made none, about those of its texts."""
    *texts, head, tail = raw
    return len(head) + len(tail) if head is not None else sum(len(text) for text in texts if isinstance(text, str | bytes))
