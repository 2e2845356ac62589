"""What is known of one product, price or the like: what HQ sent last, what the table has, what is in the quarantine; read only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncd.store.catalog import OWN_KINDS, PRICE, UNDECLARED
from syncd.store.names import names_in
from syncd.store.outbox import spellings
from syncd.store.row_history import read_file
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from syncd.config.settings import DatabaseSettings
    from syncd.store.catalog import Catalog
    from syncd.store.entity_type import EntityType

MOST_UPDATES = 10
MOST_ROWS = 20
MOST_QUARANTINED = 10
MOST_LOOKED_AT = 2_000  # entries of the quarantine, the newest: it has no index, and each may be 64 KiB
_INBOX = """
SELECT entity_type, entity_id, operation, version, updated_at, correlation_id, source, outcome, reason, at FROM inbox WHERE
"""
_QUARANTINE = """
SELECT raw, id, method, correlation_id, reason, received_at FROM (SELECT * FROM [sync_quarantine] ORDER BY id DESC LIMIT ?) WHERE
"""


@dataclass(frozen=True, slots=True)
class Received:
    """An update that HQ sent, and what became of it: `applied`, `stale` (the store had something newer, or the same), `refused`."""

    entity_type: str
    entity_id: str
    operation: str
    version: int | str | None
    updated_at: str | None
    correlation_id: str | None
    source: str
    outcome: str
    reason: str | None
    at: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of the quarantine; without what HQ sent."""

    id: int
    method: str
    correlation_id: str | None
    reason: str
    received_at: str


@dataclass(slots=True)
class UpdateHistory:
    """Of one entity, or of one correlation id.

    Attributes:
        kind: the entity type; None where a correlation id is all that is known.
        table: as the till calls it.
        table_rows: the store's rows, each a column's value by its name; for a price those for later, too.
        in_force: the `effective_from` of the prices in force now, by list.
        updates: what HQ sent, newest first; only the last thousand updates are remembered.
        quarantined: what could not be applied, newest first.
    """

    kind: str | None = None
    table: str | None = None
    table_rows: list[dict[str, Any]] = field(default_factory=list)
    in_force: dict[str, str] = field(default_factory=dict)
    updates: list[Received] = field(default_factory=list)
    quarantined: list[Kept] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.table_rows or self.updates or self.quarantined)


class UpdateHistories:
    """Looks into a store's tables of HQ's data.

    Raises:
        StorageError: there is no database here, or it cannot be used.
        ConfigurationError: it is older or newer than this program.
    """

    def __init__(self, paths: DatabaseSettings, catalog: Catalog = OWN_KINDS) -> None:
        self._paths = paths
        self._catalog = catalog

    def of_entity(self, name: str, key: Sequence[str]) -> UpdateHistory:
        """All that is known of the rows whose key begins like that; of a kind that nobody has declared what `entities` has."""
        declared = self._catalog.of(name)
        kind = declared or UNDECLARED
        history = UpdateHistory(name if declared is None else kind.name, names_in(self._paths).of(kind.table))
        names = (history.kind, "/".join(key), "/".join((*key, "")))
        row_key = (name, *key) if declared is None else key
        history.updates = self._updates("entity_type = ?1 AND (entity_id = ?2 OR substr(entity_id, 1, length(?3)) = ?3)", names)

        def read(connection: sqlite3.Connection) -> None:
            history.table_rows = list(_rows(connection, kind, row_key))
            if kind is PRICE:
                query = "SELECT price_list, effective_from FROM [current_prices] WHERE product_id IN (?, ?)"
                history.in_force = dict(connection.execute(query, _both(key[0])))
            found = connection.execute(f"{_QUARANTINE} instr(raw, ?)", (MOST_LOOKED_AT, key[0]))
            entries = [Kept(*row[1:]) for row in found if self._is_about(row[0], row[2], history.kind, kind, key)]
            history.quarantined = entries[:MOST_QUARANTINED]

        read_file(self._paths, "store", read)
        return history

    def of_correlation_id(self, text: str) -> UpdateHistory:
        """Updates and quarantine entries with this correlation id."""
        history = UpdateHistory(updates=self._updates("correlation_id IN (?, ?, ?)", (text, text.lower(), text.upper())))

        def read(connection: sqlite3.Connection) -> None:
            found = connection.execute(f"{_QUARANTINE} correlation_id IN (?, ?, ?)", (MOST_LOOKED_AT, text, text.lower(), text.upper()))
            history.quarantined = [Kept(*row[1:]) for row in found][:MOST_QUARANTINED]

        read_file(self._paths, "store", read)
        return history

    def _is_about(self, raw: str, method: str, name: str | None, kind: EntityType, key: Sequence[str]) -> bool:
        """Whether a message of the quarantine names this entity, as far as it can be read."""
        try:
            message = json.loads(raw)
        except ValueError:
            return method == kind.method
        if not isinstance(message, dict):
            return method == kind.method
        names = any_case(message)
        if method == kind.method:
            wire = next(field.wire.lower() for field in kind.fields if field.column == kind.keys[0])
            return str(names.get(wire)) == key[0]
        carried = str(names.get("entitytype"))
        declared = self._catalog.of(carried)
        return (carried if declared is None else declared.name) == name and str(names.get("entityid")) == key[0]

    def _updates(self, where: str, values: Sequence[object]) -> list[Received]:
        sql = f"{_INBOX} {where} ORDER BY id DESC LIMIT {MOST_UPDATES}"
        return read_file(self._paths, "journal", lambda c: [Received(*row) for row in c.execute(sql, values)])


def _rows(connection: sqlite3.Connection, kind: EntityType, key: Sequence[str]) -> Iterator[dict[str, Any]]:
    named = kind.keys[: len(key)]
    where = " AND ".join(f'"{column}" IN (?, ?)' for column in named)
    values = [value for part in key[: len(named)] for value in _both(part)]
    found = connection.execute(f"SELECT * FROM [{kind.table}] WHERE {where} LIMIT {MOST_ROWS}", values)  # noqa: S608 - our own names
    columns = [column[0] for column in found.description]
    for row in found:
        yield {name: value for name, value in zip(columns, row, strict=True) if value is not None}


def _both(text: str) -> tuple[object, object]:
    known = spellings(text)
    return known[0], known[-1]
