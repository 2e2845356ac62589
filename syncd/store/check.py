"""Looks at a store's files without changing them: what `syncd check` says of the database."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.migrate import plan
from syncd.store.outbox_ids import ids_used_up
from syncd.store.permissions import require_own_database, require_writable
from syncd.store.sqlite_errors import translate

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.config.settings import Settings


def inspect(settings: Settings) -> str:
    """What there is, in plain words.

    Raises:
        ConfigurationError: a file is newer than this program, or has tables of another make; all that `syncd run` would refuse.
        PermissionDeniedError: a file or its folder may not be written.
        StorageError: a file is damaged, or no database.
    """
    paths = settings.database
    found = [_file(paths.path, ("outbox", "store") if paths.outbox_path == paths.path else ("store",), "the store's database")]
    if paths.outbox_path != paths.path:
        found.append(_file(paths.outbox_path, ("outbox",), "the outbox"))
    require_own_database(paths.state_path)
    found.append(_file(paths.state_path, ("journal",), "syncd's own file"))
    return "; ".join(found)


def _file(path: Path, components: tuple[str, ...], name: str) -> str:
    require_writable(path)
    if not path.exists():
        return f"{name} is not there yet: `syncd run` makes it"
    try:
        connection = open_read_only(path)
        try:
            trouble = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if trouble != "ok":
                raise StorageError(f"{path} is damaged: {trouble}")
            plans = {component: plan(connection, path, component) for component in components}
            waiting = None
            if "outbox" in plans:
                if used_up := ids_used_up(connection, path):
                    raise StorageError(used_up)
                waiting = _pending(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error
    if not all(plan.recorded for plan in plans.values()):
        return f"{name} can be used; `syncd run` adds its tables"
    return f"{name} can be used" + (f", {waiting:,} rows marked pending in it" if waiting is not None else "")


def _pending(connection: sqlite3.Connection) -> int | None:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = 'sync_outbox'").fetchone():
        return None
    return int(connection.execute("SELECT count(*) FROM sync_outbox WHERE status = 'pending'").fetchone()[0])


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that can change nothing.

    Raises:
        sqlite3.Error: the file is no database, or cannot be opened.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
