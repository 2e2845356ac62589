"""Why a database cannot be used, as the parts of the program report it.

A trouble ends with the first success on that file, whichever part it is that succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.errors import StorageBusy, StorageError
from syncd.store.lock_holders import WRITE_LOCK
from syncd.store.sqlite_errors import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.store.database import Database
    from syncd.store.database_file import DatabaseFile
    from syncd.store.status import DatabaseStatus

LOOK_SECONDS = 1.0
LOOK_WHILE_HELD_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Trouble:
    error: StorageError
    file: DatabaseFile | None
    writes: int  # to that file, when the error came

    @property
    def over(self) -> bool:
        """It was the disk's, and a write was committed since; neither damage nor a refused statement ends by that."""
        return type(self.error) is StorageError and self.file is not None and self.file.writes > self.writes


class Troubles:
    """Collects them, and watches the locks and the logs.

    Args:
        databases: one connection to each file, on which nothing urgent waits.
        status: our section of the report.
        on_change: called when a trouble begins, goes on or ends.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        clock: Clock,
        log: FilteringBoundLogger,
        status: DatabaseStatus,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._databases = {str(database.path): database for database in databases}
        self._clock = clock
        self._log = log
        self._on_change = on_change
        self._found: dict[str, _Trouble] = {}
        self._large_logs: set[Path] = set()
        self.status = status

    def __bool__(self) -> bool:
        return self.status.write_lock_file is not None or self.error is not None

    @property
    def error(self) -> StorageError | None:
        """The oldest trouble that is not a lock, and not over."""
        self._end()
        return next((trouble.error for trouble in self._found.values()), None)

    def refresh_status(self) -> None:
        """Bring our section up to date: any write that went in ends a trouble, and checkpoints measure the logs."""
        error, status = self.error, self.status
        status.error = None if error is None else str(error)
        if error is not None:
            status.error_code = kind_of(error)
        files = [database.file for database in self._databases.values()]
        largest = max(files, key=lambda file: (file.wal_large_since is not None, file.wal_bytes))
        status.wal_file, status.wal_bytes = str(largest.path), largest.wal_bytes
        status.wal_large_since, status.wal_readers = largest.wal_large_since, largest.wal_readers

    def part(self, name: str) -> Callable[[StorageError | None], None]:
        """A function by which one part of the program reports why it cannot use its database, and None once it can."""

        def tell(error: StorageError | None) -> None:
            if isinstance(error, StorageBusy):  # see `_look_at_locks`
                return
            if error is None:
                if self._found.pop(name, None) is not None:
                    self._over(name)
                return
            before = self._found.get(name)
            database = self._databases.get(str(error.path))
            self._found[name] = _Trouble(error, database.file if database else None, database.file.writes if database else 0)
            if before is None or str(before.error) != str(error):
                self._log.error("database_unusable", part=name, error=str(error), hint="tried again until it works; nothing is lost")
                self._on_change()

        return tell

    def _end(self) -> None:
        for name in [name for name, trouble in self._found.items() if trouble.over]:
            del self._found[name]
            self._over(name)

    def _over(self, name: str) -> None:
        self._log.info("database_usable_again", part=name)
        self._on_change()

    async def run(self) -> None:
        """Watch the locks and logs; for ever."""
        while True:
            await self._look()
            await self._clock.sleep(LOOK_WHILE_HELD_SECONDS if self.status.write_lock_file else LOOK_SECONDS)

    async def _look(self) -> None:
        self._end()
        self._tell_logs()
        await self._look_at_locks()

    def _tell_logs(self) -> None:
        for database in self._databases.values():
            file = database.file
            if (file.wal_large_since is not None) == (file.path in self._large_logs):
                continue
            if file.wal_large_since is not None:
                self._large_logs.add(file.path)
                self._log.warning("wal_large", path=str(file.path), bytes=file.wal_bytes, readers=file.wal_readers)
            else:
                self._large_logs.discard(file.path)
                self._log.info("wal_small_again", path=str(file.path), bytes=file.wal_bytes)
            self._on_change()

    async def _look_at_locks(self) -> None:
        held = [database for database in self._databases.values() if database.file.lock_held_seconds() and not await _is_free(database)]
        longest = max(held, key=lambda database: database.file.lock_held_seconds(), default=None)
        seconds = longest.file.lock_held_seconds() if longest else 0.0
        status, held_before = self.status, self.status.write_lock_held_seconds
        if longest is None or not seconds:
            if held_before:
                self._log.info(
                    "write_lock_free", path=status.write_lock_file, held_seconds=round(held_before, 1), holder=status.write_lock_holder
                )
                status.write_lock_file = status.write_lock_holder = status.write_lock_held_since = None
                status.write_lock_held_seconds = 0.0
                self._on_change()
            return
        names = longest.file.lock_holders.of(WRITE_LOCK)
        status.write_lock_file, status.write_lock_holder = str(longest.path), names[0] if names else status.write_lock_holder
        status.write_lock_held_seconds, status.write_lock_held_since = seconds, self._clock.now() - timedelta(seconds=seconds)
        if not held_before:
            self._log.warning("write_lock_held", path=str(longest.path), held_seconds=round(seconds, 1), holder=status.write_lock_holder)
        self._on_change()


async def _is_free(database: Database) -> bool:
    """Try it: where no write of ours is waiting at this moment, nothing else would notice that the lock is free."""
    try:
        free = await database.try_lock()
    except StorageError:  # it is not the lock; the parts that need the file report what it is
        free = True
    if free:
        database.file.lock_taken()
    return free
