"""Tells SQLite's errors apart, by their codes and never by their words: the database's, or one statement's."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path

from syncd.errors import StatementError, StorageBusy, StorageDamaged, StorageError

LEAST_FREE_BYTES = 64 * 1024  # a log's index alone takes 32 KiB
_LOCK = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DISK = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}  # fmt: skip

_NOT_WRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, errno.EACCES, errno.EROFS}


def primary_code(error: sqlite3.Error) -> int | None:
    """The code without its extension (`SQLITE_IOERR` for `SQLITE_IOERR_WRITE`); None for errors of the driver's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_locked(error: sqlite3.Error) -> bool:
    """Another connection has the lock that this needs."""
    return primary_code(error) in _LOCK


def is_of_the_database(error: sqlite3.Error) -> bool:
    """It is the lock, the disk or the file: worth trying again. All other errors are about this one statement.

    So is a damaged virtual table (`SQLITE_CORRUPT_VTAB`, for example a POS's search index): the file itself is in
    order.
    """
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT_VTAB:
        return False
    return primary_code(error) in _LOCK | _DAMAGE | _DISK


def translate(error: sqlite3.Error, path: Path | str) -> StorageError:
    """SQLite's error in words that name the file.

    Returns:
        A `StorageBusy` for a lock that did not come free, a `StorageDamaged` for a file that is no database or a broken
        one, a `StatementError` where the database is in order, a plain `StorageError` for trouble with the disk.
    """
    if not is_of_the_database(error):
        return StatementError(f"{path}: {error}", path=path)
    if is_locked(error):
        return StorageBusy(f"{path}: the database is locked by another process ({error})", path=path)
    kind = StorageDamaged if primary_code(error) in _DAMAGE else StorageError
    return kind(f"{path}: {error}{_no_room(error, path)}", path=path)


def _no_room(error: sqlite3.Error, path: Path | str) -> str:
    """SQLite calls it an I/O error where there is no room for the files that it needs beside the database, even to read."""
    if primary_code(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return ""
    try:
        free = shutil.disk_usage(Path(path).parent).free
    except OSError:
        return ""
    return " (there is no room left on the disk)" if free < LEAST_FREE_BYTES else ""


def kind_of(error: StorageError) -> str:
    """What kind of trouble it is, for whoever is to mend it: `database_full`, `…_not_writable`, `…_damaged` or `…_unusable`."""
    if isinstance(error, StorageDamaged):
        return "database_damaged"
    cause = error.__cause__
    code = primary_code(cause) if isinstance(cause, sqlite3.Error) else cause.errno if isinstance(cause, OSError) else None
    if code in (sqlite3.SQLITE_FULL, errno.ENOSPC, errno.EDQUOT):
        return "database_full"
    return "database_not_writable" if code in _NOT_WRITABLE else "database_unusable"
