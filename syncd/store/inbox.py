"""Applying HQ's updates: newer wins, twice is once, and the update, its inbox record and the cursor commit together."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.catalog import is_newer, Update
from syncd.store.pacing import Cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.clock import Clock
    from syncd.store.pacing import TillWriter

CURSOR = "hq"
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

    def __init__(self, till: TillWriter, clock: Clock) -> None:
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
                connection.execute("INSERT OR REPLACE INTO sync_cursor (name, cursor, updated_at) VALUES (?, ?, ?)", (CURSOR, cursor, stamp))

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
            known[at] = (item.version if item.version is not None else had[0], item.updated_at if item.updated_at is not None else had[1])
    return stale


def _write(
    connection: sqlite3.Connection, news: Sequence[tuple[int, Update | Quarantined]], source: str, stamp: str, failures: dict[int, str]
) -> None:
    for index, item in news:
        if isinstance(item, Quarantined):
            _quarantine(connection, item, stamp)
            continue
        try:
            _put(connection, item, stamp)
        except sqlite3.IntegrityError as error:  # a constraint that the POS has put on the table
            failures[index] = str(error)
            _quarantine(
                connection, Quarantined(item.entity_type.method, item.correlation_id, str(error), repr(item.values)), stamp
            )
            continue
        connection.execute(
            "INSERT INTO sync_inbox (entity_type, entity_key, operation, version, updated_at, correlation_id, source, applied_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                item.entity_type.name, "/".join(str(part) for part in item.key), "Delete" if item.deleted else "Update",
                item.version, item.updated_at, item.correlation_id, source, stamp,
            ),
        )  # fmt: skip


def _put(connection: sqlite3.Connection, update: Update, stamp: str) -> None:
    if update.bare:
        cursor = connection.execute(
            update.entity_type.bury_sql, (update.version, update.updated_at, update.correlation_id, stamp, *update.key)
        )
        if cursor.rowcount:
            return
    connection.execute(update.entity_type.upsert_sql, (*update.values, stamp))


def _quarantine(connection: sqlite3.Connection, item: Quarantined, stamp: str) -> None:
    connection.execute(
        "INSERT INTO sync_quarantine (method, correlation_id, reason, raw, received_at) VALUES (?, ?, ?, ?, ?)",
        (item.method, item.correlation_id, item.reason, item.raw[:MAX_RAW_CHARACTERS], stamp),
    )
