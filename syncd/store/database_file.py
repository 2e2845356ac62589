"""What all our connections to a file share: its write lock, its log, and whether it is still the same file.

A till's transaction may well last some seconds, and that is no trouble of the database. What counts is for how long one
of our connections has been waiting for the lock, whichever it is; the first write of ours that is committed, on any of
them, ends that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.lock_holders import LockHolders

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from syncd.clock import Clock

WORTH_TELLING_SECONDS = 1.0  # a lock that is held for less is a till's ordinary transaction


@dataclass(slots=True)
class DatabaseFile:
    """What is known of it.

    Attributes:
        path: the file itself, not a link to it.
        writes: transactions of ours that were committed.
        lock_wanted_at: monotonic; since when a write of ours has been waiting, over all its attempts; else
            None.
        wal_bytes: size of the `-wal` file when it was last looked at.
        wal_large_since: since when too much of the log has been in use.
        wal_readers: the processes whose read transactions are the reason, where they can be told.
        lock_holders: tells who has its locks; to be closed after the last connection.
    """

    path: Path
    clock: Clock
    writes: int = 0
    lock_wanted_at: float | None = None
    wal_bytes: int = 0
    wal_large_since: datetime | None = None
    wal_readers: list[str] = field(default_factory=list)
    lock_holders: LockHolders = field(init=False, repr=False)
    _identity: dict[Path, tuple[int, int]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.lock_holders = LockHolders(self.shm_path)

    @classmethod
    def at(cls, path: Path, clock: Clock) -> DatabaseFile:
        """The file that this path leads to, over links."""
        return cls(path.resolve(), clock)

    # These four are called on the connections' threads too; each is a single assignment.
    def lock_wanted(self) -> None:
        """A write of ours begins to wait."""
        if self.lock_wanted_at is None:
            self.lock_wanted_at = self.clock.monotonic()

    def lock_taken(self) -> None:
        """A write of ours has the lock, or could have had it."""
        self.lock_wanted_at = None

    def lock_refused(self, since: float) -> None:
        """A lock did not come free within the busy timeout, which began then."""
        if self.lock_wanted_at is None:
            self.lock_wanted_at = since

    def written(self) -> None:
        """A transaction of ours was committed."""
        self.writes += 1

    def lock_held_seconds(self) -> float:
        """For how long somebody else has kept the lock from us; 0 where that is not worth telling."""
        wanted_at = self.lock_wanted_at
        seconds = 0.0 if wanted_at is None else self.clock.monotonic() - wanted_at
        return seconds if seconds >= WORTH_TELLING_SECONDS else 0.0

    @property
    def wal_path(self) -> Path:
        """The write-ahead log."""
        return self.path.with_name(f"{self.path.name}-wal")

    @property
    def shm_path(self) -> Path:
        """The log's index, on whose bytes SQLite's locks lie."""
        return self.path.with_name(f"{self.path.name}-shm")

    def require_same(self) -> None:
        """Refuse to go on where the file, or its log, is not the one that was opened: what we write would go nowhere.

        Raises:
            StorageError: it has gone, or another one is in its place.
        """
        for path in (self.path, self.wal_path):
            try:
                stat = path.stat()
            except OSError as error:
                if path not in self._identity and path != self.path:
                    continue  # there was no log yet
                raise StorageError(f"{path} has gone while it was in use ({error.strerror})", path=self.path) from error
            found = (stat.st_dev, stat.st_ino)
            if self._identity.setdefault(path, found) != found:
                raise StorageError(f"{path} was replaced by another file; starting anew with that one", path=self.path)
