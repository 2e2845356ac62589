"""Forward-only, numbered migrations; each commits with its own record or not at all."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import ConfigurationError
from syncd.store.catalog import ENTITY_TYPES

if TYPE_CHECKING:
    import sqlite3

    from syncd.clock import Clock
    from syncd.store.database import Database

NOT_NULL = frozenset(("entity_type", "entity_id", "operation", "payload", "priority", "correlation_id", "status"))
OUTBOX_COLUMNS = NOT_NULL | frozenset(("id", "created_at", "attempts", "next_attempt_at", "last_error", "sent_at"))
# What a table must have so that we can work with it, where a POS made it before us.
REQUIRED_COLUMNS: dict[str, dict[str, frozenset[str]]] = {
    "outbox": {"sync_outbox": OUTBOX_COLUMNS},
    "store": {kind.table: frozenset(kind.columns) for kind in ENTITY_TYPES},
    "journal": {},
}
KEYS = {kind.table: list(kind.keys) for kind in ENTITY_TYPES}

_RECORD = """
CREATE TABLE IF NOT EXISTS sync_schema (
    component  TEXT NOT NULL,
    version    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    PRIMARY KEY (component, version)
)
"""


def migrations(component: str) -> list[tuple[int, str, str]]:
    """The component's migrations in order: version, name, SQL."""
    found = []
    for entry in (resources.files("syncd.store") / "sql" / component).iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append((int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found)


def applied_version(connection: sqlite3.Connection, component: str) -> int:
    """The newest migration that this file has had; 0 for none."""
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sync_schema'").fetchone()
    if not known:
        return 0
    (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM sync_schema WHERE component = ?", (component,)).fetchone()
    return int(version)


def require_known(path: object, component: str, version: int) -> None:
    """Refuse a file that a newer program has made.

    Raises:
        ConfigurationError: the file's version is above ours.
    """
    newest = migrations(component)[-1][0]
    if version > newest:
        raise ConfigurationError(
            f"{path}: its {component} tables have version {version}, and this program knows them up to {newest}: "
            "install a syncd at least as new as the one that made this database"
        )


def statements(script: str) -> list[str]:
    """Split a script at the semicolons that end its statements (sqlite3's executescript would commit first)."""
    import sqlite3  # noqa: PLC0415 - typing only elsewhere in this module

    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current.strip())
            current = ""
    return found


_OBJECT = re.compile(r"\s*(?:--.*\n\s*)*CREATE (?:TABLE|INDEX|VIEW) IF NOT EXISTS (\w+)", re.IGNORECASE)


def _require_our_make(connection: sqlite3.Connection, path: object, component: str) -> None:
    """A table that was there before us must have what we rely on.

    Raises:
        ConfigurationError: says what it lacks.
    """
    for table, required in REQUIRED_COLUMNS[component].items():
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()  # names from the tables above
        if not columns:
            continue
        present = {column[1] for column in columns}
        lacks = [f"no column {', '.join(missing)}"] if (missing := sorted(required - present)) else []
        key = [column[1] for column in sorted(columns, key=lambda column: column[5]) if column[5]]
        if table == "sync_outbox":
            nullable = sorted(NOT_NULL & {column[1] for column in columns if not column[3]})
            lacks += [f"no NOT NULL on {', '.join(nullable)}"] if nullable else []
            if key != ["id"] or [c[2].upper() for c in columns if c[1] == "id"] != ["INTEGER"]:
                lacks.append("no id INTEGER PRIMARY KEY")
        elif key != KEYS[table]:
            lacks.append(f"no PRIMARY KEY ({', '.join(KEYS[table])})")
        if lacks:
            raise ConfigurationError(
                f"{path}: there is a table {table} already, and it has {'; '.join(lacks)}: it is not the one that syncd works with; "
                "see the README on the outbox and on the tables that the POS reads"
            )


def _repair(connection: sqlite3.Connection, component: str) -> None:
    """Make again what is missing: who rebuilds a table, as SQLite's own recipe for ALTER and many ORMs do, drops its indexes with it."""
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    for _, _, script in migrations(component):
        for statement in statements(script):
            match = _OBJECT.match(statement)
            if match and match[1] not in there:
                connection.execute(statement)


async def migrate(database: Database, component: str, clock: Clock) -> int:
    """Bring one component's tables up to this program's version.

    Returns:
        The version that the file now has.

    Raises:
        ConfigurationError: the file is newer than the program, or a table of another make has the name of one of ours.
        StorageError: the file cannot be written.
    """
    version = await database.run(lambda connection: applied_version(connection, component))
    require_known(database.path, component, version)
    for number, name, script in migrations(component):
        if number <= version:
            continue

        def step(connection: sqlite3.Connection, number: int = number, name: str = name, script: str = script) -> None:
            connection.execute(_RECORD)
            if applied_version(connection, component) >= number:  # another process was quicker
                return
            _require_our_make(connection, database.path, component)
            for statement in statements(script):
                connection.execute(statement)
            connection.execute("INSERT INTO sync_schema VALUES (?, ?, ?, ?)", (component, number, name, iso_ms(clock.now())))

        await database.write(step)
        version = number
    missing = await database.run(lambda connection: _missing(connection, component))
    if missing:
        await database.write(lambda connection: _repair(connection, component))
    return version


def _missing(connection: sqlite3.Connection, component: str) -> bool:
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    found = (_OBJECT.match(statement) for _, _, script in migrations(component) for statement in statements(script))
    return any(match[1] not in there for match in found if match)
