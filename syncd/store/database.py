"""One SQLite file, one connection, one thread: whole transactions run there, not statement by statement.

`BEGIN`, the statements and `COMMIT` awaited one by one would hold the write lock while the event loop is busy
elsewhere, and each costs a thread hop (about 65 µs). aiosqlite offers no function that runs a function on its thread;
we use `Connection._execute`, which is private, and a test of its own tells when it changes.

**Which thread runs what.** A function that takes a `sqlite3.Connection` runs on that connection's thread; all the
others run on the event loop, but for those of `DatabaseFile` that say otherwise.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import aiosqlite

from syncd.clock import SystemClock
from syncd.errors import StorageBusy, StorageError
from syncd.own_files import make_own
from syncd.store.collection import no_collection
from syncd.store.database_file import DatabaseFile
from syncd.store.names import UNPREFIXED, connect
from syncd.store.permissions import DATABASE_MODE, require_writable
from syncd.store.sqlite_errors import is_locked, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncd.store.names import Names

T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 5.0  # how long a statement of ours waits for the till's lock before it fails
CACHE_KIBIBYTES = 2048  # of SQLite's own cache, for each of some six connections; behind it is the operating system's


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """What a write transaction gave, and for how many seconds it held the write lock."""

    result: T
    seconds: float


class _Connection(aiosqlite.Connection):
    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a whole piece of work on the connection's own thread."""
        result: T = await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]
        return result


@contextmanager
def without_waiting(connection: sqlite3.Connection) -> Iterator[None]:
    """Within this, a lock that somebody else has is an error at once, and not after the busy timeout."""
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(milliseconds)}")


class Database:
    """A connection to one file.

    Attributes:
        file: what all connections to that file share.
        names: what our tables are called in it.
    """

    def __init__(self, file: DatabaseFile, connection: _Connection, names: Names) -> None:
        self.path = file.path
        self.file = file
        self.names = names
        self._connection = connection

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        synchronous: str = "NORMAL",
        attach: Path | None = None,
        file: DatabaseFile | None = None,
        names: Names = UNPREFIXED,
    ) -> Database:
        """Open the file in WAL mode.

        Args:
            path: the file; made where there is none.
            synchronous: `NORMAL` for the till's file (no disk sync inside its lock), `FULL` for our own.
            attach: another database, to be read as `journal`.
            file: what the connections to this file share, where there are others.
            names: what our tables are called in it.

        Raises:
            PermissionDeniedError: the file or its folder may not be written.
            StorageError: it cannot be opened, or is no database.
        """
        require_writable(path)
        path = path.resolve()  # noqa: ASYNC240 - one call at the start. SQLite keeps the -wal file beside the file itself, not beside a link to it
        require_writable(path)
        try:
            make_own(path, DATABASE_MODE)  # SQLite alone would make it 0644, less the umask
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}", path=path) from error

        def connector() -> sqlite3.Connection:
            # isolation_level None: transactions are begun and ended here, by name, never by the driver's guess.
            connection = connect(path.as_uri(), names, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
            try:
                _set_up(connection, synchronous, attach)
            except BaseException:
                connection.close()
                raise
            return connection

        connection = _Connection(connector, 64)
        # The daemon closes its connections; after a crash, this thread must not keep the process alive.
        connection._thread.daemon = True  # noqa: SLF001
        try:
            await connection
        except sqlite3.Error as error:
            # Its thread ends by itself, and calls the event loop once more then: the loop must still be open.
            await asyncio.to_thread(connection._thread.join)  # noqa: SLF001
            raise translate(error, path) from error
        return cls(file or DatabaseFile(path, SystemClock()), connection, names)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run reads (or one single statement) on the connection's thread.

        Raises:
            StorageBusy: the lock did not come free in time.
            StorageError: anything else that SQLite says.
        """
        began = self.file.clock.monotonic()
        try:
            return await self._connection.run(work)
        except sqlite3.Error as error:
            translated = translate(error, self.path)
            if isinstance(translated, StorageBusy):
                self.file.lock_refused(began)
            raise translated from error

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> Held[T]:
        """Run one whole write transaction (`BEGIN IMMEDIATE` … `COMMIT`), rolled back where it fails.

        Raises:
            StorageBusy: the lock did not come free in time.
            StorageError: anything else that SQLite says.
        """

        def transaction(connection: sqlite3.Connection) -> Held[T]:
            self.file.lock_wanted()
            connection.execute("BEGIN IMMEDIATE")
            self.file.lock_taken()
            began = time.perf_counter()  # the lock's real hold, whatever clock is injected: the write budget spends it
            try:
                result = work(connection)
                connection.execute("COMMIT")
                self.file.written()
            except BaseException:
                with suppress(sqlite3.Error):  # the first error says more than this one would
                    connection.execute("ROLLBACK")
                raise
            return Held(result, time.perf_counter() - began)

        return await self.run(no_collection()(transaction))

    async def try_lock(self) -> bool:
        """Whether the write lock can be had at this moment; it is given back at once, and nothing waits for it.

        Raises:
            StorageError: anything else that SQLite says.
        """

        def attempt(connection: sqlite3.Connection) -> bool:
            try:
                with without_waiting(connection):
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                if is_locked(error):
                    return False
                raise
            return True

        return await self.run(attempt)

    async def sync(self) -> None:
        """Make everything committed so far durable, outside the write lock.

        With `synchronous=NORMAL` a commit is only in the operating system's hands until the `-wal` file is synced.
        Closing a descriptor of the `-wal` file drops no lock of SQLite's: those are on the database and `-shm` files.

        Raises:
            StorageError: the disk refuses.
        """

        def fdatasync(_: sqlite3.Connection) -> None:
            try:
                descriptor = os.open(f"{self.path}-wal", os.O_RDONLY)
            except FileNotFoundError:  # nothing is in the log: all of it is in the database, synced by the checkpoint
                return
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

        try:
            await self._connection.run(fdatasync)
        except OSError as error:
            raise StorageError(f"{self.path}-wal: {error.strerror}", path=self.path) from error

    async def close(self) -> None:
        """Close the connection and end its thread."""
        await self._connection.close()


def _set_up(connection: sqlite3.Connection, synchronous: str, attach: Path | None) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL" if synchronous == "FULL" else "PRAGMA synchronous = NORMAL")
    # A till would have to wait for a checkpoint within our commit; see store/checkpoint.py.
    connection.execute("PRAGMA wal_autocheckpoint = 0" if synchronous != "FULL" else "PRAGMA wal_autocheckpoint = 1000")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if attach is not None:
        # Read-only: BEGIN IMMEDIATE takes the write lock of every attached file that can be written, and would hold the
        # till's lock while it waits for the journal's.
        connection.execute("ATTACH DATABASE ? AS journal", (f"{attach.resolve().as_uri()}?mode=ro",))
