"""How much of the time we hold the till's write lock, and in chunks of what size.

What a till notices is the share of time for which the lock is taken (design, law 1): Microsoft.Data.Sqlite sleeps
150 ms where it finds the lock taken, so at 1 % of the time one sale in a hundred is 150 ms late, however short our
transactions are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.store.database import Database, Held

T = TypeVar("T")

# Shares of the last WINDOW_SECONDS:
WINDOW_SECONDS = 1.0
BUSY_SHARE = 0.005  # while anybody else writes
LAZY_PART = 0.5  # of that share, for what is not urgent, so that a pushed price never waits behind status marks
QUIET_SHARE = 0.25  # while nobody else does; not all of it, since the first sale of the morning needs the lock too
QUIET_AFTER_SECONDS = 10.0  # without a write by anybody else
# One chunk, which is one transaction:
CHUNK_SECONDS = 0.005
LAZY_CHUNK_SECONDS = 0.002  # of what is not urgent, while anybody else writes
SMALL_SECONDS = 0.001  # an urgent chunk this short goes in at once, as long as the share is not spent yet
MAX_ROWS = 2000
FIRST_ROWS = 20  # as long as the cost of a row is not known
# Waiting for the share:
MIN_WAIT_SECONDS = 0.001
GIVE_WAY_SECONDS = 0.02  # what is not urgent, while something urgent waits


class Cost:
    """What a row of one kind of work costs, in seconds of write lock.

    It is measured, and one slow chunk changes it by a factor of 4 at most: that may have been the disk, or another
    process.
    """

    def __init__(self) -> None:
        self.seconds_a_row: float | None = None

    def rows(self, seconds: float) -> int:
        """How many rows fit into that many seconds."""
        if self.seconds_a_row is None:
            return FIRST_ROWS
        return max(1, min(MAX_ROWS, int(seconds / self.seconds_a_row)))

    def measured(self, rows: int, seconds: float) -> None:
        """Take the last chunk into account: up by a factor of 4 at most, down by a factor of 2.

        Of a short chunk of few rows its commit is most; that says nothing of what many rows cost that share one.
        """
        each = seconds / max(1, rows)
        if self.seconds_a_row is not None and each > self.seconds_a_row and seconds <= SMALL_SECONDS:
            return
        if self.seconds_a_row is None:
            self.seconds_a_row = each
        else:
            self.seconds_a_row = min(max(each, self.seconds_a_row / 2), self.seconds_a_row * 4)


class PacedWriter:
    """Writes into the till's file; nothing of ours does otherwise.

    Args:
        database: a connection that nothing else writes through, so that its `data_version` changes with the commits of
            others only.
        last_written: monotonic moment of the last write by anybody, as the file's time stamp tells it.

    Attributes:
        held_seconds_total: for how long our transactions have held the lock.
        longest_hold_seconds: for how long the longest of them did.
    """

    def __init__(self, database: Database, clock: Clock, *, last_written: float | None = None) -> None:
        self.database = database
        self._clock = clock
        self._turn = asyncio.Lock()
        self._urgent_waiting = 0
        self._held: deque[tuple[float, float]] = deque()  # when a chunk ended, and for how long it held the lock
        self._data_version: int | None = None
        self._others_wrote_at = clock.monotonic() if last_written is None else last_written
        self.held_seconds_total = 0.0
        self.longest_hold_seconds = 0.0

    @property
    def quiet(self) -> bool:
        """Nobody else has written for `QUIET_AFTER_SECONDS`."""
        return self._clock.monotonic() - self._others_wrote_at >= QUIET_AFTER_SECONDS

    def others_wrote(self) -> None:
        """Somebody else's commit was seen."""
        self._others_wrote_at = self._clock.monotonic()

    def room(self, cost: Cost, *, urgent: bool) -> int:
        """How many rows of this cost one chunk may have now: what is urgent takes what is left of the share, where that is worth it."""
        if self.quiet:
            return cost.rows(CHUNK_SECONDS)
        if not urgent:
            return cost.rows(LAZY_CHUNK_SECONDS)
        left = BUSY_SHARE * WINDOW_SECONDS - self._spent_seconds()
        return cost.rows(min(CHUNK_SECONDS, left) if left >= SMALL_SECONDS else CHUNK_SECONDS)

    def _spent_seconds(self) -> float:
        """For how long the lock was held within the window that ends now."""
        now = self._clock.monotonic()
        while self._held and self._held[0][0] <= now - WINDOW_SECONDS:
            self._held.popleft()
        return sum(seconds for _, seconds in self._held)

    async def write(self, work: Callable[[sqlite3.Connection], T], *, rows: int, cost: Cost, urgent: bool) -> Held[T]:
        """Wait for our share of the lock, then run one transaction of about `rows` rows.

        Raises:
            StorageBusy: the till held the lock for too long; nothing was written.
            StorageError: anything else that SQLite says.
        """
        expected = rows * (cost.seconds_a_row or CHUNK_SECONDS / FIRST_ROWS)
        self._urgent_waiting += urgent
        try:
            await self._wait(expected, urgent=urgent)
        finally:
            self._urgent_waiting -= urgent
        try:
            held = await self.database.write(work)
        finally:
            self._turn.release()
        self._held.append((self._clock.monotonic(), held.seconds))
        self.held_seconds_total += held.seconds
        self.longest_hold_seconds = max(self.longest_hold_seconds, held.seconds)
        cost.measured(rows, held.seconds)
        return held

    async def _wait(self, expected: float, *, urgent: bool) -> None:
        """Wait until the share allows it; returns with `_turn` held."""
        while True:
            await self._turn.acquire()
            try:
                delay = self._delay(await self.look(), expected, urgent=urgent)
            except BaseException:
                self._turn.release()
                raise
            if delay <= 0:
                return
            self._turn.release()
            await self._clock.sleep(delay)

    async def look(self) -> bool:
        """Look whether anybody else has written since the last look; the first look finds nothing.

        Returns:
            Whether the file is quiet.
        """
        version = await self.database.run(lambda c: int(c.execute("PRAGMA data_version").fetchone()[0]))
        if self._data_version is not None and version != self._data_version:
            self.others_wrote()
        self._data_version = version
        return self.quiet

    def _delay(self, quiet: bool, expected: float, *, urgent: bool) -> float:
        """Seconds to wait before a transaction that will hold the lock for about `expected` seconds; 0 for none."""
        spent = self._spent_seconds()
        now = self._clock.monotonic()
        if not urgent and self._urgent_waiting:
            return GIVE_WAY_SECONDS
        share = (QUIET_SHARE if quiet else BUSY_SHARE) * WINDOW_SECONDS
        if not urgent and not quiet:
            share *= LAZY_PART
        if spent + expected <= share or not self._held:
            return 0.0
        if urgent and expected <= SMALL_SECONDS and spent < share:
            return 0.0
        # Until enough of what was spent has left the window:
        over = spent + expected - share
        for at, seconds in self._held:
            over -= seconds
            if over <= 0:
                return max(MIN_WAIT_SECONDS, at + WINDOW_SECONDS - now)
        return max(MIN_WAIT_SECONDS, self._held[-1][0] + WINDOW_SECONDS - now)
