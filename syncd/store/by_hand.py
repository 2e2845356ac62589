"""A database that a person's command opens for a short time, beside a daemon that may be running."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.database import BUSY_TIMEOUT_SECONDS
from syncd.store.migrate import require_current
from syncd.store.names import connect
from syncd.store.permissions import require_own_database, require_writable
from syncd.store.sqlite_errors import translate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncd.store.names import Names

OURS = "journal"
"""The component whose file is syncd's own; all others are in the till's, inside whose lock nothing waits for the disk."""


@contextmanager
def opened_by_hand(path: Path, component: str, names: Names) -> Iterator[sqlite3.Connection]:
    """A connection whose tables of this component are this program's.

    Raises:
        StorageError: there is no such database, or it cannot be used.
        ConfigurationError: it is older or newer than this program.
        PermissionDeniedError: it may not be written, or is not ours where it should be.
    """
    if component == OURS:
        require_own_database(path)
    require_writable(path)
    if not path.exists():
        raise StorageError(f"{path}: there is no such database; `syncd run` makes it")
    try:
        with closing(connect(path, names, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
            # A text that is no UTF-8 may be the very reason for the trouble: it is shown, and so is all else.
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            if component != OURS:
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
            require_current(connection, path, component)
            yield connection
    except sqlite3.Error as error:
        raise translate(error, path) from error
