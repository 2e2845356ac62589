"""Requests to apply entries of the quarantine once more: written by a command, taken by the daemon, answered with an outcome."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.by_hand import opened_by_hand
from syncd.store.names import UNPREFIXED
from syncd.store.text import storable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from syncd.clock import Clock
    from syncd.store.database import Database

AT_ONCE = 200  # requests that the daemon takes together
KEPT_OUTCOMES = "-1 day"  # of requests whose command did not wait for them


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a request.

    Attributes:
        outcome: `applied`, `superseded` (what the store has is newer, or the same), `refused` or `gone`; None as long as the daemon has
            not taken it.
        reason: why it was not applied.
    """

    quarantine_id: int
    outcome: str | None
    reason: str | None


class ReplayRequests:
    """The daemon's side.

    Raises (each method):
        StorageError: our own file cannot be used.
    """

    def __init__(self, journal: Database, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def waiting(self) -> list[int]:
        """Entries that are to be applied once more, in the order in which they came into the quarantine."""
        sql = "SELECT quarantine_id FROM replay WHERE outcome IS NULL ORDER BY quarantine_id LIMIT ?"
        return await self._journal.run(lambda connection: [row[0] for row in connection.execute(sql, (AT_ONCE,))])

    async def decided(self, outcomes: Sequence[Replayed]) -> None:
        """Tell whoever waits for it."""
        now = iso_ms(self._clock.now())
        rows = [(one.outcome, one.reason and storable(one.reason), now, one.quarantine_id) for one in outcomes]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM replay WHERE julianday(decided_at) < julianday(?, ?)", (now, KEPT_OUTCOMES))
            connection.executemany("UPDATE replay SET outcome = ?, reason = ?, decided_at = ? WHERE quarantine_id = ?", rows)

        await self._journal.write(work)


class ReplayClient:
    """A command's side: syncd's own file, opened for each step, since waiting takes seconds.

    Raises (each method):
        ConfigurationError: the file is older or newer than this program.
        PermissionDeniedError: it may not be written.
        StorageError: it cannot be used.
    """

    def __init__(self, state_path: Path) -> None:
        self._path = state_path

    def request(self, ids: Sequence[int], now: datetime) -> None:
        """Ask for these entries of the quarantine."""
        rows = [(entry_id, iso_ms(now)) for entry_id in ids]
        self._run("INSERT OR REPLACE INTO replay (quarantine_id, requested_at) VALUES (?, ?)", rows)

    def look(self, ids: Sequence[int]) -> list[Replayed]:
        """What has become of them so far."""
        sql = "SELECT quarantine_id, outcome, reason FROM replay WHERE quarantine_id IN (SELECT value FROM json_each(?)) ORDER BY 1"
        with opened_by_hand(self._path, "journal", UNPREFIXED) as connection:
            return [Replayed(*row) for row in connection.execute(sql, (json.dumps(ids),))]

    def forget(self, ids: Sequence[int]) -> None:
        """Their outcomes are known."""
        self._run("DELETE FROM replay WHERE quarantine_id = ? AND outcome IS NOT NULL", [(entry_id,) for entry_id in ids])

    def _run(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        with opened_by_hand(self._path, "journal", UNPREFIXED) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(sql, rows)
            connection.execute("COMMIT")
