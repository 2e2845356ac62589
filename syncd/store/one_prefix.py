"""A store's tables keep their names: a file that has them with another prefix than the configuration says is refused.

Otherwise the till would write on into an outbox that nobody reads, and every one of those sales would be lost to HQ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from syncd.config.values import PREFIX_FORM
from syncd.errors import ConfigurationError
from syncd.store.names import OWN, prefixed

if TYPE_CHECKING:
    import sqlite3

    from syncd.store.names import Names

_RECORD = frozenset(("component", "version", "name", "applied_at"))
_OUTBOX = frozenset(("id", "entity_type", "entity_id", "operation", "payload", "priority", "correlation_id", "created_at", "status"))
_SIGN = re.compile(rf"(?P<prefix>{OWN}|{PREFIX_FORM})(?P<what>schema|outbox)", re.ASCII)


def require_these_names(connection: sqlite3.Connection, path: object, component: str, names: Names) -> None:
    """Pass a file that has no tables of ours with another prefix; only reads.

    The record of our migrations tells, and so does an outbox, which a POS may have made before us. Where there is a
    record with this prefix, all others are somebody's copies.

    Raises:
        ConfigurationError: names both prefixes, and says what to do.
    """
    cursor = connection.cursor()
    tables = [name for (name,) in cursor.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table' ORDER BY name")]
    signs = {table: sign for table in tables if (sign := _SIGN.fullmatch(table.lower()))}
    found = {_prefix(sign): table for table, sign in signs.items() if _tells(cursor, table, sign["what"], component)}
    if any(_prefix(signs[table]) == names.prefix and signs[table]["what"] == "schema" for table in found.values()):
        return
    for other, table in found.items():
        if other != names.prefix:
            raise ConfigurationError(
                f'{path}: database.table_prefix is "{names.prefix}", but {table} says that the tables of this store have '
                f'the prefix "{other}", and they keep it, or what the till writes into {prefixed(other).of("sync_outbox")} would never '
                f'reach HQ: put table_prefix = "{other}" back, or see docs/beside-a-pos.md on another prefix'
            )


def _prefix(sign: re.Match[str]) -> str:
    return "" if sign["prefix"] == OWN else sign["prefix"]


def _tells(cursor: sqlite3.Cursor, table: str, what: str, component: str) -> bool:
    """Whether a table of such a name is what its name says, and has to do with this component."""
    columns = {column.lower() for (column,) in cursor.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))}
    if what == "outbox":
        return component == "outbox" and columns >= _OUTBOX
    query = f'SELECT 1 FROM main."{table}" WHERE component = ?'  # noqa: S608 - letters, digits and underscores, as _SIGN says
    return columns >= _RECORD and cursor.execute(query, (component,)).fetchone() is not None
