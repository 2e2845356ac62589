"""The tables of kinds that the configuration declares: made, and widened when a declaration has changed; never narrowed.

What a kind has been declared as is recorded in `sync_entity_types`, since SQLite itself could not tell a decimal from a
time. A change that would alter what the store has already (another type, another key, another table) is refused before
anything is touched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncd.errors import ConfigurationError
from syncd.store.catalog import Catalog
from syncd.store.change_seq import go_on_above, gone_back
from syncd.store.migrate import newest_schema
from syncd.store.names import has_table, names_of
from syncd.store.rebuild import REBUILT, REPLACED
from syncd.store.schema import Difference, Schema, difference, mend, schema_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from syncd.store.database import Database
    from syncd.store.entity_type import EntityType
    from syncd.store.names import Names

SQL_TYPES = {
    "identifier": "", "version": "", "text": " TEXT", "integer": " INTEGER", "decimal": " TEXT", "boolean": " INTEGER", "time": " TEXT",
    "json": " TEXT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """A row of `sync_entity_types`.

    Attributes:
        columns: the types of all fields that were ever declared, by column.
        indexes: the names of those that were declared last.
        unfilled: columns whose values may still be in `extra` of some rows.
    """

    name: str
    table: str
    keys: list[str]
    columns: dict[str, str]
    indexes: list[str]
    unfilled: list[str]


def declared_schema(catalog: Catalog, names: Names) -> Schema:
    """The tables of the chain's own kinds, and their indexes."""
    schema = dict(schema_of(tuple(_script(kind, names) for kind in catalog.declared), names))
    schema.pop(names.of("sync_schema"))
    return schema


def _script(kind: EntityType, names: Names) -> str:
    columns = []
    for field in kind.fields:
        if field.column == "is_deleted":
            columns.append("is_deleted INTEGER NOT NULL DEFAULT 0")
        else:
            columns.append(f'"{field.column}"{SQL_TYPES[field.kind]}{" NOT NULL" if field.column in kind.keys else ""}')
    columns += ["extra TEXT", "applied_at TEXT", "change_seq INTEGER NOT NULL DEFAULT 0", f"PRIMARY KEY ({_names(kind.keys)})"]
    name = names.of(kind.table)
    table = f'CREATE TABLE IF NOT EXISTS "{name}" (\n' + ",\n".join(f"    {column}" for column in columns) + "\n);\n"
    indexes = [f'CREATE INDEX IF NOT EXISTS "{index}" ON "{name}" ({_names(of)});\n' for index, of in _indexes(kind, names).items()]
    return table + "".join(indexes)


def _indexes(kind: EntityType, names: Names) -> dict[str, tuple[str, ...]]:
    """By their names; the one that every kind has first."""
    found = {"change": ("change_seq",)} | {"_".join(index): index for index in kind.indexes}
    return {names.of(f"sync_{kind.table}_by_{what}"): index for what, index in found.items()}


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def read_records(connection: sqlite3.Connection) -> dict[str, Record]:
    """What has been declared so far, by name in lower case."""
    if not has_table(connection, "sync_entity_types"):
        return {}
    rows = connection.execute("SELECT entity_type, table_name, key_columns, columns, indexes, unfilled FROM [sync_entity_types]")
    return {name.lower(): Record(name, table, *map(json.loads, parts)) for name, table, *parts in rows.fetchall()}


def require_possible(connection: sqlite3.Connection, path: object, catalog: Catalog) -> None:
    """Refuse what cannot be made of this file; only reads.

    Raises:
        ConfigurationError: names every declaration that cannot be, and why.
    """
    records = read_records(connection)
    problems = list(_names_taken(catalog, names_of(connection)))
    problems = problems or [problem for kind in catalog.declared for problem in _problems(connection, kind, records)]
    if problems:
        head = f"{path}: what [entities] declares cannot be made of it, and nothing was changed:"
        raise ConfigurationError("\n  - ".join([head, *problems]))


def _names_taken(catalog: Catalog, names: Names) -> Iterator[str]:
    """With a prefix a kind's table may have the name of something of syncd's own; without one those begin with sync_."""
    if not names.prefix:
        return
    ours = newest_schema("outbox", names).keys() | newest_schema("store", names).keys()
    ours |= {index.lower() for kind in catalog.declared for index in _indexes(kind, names)}
    for kind in catalog.declared:
        name = names.of(kind.table)
        if name.lower() in ours or name.lower().startswith((names.of(REBUILT), names.of(REPLACED))):
            yield f"entities.{kind.name}.table: {name} is a name of syncd's own; choose another `table`"


def _problems(connection: sqlite3.Connection, kind: EntityType, records: dict[str, Record]) -> list[str]:
    place, record, names = f"entities.{kind.name}", records.get(kind.name.lower()), names_of(connection)
    if record is None:
        owner = next((other.name for other in records.values() if other.table.lower() == kind.table.lower()), None)
        if owner is not None:
            return [f"{place}.table: the table {names.of(kind.table)} is that of {owner}; choose another `table`"]
        found = difference(connection, {name: item for name, item in _schema(kind, names).items() if item.kind == "table"})
        return [f"{place}.table: {words}; choose another `table`" for words in found.foreign]
    if record.table.lower() != kind.table.lower():
        return [f"{place}.table = {kind.table!r}: its rows are in the table {names.of(record.table)}, and a table keeps its name"]
    problems = []
    if record.keys != list(kind.keys):
        keys = ", ".join(record.keys)
        problems.append(f"{place}.key: it is {keys} in the store, and a key cannot change; declare a kind of another name")
    present = _columns(connection, kind.table)
    for column, field_type in _types(kind).items():
        before = record.columns.get(column)
        wire = next(field.wire for field in kind.fields if field.column == column)
        if before is not None and before != field_type:
            problems.append(
                f"{place}.fields.{wire} = {field_type!r}: it is {before} in the store, and a type cannot change; "
                "declare a field of another name"
            )
        elif before is None and column in present:
            problems.append(f"{place}.fields.{wire}: the table {names.of(kind.table)} has a column {column} of the POS's own already")
    return problems


def _schema(kind: EntityType, names: Names) -> Schema:
    return schema_of((_script(kind, names),), names)


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    name = names_of(connection).of(table)
    return {column.lower() for (column,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,))}


def _types(kind: EntityType) -> dict[str, str]:
    """Of the fields that are the kind's own."""
    tail = kind.key_and_tail - set(kind.keys)
    return {field.column: field.kind for field in kind.fields if field.column not in tail}


async def declare(database: Database, catalog: Catalog) -> Catalog:
    """Make and widen the tables; the tables of our own kinds are there already.

    Returns:
        The catalog, which knows of each kind's `former_columns`.

    Raises:
        ConfigurationError: see `require_possible`.
        StorageError: the file cannot be written.
    """

    def is_done(connection: sqlite3.Connection) -> bool:
        require_possible(connection, database.path, catalog)
        records = read_records(connection)
        as_declared = all(records.get(kind.name.lower()) == _record(connection, kind, records) for kind in catalog.kinds)
        return as_declared and not missing(connection, database.path, catalog).mendable

    while not await database.run(is_done):  # each index of a long table has a transaction of its own
        await database.write(lambda connection: _declare(connection, database.path, catalog))
    highest = await database.run(lambda connection: gone_back(connection, catalog.tables))
    if highest is not None:
        await database.write(lambda connection: go_on_above(connection, highest))
    records = await database.run(read_records)
    return Catalog(tuple(_with_former_columns(kind, records[kind.name.lower()]) for kind in catalog.kinds))


def _with_former_columns(kind: EntityType, record: Record) -> EntityType:
    return replace(kind, former_columns=tuple(sorted(set(record.columns) - set(_types(kind)))))


def missing(connection: sqlite3.Connection, path: object, catalog: Catalog) -> Difference:
    """Which of the chain's own tables and indexes are missing.

    Raises:
        ConfigurationError: one of them is of another make.
    """
    found = difference(connection, declared_schema(catalog, names_of(connection)))
    if found.foreign:
        raise ConfigurationError(f"{path}: {'; '.join(found.foreign)}: it is not the one that [entities] declares")
    return found


def _declare(connection: sqlite3.Connection, path: object, catalog: Catalog) -> None:
    require_possible(connection, path, catalog)
    records, names = read_records(connection), names_of(connection)
    for kind in catalog.declared:
        present = _columns(connection, kind.table)
        for column, field_type in _types(kind).items():
            if present and column not in present:
                connection.execute(f'ALTER TABLE [{kind.table}] ADD COLUMN "{column}"{SQL_TYPES[field_type]}')
        before = records.get(kind.name.lower())
        for name in set(before.indexes if before else ()) - set(_indexes(kind, names)):
            connection.execute(f'DROP INDEX IF EXISTS "{name}"')
    mend(connection, missing(connection, path, catalog))
    for kind in catalog.kinds:
        record = _record(connection, kind, records)
        connection.execute(
            "INSERT OR REPLACE INTO [sync_entity_types] VALUES (?, ?, ?, ?, ?, ?)",
            (record.name, record.table, *map(json.dumps, (record.keys, record.columns, record.indexes, record.unfilled))),
        )


def _record(connection: sqlite3.Connection, kind: EntityType, records: dict[str, Record]) -> Record:
    """What is to be recorded of a kind now. What is not declared (any more) goes into `extra`, until it is declared again."""
    before, types = records.get(kind.name.lower()), _types(kind)
    columns = (before.columns if before else {}) | types
    unfilled = {*before.unfilled, *(set(columns) ^ set(before.columns)), *(set(columns) - set(types))} if before else set(types)
    is_empty = not _columns(connection, kind.table) or not connection.execute(f"SELECT 1 FROM [{kind.table}] LIMIT 1").fetchone()  # noqa: S608
    left = set(columns) - set(types) if is_empty else unfilled - set(kind.keys)  # rows may come before they are declared again
    indexes = [] if kind.is_own else list(_indexes(kind, names_of(connection)))
    return Record(before.name if before else kind.name, kind.table, list(kind.keys), columns, indexes, sorted(left))
