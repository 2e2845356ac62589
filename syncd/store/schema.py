"""What a component's migrations end in, and how a file differs from it.

There is no list of columns to keep: the scripts run into a database in memory, and SQLite is asked what came of them. A
file is compared with that, so that a column which a later step adds is not asked for before that step, and an index
which it drops stays dropped.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from syncd.store.names import connect, names_of, quoted
from syncd.store.rebuild import finish_rebuilds

if TYPE_CHECKING:
    from syncd.store.names import Names

RECORD = """
CREATE TABLE IF NOT EXISTS [sync_schema] (
    component  TEXT NOT NULL,
    version    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    PRIMARY KEY (component, version)
)
"""
"""Which migrations a file has had; every file has this table."""

WRITTEN_BY_THE_POS = "sync_outbox"
MAY_BE_NULL = frozenset(("created_at", "attempts"))
"""Columns of that table that may lack NOT NULL where a POS made the table: we can read a NULL there."""
_INDEX = re.compile(r"^CREATE INDEX IF NOT EXISTS \w+ ON (\w+)", re.ASCII | re.MULTILINE)
_ORDER = ("table", "index", "view", "trigger")  # an index needs its table


class Column(NamedTuple):
    """A column as `PRAGMA table_xinfo` tells it.

    Attributes:
        key: its place in the primary key, from 1; 0 outside.
        hidden: 0 for one that can be written; others are generated.
    """

    name: str
    type: str
    not_null: int
    key: int
    hidden: int


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """A table, index, view or trigger.

    Attributes:
        table: the table that an index or a trigger belongs to; else its own name.
        sql: the statement that makes it.
        rows: what the scripts put into a table.
        has_rowid: a table without one (`WITHOUT ROWID`) cannot be read page by page.
    """

    kind: str
    name: str
    table: str
    sql: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    has_rowid: bool = True


Schema = dict[str, SchemaObject]
"""By name in lower case, as SQLite compares names."""


@dataclass(slots=True)
class Difference:
    """How a file differs from a schema.

    Attributes:
        missing: what is not there, in the order in which it can be made.
        stale: indexes and triggers that go by a name of ours and say something else; they hold no data.
        foreign: in words, what of another make stands in our way.
    """

    missing: list[SchemaObject] = field(default_factory=list)
    stale: list[SchemaObject] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def mendable(self) -> bool:
        """There is something to make."""
        return bool(self.missing or self.stale)


def statements(script: str) -> list[str]:
    """Split a script at the semicolons that end its statements (sqlite3's executescript would commit first)."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current.strip())
            current = ""
    return found


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run a step's script, within the caller's transaction; indexes of a table that has rows are left to `mend`.

    Raises:
        ConfigurationError: see `finish_rebuilds`.
    """
    for statement in statements(script):
        index = _INDEX.search(statement)
        if index is None or not _has_rows(connection, index[1]):
            connection.execute(statement)
    finish_rebuilds(connection)


@cache
def schema_of(scripts: tuple[str, ...], names: Names) -> Schema:
    """What these scripts make, run one after the other."""
    connection = connect(":memory:", names)
    try:
        connection.execute(names.script(RECORD))
        for script in scripts:
            run_script(connection, script)
        return _read(connection, with_rows=True)
    finally:
        connection.close()


def empty_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A database in memory with the file's tables, indexes, views and triggers, and none of its rows; close it."""
    copy = connect(":memory:", names_of(connection), isolation_level=None)
    found = connection.execute("SELECT type, sql FROM main.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite^_%' ESCAPE '^'")
    for _, sql in sorted(found.fetchall(), key=lambda row: _ORDER.index(row[0])):
        with suppress(sqlite3.Error):  # what needs an extension, or belongs to a virtual table, is not ours
            copy.cursor().execute(sql)
    return copy


def difference(connection: sqlite3.Connection, wanted: Schema) -> Difference:
    """Compare a file with a schema; what else the file has does not matter."""
    found, result = _read(connection, wanted), Difference()
    for name, ours in wanted.items():
        theirs = found.get(name)
        if theirs is None:
            result.missing.append(ours)
        elif (theirs.kind, theirs.table.lower()) != (ours.kind, ours.table.lower()):
            owner = f" on {theirs.table}" if theirs.kind in ("index", "trigger") else ""
            result.foreign.append(
                f"there is {_article(theirs.kind)} {theirs.name}{owner} already, where syncd's {ours.kind} of that name goes"
            )
        elif ours.kind == "table" and (lacks := _lacks(ours, theirs, names_of(connection))):
            result.foreign.append(f"there is a table {theirs.name} already, and it has {'; '.join(lacks)}")
        elif ours.kind in ("index", "trigger") and _words(theirs.sql) != _words(ours.sql):
            result.stale.append(theirs)
            result.missing.append(ours)
    result.missing.sort(key=lambda item: _ORDER.index(item.kind))
    return result


def is_ours(connection: sqlite3.Connection, table: SchemaObject) -> bool:
    """Whether the file has this table, with all that we need of it."""
    theirs = _read(connection, {table.name.lower(): table}).get(table.name.lower())
    return theirs is not None and theirs.kind == "table" and not _lacks(table, theirs, names_of(connection))


def mend(connection: sqlite3.Connection, found: Difference) -> int:
    """Make what is missing; within the caller's transaction.

    Returns:
        How many indexes of tables that have rows there are in it. Only the first of them is made, since each takes 50 ms per 100,000 rows.
    """
    for stale in found.stale:
        connection.execute(f"DROP {stale.kind.upper()} {quoted(stale.name)}")
    slow = [item for item in found.missing if item.kind == "index" and _has_rows(connection, item.table)]
    for item in found.missing:
        if item in slow[1:]:
            continue
        connection.execute(item.sql)
        for row in item.rows:
            marks = ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO {quoted(item.name)} VALUES ({marks})", row)  # noqa: S608 - a name of our own scripts
    return len(slow)


def _has_rows(connection: sqlite3.Connection, table: str) -> bool:
    try:
        return connection.cursor().execute(f"SELECT 1 FROM {quoted(table)} LIMIT 1").fetchone() is not None  # noqa: S608 - quoted
    except sqlite3.OperationalError:  # there is no such table yet
        return False


def _read(connection: sqlite3.Connection, only: Schema | None = None, *, with_rows: bool = False) -> Schema:
    schema: Schema = {}
    for kind, name, table, sql in connection.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL"
    ).fetchall():
        if name.startswith("sqlite_") or (only is not None and name.lower() not in only):
            continue
        columns: tuple[Column, ...] = ()
        rows: tuple[tuple[object, ...], ...] = ()
        has_rowid = True
        if kind == "table":
            has_rowid = _has_rowid(connection, name)
            query = "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?, 'main')"
            columns = tuple(Column(*row) for row in connection.execute(query, (name,)))
            if with_rows:
                rows = tuple(connection.execute(f"SELECT * FROM {quoted(name)}"))  # noqa: S608 - a name of our own scripts
        schema[name.lower()] = SchemaObject(kind, name, table, sql, columns, rows, has_rowid)
    return schema


def _has_rowid(connection: sqlite3.Connection, table: str) -> bool:
    """Only where a table has no rowid is its primary key an index that `sqlite_schema` does not have."""
    query = """
    SELECT 1 FROM pragma_index_list(?) AS i WHERE i.origin = 'pk' AND NOT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = i.name)
    """
    return connection.execute(query, (table,)).fetchone() is None


def _lacks(ours: SchemaObject, theirs: SchemaObject, names: Names) -> list[str]:
    """What we need of a table, whoever made it, and it has not: columns, key and, where the POS writes, NOT NULL."""
    present = {column.name.lower(): column for column in theirs.columns}
    missing = sorted(column.name for column in ours.columns if column.name not in present)
    lacks = [f"no column {', '.join(missing)}"] if missing else []
    pairs = [(column, present[column.name]) for column in ours.columns if column.name in present]
    if generated := [column.name for column, other in pairs if other.hidden and not column.hidden]:
        lacks.append(f"a generated column {', '.join(generated)}")
    if ours.name == names.of(WRITTEN_BY_THE_POS):
        nullable = sorted(
            column.name for column, other in pairs if column.not_null and not other.not_null and column.name not in MAY_BE_NULL
        )
        lacks += [f"no NOT NULL on {', '.join(nullable)}"] if nullable else []
    if ours.has_rowid and not theirs.has_rowid:
        lacks.append("no rowid (it was made WITHOUT ROWID)")
    key = _key(ours)
    if _rowid_alias(ours) and not _rowid_alias(theirs, key[0]):
        lacks.append(f"no {key[0]} INTEGER PRIMARY KEY")
    elif key != _key(theirs):
        lacks.append(f"no PRIMARY KEY ({', '.join(key)})")
    return lacks


def _key(table: SchemaObject) -> list[str]:
    return [column.name.lower() for column in sorted(table.columns, key=lambda column: column.key) if column.key]


def _rowid_alias(table: SchemaObject, name: str | None = None) -> bool:
    keys = [column for column in table.columns if column.key]
    return len(keys) == 1 and keys[0].type.upper() == "INTEGER" and name in (None, keys[0].name.lower())


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "index" else f"a {kind}"


def _words(sql: str) -> list[str]:
    return sql.split()
