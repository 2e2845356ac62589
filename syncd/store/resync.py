"""Requests to fetch kinds from the beginning. A running daemon sees them within seconds, others at their start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.database import BUSY_TIMEOUT_SECONDS
from syncd.store.migrate import require_current
from syncd.store.permissions import require_writable
from syncd.store.sqlite_errors import translate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path


def request_full_pull(path: Path, types: Sequence[str], now: datetime) -> None:
    """Request these kinds; all where none is named.

    Args:
        path: the store's database.

    Raises:
        ConfigurationError: it is older or newer than this program.
        StorageError: there is no such database, or it cannot be used.
        PermissionDeniedError: it may not be written.
    """
    require_writable(path)
    if not path.exists():
        raise StorageError(f"{path}: there is no such database; `syncd run` makes it")
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            require_current(connection, path, "store")
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO sync_resync (entity_type, requested_at) VALUES (?, ?)", [(name, iso_ms(now)) for name in types or ("",)]
            )
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translate(error, path) from error
