"""What `syncd check` says of a store's files; changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from syncd.errors import StorageError, SyncdError
from syncd.store.catalog import OWN_KINDS, catalog_of
from syncd.store.declared import require_possible
from syncd.store.lock import StoreLock
from syncd.store.migrate import plan
from syncd.store.names import UNPREFIXED, connect, has_table, names_in
from syncd.store.outbox_ids import ids_used_up
from syncd.store.permissions import require_own_database, require_writable
from syncd.store.quick_check import quick_check
from syncd.store.sqlite_errors import translate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncd.config.settings import Settings
    from syncd.store.catalog import Catalog
    from syncd.store.migrate import Plan
    from syncd.store.names import Names

T = TypeVar("T")

WAL_FLAG_AT, WAL_FLAG = 18, b"\x02"  # the file format's write version: https://www.sqlite.org/fileformat2.html


def inspect(settings: Settings) -> str:
    """What there is, in plain words.

    Raises:
        ConfigurationError: a file that `syncd run` would refuse, too: newer than this program, or of another make.
        PermissionDeniedError: a file or its folder may not be written.
        StorageError: a file is damaged, or no database.
    """
    paths = settings.database
    StoreLock(paths.outbox_path).require_usable()
    components = ("outbox", "store") if paths.outbox_path == paths.path else ("store",)
    names = names_in(paths)
    found = [_file(paths.path, components, names, "the store's database", catalog_of(settings.entities))]
    if paths.outbox_path != paths.path:
        found.append(_file(paths.outbox_path, ("outbox",), names, "the outbox"))
    require_own_database(paths.state_path)
    found.append(_file(paths.state_path, ("journal",), UNPREFIXED, "syncd's own file"))
    return "; ".join(found)


def _file(path: Path, components: tuple[str, ...], names: Names, what: str, catalog: Catalog = OWN_KINDS) -> str:
    require_writable(path)
    if not path.exists():
        return f"{what} is not there yet: `syncd run` makes it"
    try:
        plans, waiting = read_without_a_trace(path, names, lambda connection: _look(connection, path, components, catalog))
    except sqlite3.Error as error:
        raise translate(error, path) from error
    if not all(plan.recorded for plan in plans.values()):
        return f"{what} can be used; `syncd run` adds its tables"
    return f"{what} can be used" + (f", {waiting:,} rows marked pending in it" if waiting is not None else "")


def _look(connection: sqlite3.Connection, path: Path, components: tuple[str, ...], catalog: Catalog) -> tuple[dict[str, Plan], int | None]:
    if trouble := quick_check(connection):
        raise StorageError(f"{path} is damaged: {trouble[0]}")
    plans = {component: plan(connection, path, component) for component in components}
    if "store" in components:
        require_possible(connection, path, catalog)
    if "outbox" not in plans:
        return plans, None
    if used_up := ids_used_up(connection, path):
        raise StorageError(used_up)
    return plans, _pending(connection)


def _pending(connection: sqlite3.Connection) -> int | None:
    if not has_table(connection, "sync_outbox"):
        return None
    return int(connection.execute("SELECT count(*) FROM [sync_outbox] WHERE status = 'pending'").fetchone()[0])


def read_without_a_trace(path: Path, names: Names, read: Callable[[sqlite3.Connection], T]) -> T:
    """Read a file, and leave no file beside it that was not there.

    A database in WAL mode that nobody has open has no `-wal` file, and even a read-only connection would leave one
    behind. With `immutable` SQLite reads the database without one; where there is one afterwards, somebody has opened
    it meanwhile, and it is read again.

    Raises:
        sqlite3.Error: the file is no database, or cannot be opened.
    """
    real = path.resolve()
    log = real.with_name(f"{real.name}-wal")
    nobody_has_it = is_wal(path) and not log.exists()
    try:
        return _read_only(path, names, read, immutable=nobody_has_it)
    except (sqlite3.Error, SyncdError):
        if not (nobody_has_it and log.exists()):
            raise
    return _read_only(path, names, read, immutable=False)


def _read_only(path: Path, names: Names, read: Callable[[sqlite3.Connection], T], *, immutable: bool) -> T:
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    with closing(connect(address, names, uri=True, isolation_level=None)) as connection:
        return read(connection)


def is_wal(path: Path) -> bool:
    """Whether the file is in WAL mode, as its header says; a connection that is read-only may say something else."""
    with path.open("rb") as file:
        return file.read(WAL_FLAG_AT + 1)[WAL_FLAG_AT:] == WAL_FLAG
