"""Migration steps that change what `ALTER TABLE` cannot, such as a primary key, build the table anew.

All that such a step's script has is

    CREATE TABLE sync_rebuilt_prices (…)

Once it has run, the rows are copied and the new table replaces the old one, with the columns, indexes and triggers
that the POS has added to it. Where a column has become NOT NULL, its default replaces NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3

PREFIX = "sync_rebuilt_"


def finish_rebuilds(connection: sqlite3.Connection) -> None:
    """Replace every old table by its rebuilt one; within the step's transaction.

    Raises:
        ConfigurationError: the POS has added something to the table that cannot be moved.
    """
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?", (len(PREFIX), PREFIX))
    for (name,) in names.fetchall():
        _replace(connection, name.removeprefix(PREFIX), name)


def _replace(connection: sqlite3.Connection, old: str, new: str) -> None:
    added = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE lower(tbl_name) = lower(?) AND type IN ('index', 'trigger') AND sql IS NOT NULL", (old,)
    ).fetchall()
    _copy(connection, old, new)
    connection.execute(f'DROP TABLE "{old}"')
    # Without this, SQLite would check the POS's views and triggers, which name a table that is missing at the moment.
    (before,) = connection.execute("PRAGMA legacy_alter_table").fetchone()
    connection.execute("PRAGMA legacy_alter_table = ON")
    try:
        connection.execute(f'ALTER TABLE "{new}" RENAME TO "{old}"')
    finally:
        connection.execute("PRAGMA legacy_alter_table = ON" if before else "PRAGMA legacy_alter_table = OFF")
    for (sql,) in added:
        connection.execute(sql)


def _copy(connection: sqlite3.Connection, old: str, new: str) -> None:
    xinfo = 'SELECT lower(name), name, type, "notnull", dflt_value, hidden FROM pragma_table_xinfo(?)'
    ours = {row[0]: row for row in connection.execute(xinfo, (new,))}
    columns, values = [], []
    for key, name, kind, not_null, default, hidden in connection.execute(xinfo, (old,)).fetchall():
        quoted = '"' + name.replace('"', '""') + '"'
        if key not in ours:
            if hidden:
                raise ConfigurationError(f"the table {old} has a generated column {name} of the POS's: drop it, it cannot be moved")
            constraint = (
                f" NOT NULL DEFAULT ({default})" if not_null and default is not None else f" DEFAULT ({default})" if default else ""
            )
            connection.execute(f'ALTER TABLE "{new}" ADD COLUMN {quoted} {kind}{constraint}')
        becomes_not_null = key in ours and ours[key][3] and ours[key][4] is not None
        columns.append(quoted)
        values.append(f"coalesce({quoted}, {ours[key][4]})" if becomes_not_null else quoted)
    connection.execute(f'INSERT INTO "{new}" ({", ".join(columns)}) SELECT {", ".join(values)} FROM "{old}"')  # noqa: S608 - quoted
