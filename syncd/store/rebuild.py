"""Migration steps that change what `ALTER TABLE` cannot, such as a primary key, build the table anew.

All that such a step's script has is

    CREATE TABLE [sync_rebuilt_prices] (…)

Once it has run, the rows are copied and the new table replaces the old one, with the columns, indexes and triggers
that the POS has added to it. Where a column has become NOT NULL, its default replaces NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.errors import ConfigurationError
from syncd.store.names import names_of

if TYPE_CHECKING:
    import sqlite3

REBUILT = "sync_rebuilt_"


def finish_rebuilds(connection: sqlite3.Connection) -> None:
    """Replace every old table by its rebuilt one; within the step's transaction.

    Raises:
        ConfigurationError: the POS has added something to the table that cannot be moved.
    """
    names, cursor = names_of(connection), connection.cursor()  # the file's names are known here, and what is the POS's stays as it is
    rebuilt = names.of(REBUILT)
    tables = cursor.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?", (len(rebuilt), rebuilt))
    for (name,) in tables.fetchall():
        _replace(cursor, names.of(name.removeprefix(rebuilt)), name)


def _replace(cursor: sqlite3.Cursor, old: str, new: str) -> None:
    added = cursor.execute(
        "SELECT sql FROM sqlite_schema WHERE lower(tbl_name) = lower(?) AND type IN ('index', 'trigger') AND sql IS NOT NULL", (old,)
    ).fetchall()
    _copy(cursor, old, new)
    cursor.execute(f'DROP TABLE "{old}"')
    # Without this, SQLite would check the POS's views and triggers, which name a table that is missing at the moment.
    (before,) = cursor.execute("PRAGMA legacy_alter_table").fetchone()
    cursor.execute("PRAGMA legacy_alter_table = ON")
    try:
        cursor.execute(f'ALTER TABLE "{new}" RENAME TO "{old}"')
    finally:
        cursor.execute("PRAGMA legacy_alter_table = ON" if before else "PRAGMA legacy_alter_table = OFF")
    for (sql,) in added:
        cursor.execute(sql)


def _copy(cursor: sqlite3.Cursor, old: str, new: str) -> None:
    xinfo = 'SELECT lower(name), name, type, "notnull", dflt_value, hidden FROM pragma_table_xinfo(?)'
    ours = {row[0]: row for row in cursor.execute(xinfo, (new,))}
    columns, values = [], []
    for key, name, kind, not_null, default, hidden in cursor.execute(xinfo, (old,)).fetchall():
        quoted = '"' + name.replace('"', '""') + '"'
        if key not in ours:
            if hidden:
                raise ConfigurationError(f"the table {old} has a generated column {name} of the POS's: drop it, it cannot be moved")
            constraint = (
                f" NOT NULL DEFAULT ({default})" if not_null and default is not None else f" DEFAULT ({default})" if default else ""
            )
            cursor.execute(f'ALTER TABLE "{new}" ADD COLUMN {quoted} {kind}{constraint}')
        becomes_not_null = key in ours and ours[key][3] and ours[key][4] is not None
        columns.append(quoted)
        values.append(f"coalesce({quoted}, {ours[key][4]})" if becomes_not_null else quoted)
    cursor.execute(f'INSERT INTO "{new}" ({", ".join(columns)}) SELECT {", ".join(values)} FROM "{old}"')  # noqa: S608 - quoted
