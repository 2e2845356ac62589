"""Applying HQ's updates: newer wins, twice is once, and the update, its inbox record and the cursor commit together."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.catalog import EntityType, Update, is_newer, json_text
from syncd.store.database import storable
from syncd.store.write_budget import Cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.clock import Clock
    from syncd.store.write_budget import PacedWriter

CURSOR = "hq"
_INBOX = """
INSERT INTO sync_inbox (entity_type, entity_key, operation, version, updated_at, correlation_id, source, applied_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
MAX_RAW_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What could not be applied.

    Attributes:
        raw: the message as JSON text.
    """

    method: str
    correlation_id: str | None
    reason: str
    raw: str


@dataclass(slots=True)
class Applied:
    """What became of a piece.

    Attributes:
        stale: for each item of the piece, whether what the table had was newer, or the same.
        failures: for each item that a constraint of the table refused, why.
    """

    stale: list[bool]
    failures: dict[int, str]


class Inbox:
    """Writes updates into the store's database."""

    def __init__(self, till: PacedWriter, clock: Clock) -> None:
        self.till = till
        self._clock = clock
        self._cost = Cost()

    def room(self) -> int:
        """How many updates one piece may hold now."""
        return self.till.room(self._cost, urgent=True)

    async def apply(self, piece: Sequence[Update | Quarantined], source: str, cursor: str | None = None) -> Applied:
        """Apply a piece in its order, in one transaction.

        Args:
            source: `live` or `catchup`.
            cursor: where the catch-up stands once this piece is in.

        Raises:
            StorageError: nothing of it was applied.
        """
        stamp = iso_ms(self._clock.now())
        # Which of them are news can be told without the lock: nothing else writes these tables.
        stale = await self.till.database.run(lambda connection: _stale(connection, piece))
        news = [(index, item) for index, item in enumerate(piece) if not stale[index]]
        failures: dict[int, str] = {}
        if not news and cursor is None:
            return Applied(stale, failures)

        def work(connection: sqlite3.Connection) -> None:
            failures.clear()
            _write(connection, news, source, stamp, failures)
            if cursor is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO sync_cursor (name, cursor, updated_at) VALUES (?, ?, ?)", (CURSOR, storable(cursor), stamp)
                )

        await self.till.write(work, rows=max(1, len(news)), cost=self._cost, urgent=True)
        return Applied(stale, failures)

    async def sync(self) -> None:
        """Make what was applied durable: only then may HQ be told.

        Raises:
            StorageError: the disk refuses.
        """
        await self.till.database.sync()

    async def cursor(self) -> str | None:
        """Where the catch-up stands; None before the first."""

        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT cursor FROM sync_cursor WHERE name = ?", (CURSOR,)).fetchone()
            return str(row[0]) if row else None

        return await self.till.database.run(read)

    async def quarantined(self) -> int:
        """How many messages could not be applied and are kept."""
        return await self.till.database.run(lambda c: int(c.execute("SELECT count(*) FROM sync_quarantine").fetchone()[0]))


def _stale(connection: sqlite3.Connection, piece: Sequence[Update | Quarantined]) -> list[bool]:
    known: dict[tuple[str, tuple[object, ...]], tuple[object, object]] = {}
    stale = []
    for item in piece:
        if isinstance(item, Quarantined):
            stale.append(False)
            continue
        at = (item.entity_type.table, item.key)
        if at not in known:
            row = connection.execute(item.entity_type.select_sql, item.key).fetchone()
            if row is not None:
                known[at] = row
        old = known.get(at)
        news = old is None or is_newer(item, *old)
        stale.append(not news)
        if news:
            had = old or (None, None)
            known[at] = (
                item.version if item.version is not None else had[0],
                item.updated_at if item.updated_at is not None else had[1],
            )
    return stale


def _write(
    connection: sqlite3.Connection, news: Sequence[tuple[int, Update | Quarantined]], source: str, stamp: str, failures: dict[int, str]
) -> None:
    """Within the write lock, so as few statements as possible: neighbours of one kind go in together."""
    records = []
    for kind, group in groupby(news, key=lambda entry: _kind(entry[1])):
        entries = list(group)
        if kind is None:
            for index, item in entries:
                _one_by_one(connection, index, item, stamp, failures)
        else:
            _together(connection, kind, entries, stamp, failures)
        records += [_record(item, source, stamp) for index, item in entries if isinstance(item, Update) and index not in failures]
    connection.executemany(_INBOX, records)


def _kind(item: Update | Quarantined) -> EntityType | None:
    """The table that takes it as it is; None for what needs a look of its own."""
    return None if isinstance(item, Quarantined) or item.key_only else item.entity_type


def _together(
    connection: sqlite3.Connection, kind: EntityType, entries: list[tuple[int, Update | Quarantined]], stamp: str, failures: dict[int, str]
) -> None:
    connection.execute("SAVEPOINT together")
    try:
        connection.executemany(kind.upsert_sql, [(*item.values, stamp) for _, item in entries if isinstance(item, Update)])
    except sqlite3.IntegrityError:  # a constraint that the POS has put on the table: which one is it?
        connection.execute("ROLLBACK TO together")
        for index, item in entries:
            _one_by_one(connection, index, item, stamp, failures)
    connection.execute("RELEASE together")


def _one_by_one(connection: sqlite3.Connection, index: int, item: Update | Quarantined, stamp: str, failures: dict[int, str]) -> None:
    if isinstance(item, Quarantined):
        _quarantine(connection, item, stamp)
        return
    try:
        _put(connection, item, stamp)
    except sqlite3.IntegrityError as error:
        failures[index] = str(error)
        raw = json_text(dict(zip(item.entity_type.columns, item.values, strict=False)))
        _quarantine(connection, Quarantined(item.entity_type.method, item.correlation_id, str(error), raw), stamp)


def _record(item: Update, source: str, stamp: str) -> tuple[object, ...]:
    key = "/".join(str(part) for part in item.key)
    operation = "Delete" if item.deleted else "Update"
    return (item.entity_type.name, key, operation, item.version, item.updated_at, item.correlation_id, source, stamp)


def _put(connection: sqlite3.Connection, update: Update, stamp: str) -> None:
    if update.key_only:
        cursor = connection.execute(
            update.entity_type.tombstone_sql, (update.version, update.updated_at, update.correlation_id, stamp, *update.key)
        )
        if cursor.rowcount:
            return
    connection.execute(update.entity_type.upsert_sql, (*update.values, stamp))


def _quarantine(connection: sqlite3.Connection, item: Quarantined, stamp: str) -> None:
    connection.execute(
        "INSERT INTO sync_quarantine (method, correlation_id, reason, raw, received_at) VALUES (?, ?, ?, ?, ?)",
        (
            item.method,
            None if item.correlation_id is None else storable(item.correlation_id),
            storable(item.reason),
            storable(item.raw[:MAX_RAW_CHARACTERS]),
            stamp,
        ),
    )
