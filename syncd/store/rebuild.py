"""Migration steps that change what `ALTER TABLE` cannot, such as a primary key, build the table anew.

All that such a step's script has is

    CREATE TABLE IF NOT EXISTS [sync_rebuilt_prices] (…)

Once it has run, the rows are copied and the new table replaces the old one, with the columns, indexes and triggers
that the POS has added to it. Where a column has become NOT NULL, its default replaces NULL.

The rows of a long table are copied before the step, a few at a time, so that no till waits for them
(`store/rebuild_ahead.py`): triggers of ours on the old table keep its copy in step with it, and the step has only the
names to change. The old table is then called `sync_replaced_prices`, and is emptied in pieces (`store/retention.py`):
SQLite reads, and where it is built with secure_delete overwrites, every page of a table that is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.errors import ConfigurationError
from syncd.store.names import names_of, quoted

if TYPE_CHECKING:
    import sqlite3

REBUILT = "sync_rebuilt_"
REPLACED = "sync_replaced_"
FEW_ROWS = 1000  # a table that has no more is copied and dropped in the step itself
_XINFO = 'SELECT lower(name), name, type, "notnull", dflt_value, hidden FROM pragma_table_xinfo(?)'
_FOLLOWERS = ("after_insert", "after_update", "after_delete")


def finish_rebuilds(connection: sqlite3.Connection) -> None:
    """Replace every old table by its rebuilt one; within the step's transaction.

    Raises:
        ConfigurationError: the POS has added something to the table that cannot be moved.
    """
    names, cursor = names_of(connection), connection.cursor()  # the file's names are known here, and what is the POS's stays as it is
    rebuilt = names.of(REBUILT)
    tables = cursor.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?", (len(rebuilt), rebuilt))
    for (name,) in tables.fetchall():
        rest = name.removeprefix(rebuilt)
        _replace(cursor, names.of(rest), name, names.of(REPLACED) + rest)


def _replace(cursor: sqlite3.Cursor, old: str, new: str, replaced: str) -> None:
    follows = is_followed(cursor, old, new)
    for follower in _FOLLOWERS:
        cursor.execute(f'DROP TRIGGER IF EXISTS "{new}_{follower}"')
    if widen(cursor, old, new) or not follows:
        cursor.execute(f'DELETE FROM "{new}"')  # noqa: S608 - a name of ours
    copy(cursor, old, new)
    added = cursor.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE lower(tbl_name) = lower(?) AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        (old,),
    ).fetchall()
    # Without this, SQLite would check the POS's views and triggers, which name a table that is missing at the moment.
    (before,) = cursor.execute("PRAGMA legacy_alter_table").fetchone()
    cursor.execute("PRAGMA legacy_alter_table = ON")
    try:
        if is_long(cursor, old):
            for kind, name, _ in added:
                cursor.execute(f"DROP {kind.upper()} {quoted(name)}")
            cursor.execute(f'DROP TABLE IF EXISTS "{replaced}"')
            cursor.execute(f'ALTER TABLE "{old}" RENAME TO "{replaced}"')
        else:
            cursor.execute(f'DROP TABLE "{old}"')
        cursor.execute(f'ALTER TABLE "{new}" RENAME TO "{old}"')
    finally:
        cursor.execute("PRAGMA legacy_alter_table = ON" if before else "PRAGMA legacy_alter_table = OFF")
    for _, _, sql in added:
        cursor.execute(sql)


def is_long(cursor: sqlite3.Cursor, name: str) -> bool:
    """Whether it has more than `FEW_ROWS`."""
    return cursor.execute(f'SELECT 1 FROM "{name}" LIMIT 1 OFFSET {FEW_ROWS}').fetchone() is not None  # noqa: S608 - a name of ours


def widen(cursor: sqlite3.Cursor, old: str, new: str) -> bool:
    """Give the new table the columns that the POS has added to the old one; returns whether there were any.

    Raises:
        ConfigurationError: one of them is generated.
    """
    ours = {row[0] for row in cursor.execute(_XINFO, (new,))}
    added = [row for row in cursor.execute(_XINFO, (old,)).fetchall() if row[0] not in ours]
    for _, name, kind, not_null, default, hidden in added:
        if hidden:
            raise ConfigurationError(f"the table {old} has a generated column {name} of the POS's: drop it, it cannot be moved")
        constraint = f" NOT NULL DEFAULT ({default})" if not_null and default is not None else f" DEFAULT ({default})" if default else ""
        cursor.execute(f'ALTER TABLE "{new}" ADD COLUMN {quoted(name)} {kind}{constraint}')
    return bool(added)


def copy(cursor: sqlite3.Cursor, old: str, new: str, limit: int = -1) -> int:
    """Copy the next rows behind those that are copied, in the order of their rowids; returns how many they are."""
    columns, values = _columns(cursor, old, new)
    behind = f'(SELECT coalesce(max(rowid), -9223372036854775808) FROM "{new}")'  # noqa: S608 - a name of ours
    return cursor.execute(
        f'INSERT INTO "{new}" ({columns}) SELECT {values} FROM "{old}" WHERE rowid > {behind} ORDER BY rowid LIMIT ?',  # noqa: S608
        (limit,),
    ).rowcount


def follow(cursor: sqlite3.Cursor, old: str, new: str) -> None:
    """From now on, whatever anybody writes into the old table goes into its copy, as far as that has come."""
    columns, values = _columns(cursor, old, new)
    keys = cursor.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (old,)).fetchall()
    same_key = " AND ".join(f"{quoted(key)} = NEW.{quoted(key)}" for (key,) in keys)
    leave = f'DELETE FROM "{new}" WHERE rowid = OLD.rowid;'  # noqa: S608 - names of ours
    enter = (
        f'DELETE FROM "{new}" WHERE {same_key}; '  # noqa: S608 - what a REPLACE has deleted fires no trigger
        f'INSERT INTO "{new}" ({columns}) SELECT {values} FROM "{old}" '
        f'WHERE rowid = NEW.rowid AND rowid <= (SELECT max(rowid) FROM "{new}");'
    )
    for follower, body in zip(_FOLLOWERS, (enter, f"{leave} {enter}", leave), strict=True):
        event = follower.replace("_", " ").upper()
        cursor.execute(f'CREATE TRIGGER "{new}_{follower}" {event} ON "{old}" BEGIN {body} END')


def is_followed(cursor: sqlite3.Cursor, old: str, new: str) -> bool:
    """Whether the copy is in step: a POS that has rebuilt the old table has dropped our triggers with it."""
    names = [f"{new}_{follower}" for follower in _FOLLOWERS]
    found = cursor.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?) AND name IN (?, ?, ?)", (old, *names)
    )
    return bool(found.fetchone()[0] == len(names))


def _columns(cursor: sqlite3.Cursor, old: str, new: str) -> tuple[str, str]:
    """The columns of the copy, and what the old table has for them. The rowid is one, where no column has it already."""
    ours = {row[0]: row for row in cursor.execute(_XINFO, (new,))}
    has_rowid = cursor.execute(
        "SELECT count(*) = 1 AND max(upper(type)) = 'INTEGER' FROM pragma_table_info(?) WHERE pk", (new,)
    ).fetchone()[0]
    columns, values = ([], []) if has_rowid else (["rowid"], ["rowid"])
    for key, name, *_ in cursor.execute(_XINFO, (old,)).fetchall():
        becomes_not_null = key in ours and ours[key][3] and ours[key][4] is not None
        columns.append(quoted(name))
        values.append(f"coalesce({quoted(name)}, {ours[key][4]})" if becomes_not_null else quoted(name))
    return ", ".join(columns), ", ".join(values)
