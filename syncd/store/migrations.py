"""Forward-only, numbered migrations; each commits with its own record or not at all."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3

    from syncd.clock import Clock
    from syncd.store.database import Database

# What a table must have so that we can work with it, where a POS made it before us.
REQUIRED_COLUMNS: dict[str, dict[str, frozenset[str]]] = {
    "outbox": {
        "sync_outbox": frozenset(
            [
                "id",
                "entity_type",
                "entity_id",
                "operation",
                "payload",
                "priority",
                "correlation_id",
                "created_at",
                "status",
                "attempts",
                "next_attempt_at",
                "last_error",
                "sent_at",
            ]
        ),
    },
    "store": {
        "products": frozenset(
            [
                "product_id",
                "sku",
                "name",
                "barcode",
                "description",
                "category",
                "unit",
                "tax_rate",
                "is_active",
                "is_deleted",
                "version",
                "updated_at",
                "correlation_id",
                "extra",
                "applied_at",
            ]
        ),
        "prices": frozenset(
            [
                "product_id",
                "price_list",
                "price",
                "currency",
                "cost_price",
                "effective_from",
                "effective_to",
                "is_deleted",
                "version",
                "updated_at",
                "correlation_id",
                "extra",
                "applied_at",
            ]
        ),
        "inventory": frozenset(
            [
                "product_id",
                "location_id",
                "quantity_on_hand",
                "reorder_level",
                "is_deleted",
                "version",
                "updated_at",
                "correlation_id",
                "extra",
                "applied_at",
            ]
        ),
        "transactions": frozenset(
            [
                "transaction_id",
                "store_id",
                "type",
                "total",
                "currency",
                "occurred_at",
                "payload",
                "is_deleted",
                "version",
                "updated_at",
                "correlation_id",
                "extra",
                "applied_at",
            ]
        ),
    },
    "journal": {},
}

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
    for entry in (resources.files("syncd.store") / "migrations" / component).iterdir():
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
            for table, required in REQUIRED_COLUMNS[component].items():
                present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}  # names from the table above
                if present and (missing := sorted(required - present)):
                    raise ConfigurationError(
                        f"{database.path}: there is a table {table} already, and it has no column {', '.join(missing)}: "
                        "it is not the one that syncd works with; see the README on the outbox and on the tables that the POS reads"
                    )
            for statement in statements(script):
                connection.execute(statement)
            connection.execute("INSERT INTO sync_schema VALUES (?, ?, ?, ?)", (component, number, name, iso_ms(clock.now())))

        await database.write(step)
        version = number
    return version
