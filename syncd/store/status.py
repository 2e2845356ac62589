"""What is known about the store's files: their section of the status file, from which its health follows, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.document import INTERNAL, TEXT

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class DatabaseStatus:
    """The file of the store that has most to tell.

    Attributes:
        write_lock_held_since: since when another process has kept a write lock from us; None where that is not worth telling.
        write_lock_holder: the process, as `name (pid 123)`, where it can be told.
        write_lock_held_seconds: for how long.
        write_lock_file: of which file.
        wal_bytes: size of the largest write-ahead log.
        wal_large_since: since when more of it has been in use than is good.
        wal_readers: the processes that keep it so, where they can be told.
        error: why a database cannot be used at the moment.
        error_code: which kind of trouble that is; see `sqlite_errors.kind_of`.
    """

    write_lock_held_since: datetime | None = None
    write_lock_holder: str | None = field(default=None, metadata=TEXT)
    wal_bytes: int = 0
    wal_large_since: datetime | None = None
    write_lock_held_seconds: float = field(default=0.0, metadata=INTERNAL)
    write_lock_file: str | None = field(default=None, metadata=INTERNAL)
    wal_file: str | None = field(default=None, metadata=INTERNAL)
    wal_readers: list[str] = field(default_factory=list, metadata=INTERNAL)
    error: str | None = field(default=None, metadata=INTERNAL)
    error_code: str = field(default="database_unusable", metadata=INTERNAL)
