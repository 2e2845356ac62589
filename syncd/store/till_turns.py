"""Many small transactions of a command in the till's file, within the same budget as the daemon's (`write_budget.py`).

A command is a process of its own: it has no event loop and no clock of others', so it sleeps itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from syncd.store.write_budget import BUSY_SHARE, CHUNK_SECONDS, LAZY_CHUNK_SECONDS, LAZY_PART, QUIET_AFTER_SECONDS, QUIET_SHARE, Cost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LONGEST_PAUSE_SECONDS = 2.0


class TillTurns:
    """How many rows the next transaction may have, and how long to wait after it.

    Args:
        connection: the command's only connection to the file, so that `data_version` changes with the commits of others only.
        idle_seconds: for how long nobody had written when the command began; see `seconds_since_written`.
    """

    def __init__(self, connection: sqlite3.Connection, idle_seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._sleep = sleep
        self._cost = Cost()
        self._version = self._data_version()
        self._others_wrote_at = time.monotonic() - idle_seconds

    def chunks(self, ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """The rows in pieces, one a transaction; `held` is to be told of each."""
        start = 0
        while start < len(ids):
            room = self._cost.rows(CHUNK_SECONDS if self._is_quiet() else LAZY_CHUNK_SECONDS)
            yield ids[start : start + room]
            start += room

    def held(self, rows: int, seconds: float, *, more: bool) -> None:
        """A transaction held the till's lock for so long: wait until another one is within the budget."""
        self._cost.measured(rows, seconds)
        if more:
            share = QUIET_SHARE if self._is_quiet() else BUSY_SHARE * LAZY_PART
            self._sleep(min(LONGEST_PAUSE_SECONDS, seconds / share))

    def _is_quiet(self) -> bool:
        version = self._data_version()
        if version != self._version:
            self._version, self._others_wrote_at = version, time.monotonic()
        return time.monotonic() - self._others_wrote_at >= QUIET_AFTER_SECONDS

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA main.data_version").fetchone()[0])


def seconds_since_written(path: Path) -> float:
    """To be asked before the file is opened, which makes its log anew."""
    ages = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            ages.append(max(0.0, time.time() - file.stat().st_mtime))
        except OSError:
            continue
    return min(ages, default=0.0)
