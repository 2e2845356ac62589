"""The last updates that HQ sent, with source and outcome: for people, bounded, and in syncd's own file."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.day_count import DayCount
from syncd.store.text import storable

if TYPE_CHECKING:
    import sqlite3

    from syncd.clock import Clock
    from syncd.store.database import Database
    from syncd.store.entity_type import EntityType
    from syncd.store.update import Update

KEPT_UPDATES = 1_000
FLUSH_SECONDS = 2.0  # one small transaction each time; of a flood only the last `KEPT_UPDATES` are written
MAX_REASON_CHARACTERS = 500
Record: TypeAlias = tuple["EntityType", tuple[object, ...], tuple[object, ...], datetime]
"""Kind and key, the columns between them and the moment; not the update itself, which may hold a picture."""
_INSERT = """
INSERT INTO inbox (entity_type, entity_id, operation, version, updated_at, correlation_id, source, outcome, reason, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LAST_APPLIED = "INSERT OR REPLACE INTO total (name, value) VALUES (?, ?)"
_PREFIX = "last applied "
_TRIM = "DELETE FROM inbox WHERE id <= (SELECT max(id) FROM inbox) - ?"


class InboxLog:
    """Keeps the last `KEPT_UPDATES` updates; those of the last seconds before a crash are missing, in this log only.

    Attributes:
        last_applied: when that last was, by entity type.
    """

    def __init__(self, journal: Database, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._waiting: deque[Record] = deque(maxlen=KEPT_UPDATES)
        self._added = asyncio.Event()
        self._applied = 0  # since the last flush
        self._today = DayCount("applied", clock)
        self.last_applied: dict[str, datetime] = {}

    @property
    def applied_today(self) -> int:
        """Updates that changed something, those that are not written yet included."""
        return self._today.count + self._applied

    def add(self, update: Update, source: str, *, stale: bool = False, refusal: str | None = None) -> None:
        """Record what became of an update.

        Args:
            source: `live` or `catchup`.
            stale: what the store had was newer, or the same.
            refusal: why SQLite refused it.
        """
        outcome = "refused" if refusal is not None else "stale" if stale else "applied"
        now = self._clock.now()
        if outcome == "applied":
            self._applied += 1
            self.last_applied[update.entity_type.name] = now
        columns = (
            "Delete" if update.deleted else "Update", update.version, update.updated_at, update.correlation_id, source, outcome,
            refusal and storable(refusal[:MAX_REASON_CHARACTERS]),
        )  # fmt: skip
        self._waiting.append((update.entity_type, update.key, columns, now))  # of a flood most are never written
        self._added.set()

    async def run(self) -> NoReturn:
        """Write the records every `FLUSH_SECONDS`; for ever."""
        with suppress(StorageError):  # the same
            await self._journal.run(self._read)
        while True:
            await self._added.wait()
            await self._clock.sleep(FLUSH_SECONDS)
            self._added.clear()
            records, applied, day = list(self._waiting), self._applied, self._today.today()
            self._waiting.clear()
            try:
                await self._journal.write(partial(self._write, records=records, applied=applied, day=day, last=dict(self.last_applied)))
            except StorageError:  # whoever needs the file reports it; these are written with the next ones
                self._waiting = deque([*records, *self._waiting], KEPT_UPDATES)
                self._added.set()
            else:
                self._applied -= applied
                self._today.counted(day, applied)

    def _read(self, connection: sqlite3.Connection) -> None:
        self._today.read(connection)
        for name, milliseconds in connection.execute("SELECT name, value FROM total WHERE name GLOB ?", (f"{_PREFIX}*",)):
            self.last_applied.setdefault(name.removeprefix(_PREFIX), datetime.fromtimestamp(milliseconds / 1000, UTC))

    def _write(
        self,
        connection: sqlite3.Connection,
        *,
        records: list[Record],
        applied: int,
        day: str,
        last: dict[str, datetime],
    ) -> None:
        rows = [(kind.kind_of(key), kind.entity_id_of(key), *columns, iso_ms(at)) for kind, key, columns, at in records]
        connection.executemany(_INSERT, rows)
        connection.execute(_TRIM, (KEPT_UPDATES,))
        self._today.write(connection, day, applied)
        connection.executemany(_LAST_APPLIED, [(f"{_PREFIX}{name}", round(at.timestamp() * 1000)) for name, at in last.items()])
