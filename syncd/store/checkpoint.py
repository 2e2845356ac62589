"""Checkpoints before the till's own commits have to make them, and a log that stays small.

A commit that finds 1,000 pages in the log checkpoints them itself, and the cashier waits for its disk syncs. A passive
checkpoint on a connection of its own takes no write lock and waits for nobody; with one every half second a till at 150
commits/s had its worst commit at 19 to 23 ms instead of 38 to 46 ms.

A passive checkpoint cannot start the log from its beginning again while somebody reads from it: beside a program that
keeps a read transaction open it grows with every commit, and afterwards the file keeps its size. So a large log is
reported, and truncated while nobody writes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.database import without_waiting
from syncd.store.lock_holders import READ_LOCKS
from syncd.store.retry_delays import TRUNCATE_RETRY_SECONDS
from syncd.store.sqlite_errors import is_locked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from syncd.clock import Clock
    from syncd.store.database import Database

INTERVAL_SECONDS = 0.5
MIN_LOG_BYTES = 64 * 1024  # a smaller log is not worth a checkpoint
TRUNCATE_BYTES = 8 * 1024 * 1024  # twice what SQLite itself lets it grow to, at pages of 4 KiB
LARGE_BYTES = 32 * 1024 * 1024  # in use: about 1,500 sales beside a reader
LARGE_AFTER_SECONDS = 30.0  # one huge transaction of the till's is in the database file by then
FRAME_HEADER_BYTES = 24


@dataclass(frozen=True, slots=True)
class Log:
    """A log after a checkpoint.

    Attributes:
        in_use_bytes: from its beginning to its last commit, whatever the file's size is.
        copied: all of it is in the database file.
    """

    in_use_bytes: int
    copied: bool


async def checkpoint(database: Database) -> Log:
    """One passive checkpoint.

    Raises:
        StorageError: the disk refuses. (A database that is busy is not an error: the next one does it.)
    """
    return await database.run(lambda connection: _checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)"))


async def truncate(database: Database) -> Log:
    """Copy what is left and truncate the log, where nobody reads from it or writes at this moment; waits for nobody.

    It takes the write lock for about a millisecond, so it is for a file that is quiet.

    Raises:
        StorageError: the disk refuses.
    """

    def work(connection: sqlite3.Connection) -> Log:
        with without_waiting(connection):
            return _checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)")

    return await database.run(work)


def _checkpoint(connection: sqlite3.Connection, pragma: str) -> Log:
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    try:
        _, frames, copied = connection.execute(pragma).fetchone()
    except sqlite3.OperationalError as error:
        if not is_locked(error):
            raise
        return Log(0, copied=False)
    return Log(max(0, frames) * (page_bytes + FRAME_HEADER_BYTES), frames == copied)


class Checkpoints:
    """Keeps one file's log copied and small, and its `DatabaseFile` informed.

    Args:
        database: a connection on which nothing urgent waits.
        quiet: whether nobody else has written for a while.
        on_trouble: told of a disk that refuses, and None once it does not.
    """

    def __init__(
        self, database: Database, clock: Clock, quiet: Callable[[], Awaitable[bool]], on_trouble: Callable[[StorageError | None], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._quiet = quiet
        self._on_trouble = on_trouble
        self._log = Log(0, copied=True)
        self._seen: tuple[int, int] | None = None
        self._truncate_at = 0.0
        self._above_limit: tuple[float, datetime] | None = None

    async def run(self) -> None:
        """Look at the log again and again; for ever."""
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            try:
                await self._look()
            except StorageError as error:
                self._on_trouble(error)
            else:
                self._on_trouble(None)

    async def _look(self) -> None:
        file = self._database.file
        try:
            stat = file.wal_path.stat()
        except FileNotFoundError:
            return
        now, before = (stat.st_size, stat.st_mtime_ns), self._seen
        file.wal_bytes = stat.st_size
        if now != before or not self._log.copied:
            if stat.st_size >= MIN_LOG_BYTES:
                self._log = await checkpoint(self._database)
        elif stat.st_size >= TRUNCATE_BYTES and self._clock.monotonic() >= self._truncate_at and await self._quiet():
            self._log = await truncate(self._database)
            self._truncate_at = self._clock.monotonic() + TRUNCATE_RETRY_SECONDS
        self._seen = now
        self._tell_size()

    def _tell_size(self) -> None:
        file = self._database.file
        if self._log.in_use_bytes < LARGE_BYTES:
            self._above_limit, file.wal_large_since, file.wal_readers = None, None, []
            return
        if self._above_limit is None:
            self._above_limit = self._clock.monotonic(), self._clock.now()
        if self._clock.monotonic() - self._above_limit[0] >= LARGE_AFTER_SECONDS:
            file.wal_large_since = self._above_limit[1]
            file.wal_readers = file.lock_holders.of(READ_LOCKS)
