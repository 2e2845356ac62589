"""What syncd's tables are called in a store's database: `database.table_prefix` gives them names beside a POS's own.

A statement has the names of our tables, indexes, views and triggers in brackets, which SQLite takes for quotes:

    SELECT sku FROM [products]

Without a prefix that is the statement as it runs. With the prefix `syncd_` a connection makes `"syncd_products"` of it,
once for each statement; and since `sync_` gives way to the prefix, `[sync_outbox]` is `syncd_outbox`.
"""

from __future__ import annotations

import re
import sqlite3
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from syncd.config.settings import DatabaseSettings

OWN = "sync_"
"""How a name begins that is for syncd itself, where there is no prefix; HQ's tables have none then."""
_NAME = re.compile(r"\[([A-Za-z]\w*)\]", re.ASCII)
KNOWN_STATEMENTS = 512


class Names:
    """The names in one store's database; see `prefixed`.

    Args:
        prefix: a checked one (`config/values.py`); empty for none.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.sql = lru_cache(KNOWN_STATEMENTS)(self._sql)

    def of(self, name: str) -> str:
        """What is called so where there is no prefix."""
        return self.prefix + name.removeprefix(OWN) if self.prefix else name

    def script(self, text: str) -> str:
        """A migration's script, without brackets: SQLite keeps what it reads, and people look at that."""
        return _NAME.sub(lambda found: self.of(found[1]), text)

    def _sql(self, statement: str) -> str:
        return _NAME.sub(lambda found: f'"{self.of(found[1])}"', statement)


@cache
def prefixed(prefix: str) -> Names:
    """The names with a prefix: the same object for the same one, since schemas are remembered by it."""
    return Names(prefix)


UNPREFIXED = prefixed("")
"""Also those in syncd's own file, whatever the prefix is."""


class _Prefixed(sqlite3.Connection):
    """Its cursors take statements as they stand: those of a POS may have brackets of their own."""

    names: Names

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().execute(self.names.sql(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(self.names.sql(sql), parameters)


def connect(database: str | Path, names: Names, **options: Any) -> sqlite3.Connection:
    """As `sqlite3.connect`, for statements with our names."""
    if not names.prefix:
        return sqlite3.Connection(database, **options)
    connection = _Prefixed(database, **options)
    connection.names = names
    return connection


def names_in(paths: DatabaseSettings) -> Names:
    """Those in the store's database, and in the outbox' file where that is another."""
    return prefixed(paths.table_prefix)


def names_of(connection: sqlite3.Connection) -> Names:
    """Those that statements of this connection have."""
    return connection.names if isinstance(connection, _Prefixed) else UNPREFIXED


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is a table of ours, by the name that it has without a prefix."""
    found = connection.execute(
        "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND lower(name) = ?", (names_of(connection).of(name),)
    ).fetchone()
    return found is not None


def quoted(name: str) -> str:
    """A name as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
