"""The last updates that HQ sent, with source and outcome: for people, bounded, and in syncd's own file."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.text import storable

if TYPE_CHECKING:
    import sqlite3

    from syncd.clock import Clock
    from syncd.store.database import Database
    from syncd.store.update import Update

KEPT_UPDATES = 1_000
FLUSH_SECONDS = 2.0  # one small transaction each time; of a flood only the last `KEPT_UPDATES` are written
MAX_REASON_CHARACTERS = 500
_INSERT = """
INSERT INTO inbox (entity_type, entity_id, operation, version, updated_at, correlation_id, source, outcome, reason, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRIM = "DELETE FROM inbox WHERE id <= (SELECT max(id) FROM inbox) - ?"


class InboxLog:
    """Keeps the last `KEPT_UPDATES` updates; those of the last seconds before a crash are missing, in this log only."""

    def __init__(self, journal: Database, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._waiting: deque[tuple[object, ...]] = deque(maxlen=KEPT_UPDATES)
        self._added = asyncio.Event()

    def add(self, update: Update, source: str, *, stale: bool = False, refusal: str | None = None) -> None:
        """Record what became of an update.

        Args:
            source: `live` or `catchup`.
            stale: what the store had was newer, or the same.
            refusal: why SQLite refused it.
        """
        outcome = "refused" if refusal is not None else "stale" if stale else "applied"
        self._waiting.append(
            (
                update.entity_type.name, update.entity_id, "Delete" if update.deleted else "Update", update.version, update.updated_at,
                update.correlation_id, source, outcome, refusal and storable(refusal[:MAX_REASON_CHARACTERS]), iso_ms(self._clock.now()),
            )
        )  # fmt: skip
        self._added.set()

    async def run(self) -> NoReturn:
        """Write the records every `FLUSH_SECONDS`; for ever."""
        while True:
            await self._added.wait()
            await self._clock.sleep(FLUSH_SECONDS)
            self._added.clear()
            records = list(self._waiting)
            self._waiting.clear()
            try:
                await self._journal.write(partial(_write, records=records))
            except StorageError:  # whoever needs the file reports it; these are written with the next ones
                self._waiting = deque([*records, *self._waiting], KEPT_UPDATES)
                self._added.set()


def _write(connection: sqlite3.Connection, records: list[tuple[object, ...]]) -> None:
    connection.executemany(_INSERT, records)
    connection.execute(_TRIM, (KEPT_UPDATES,))
