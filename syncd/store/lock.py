"""One syncd a store: the lock, and who has it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from syncd.errors import AnotherInstanceError, PermissionDeniedError, StorageError
from syncd.own_files import replace_own, require_own
from syncd.store.permissions import require_writable


class StoreLock:
    """An advisory lock beside the outbox; the system releases it when the process ends, however that happens.

    Args:
        outbox_path: the file whose only sender we want to be; links are followed, so that all its names give one lock.
    """

    def __init__(self, outbox_path: Path) -> None:
        real = outbox_path.resolve()
        self._lock_file = real.with_name(f"{real.name}.syncd.lock")
        self._lock = FileLock(self._lock_file, timeout=0)
        self._pid_file = real.with_name(f"{real.name}.syncd.pid")
        self._store = outbox_path
        self._identity: tuple[int, int] | None = None  # of the file whose lock we have

    def require_usable(self) -> None:
        """Check whether the lock could ever be taken; changes nothing.

        Raises:
            PermissionDeniedError: the lock file or the folder may not be written, or the file is not ours.
            StorageError: there is no such folder.
        """
        require_writable(self._store)
        require_own(self._lock_file)  # FileLock follows no link either; this says so in words
        if self._lock_file.exists() and not os.access(self._lock_file, os.R_OK | os.W_OK):
            raise PermissionDeniedError(f"{self._lock_file} may not be read and written by this user")

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            AnotherInstanceError: another process has it; names that process.
            PermissionDeniedError: the lock file may not be written, or is not ours.
        """
        self.require_usable()
        try:
            self._lock.acquire()
        except Timeout:
            raise AnotherInstanceError(f"another syncd ({self.holder()}) is already running for {self._store}") from None
        except PermissionError as error:
            raise PermissionDeniedError(f"{error.filename}: {error.strerror}") from error
        except OSError as error:
            raise StorageError(f"{self._lock.lock_file}: {error.strerror}") from error
        found = self._lock_file.stat()
        self._identity = found.st_dev, found.st_ino
        try:
            replace_own(self._pid_file, f"{os.getpid()}\n".encode(), 0o644)
        except OSError as error:
            raise StorageError(f"{self._pid_file}: {error.strerror}") from error

    def require_same(self) -> None:
        """Refuse to go on where the lock file is no longer the one that is locked: another syncd could start beside us.

        Raises:
            StorageError: it has gone, or another one is in its place.
        """
        try:
            found = self._lock_file.lstat()
        except OSError as error:
            raise StorageError(f"{self._lock_file} has gone while it was in use ({error.strerror})") from error
        if (found.st_dev, found.st_ino) != self._identity:
            raise StorageError(f"{self._lock_file} was replaced by another file: another syncd may have started")

    def holder(self) -> str:
        """The process that has the lock, as far as it can be told."""
        try:
            require_own(self._pid_file)
            return f"pid {int(self._pid_file.read_text(encoding='ascii'))}"
        except (PermissionDeniedError, OSError, ValueError):
            return "its pid is not known"

    def running_pid(self) -> int | None:
        """The daemon of this store, as far as it can be told without taking its lock; None where there is none."""
        try:
            require_own(self._pid_file)
            pid = int(self._pid_file.read_text(encoding="ascii"))
            return pid if Path(f"/proc/{pid}").exists() else None
        except (PermissionDeniedError, OSError, ValueError):
            return None

    def release(self) -> None:
        """Give the lock back."""
        with suppress(OSError, StorageError):
            self.require_same()  # otherwise the pid may be that of another syncd
            self._pid_file.unlink()
        self._lock.release()
