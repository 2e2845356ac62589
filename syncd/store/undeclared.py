"""Rows of the table `entities`, read so that they can move into the table of a kind that has been declared since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.store.field_values import MalformedError, json_text
from syncd.wire.json import parse_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of `entities`."""

    entity_type: str
    entity_id: int | str
    payload: str | None
    is_deleted: int
    version: int | str | None
    updated_at: str | None
    correlation_id: str | None


def kinds(connection: sqlite3.Connection) -> list[str]:
    """The names that have rows, each as HQ wrote it."""
    return [name for (name,) in connection.execute("SELECT DISTINCT entity_type FROM [entities]")]


def page(connection: sqlite3.Connection, name: str, after: Kept | None, limit: int) -> list[Kept]:
    """The next rows of a kind, in the order of their ids: a POS that rebuilds the table gives it other rowids."""
    behind = "" if after is None else "AND entity_id > ?"
    sql = f"""
    SELECT entity_type, entity_id, payload, is_deleted, version, updated_at, correlation_id FROM [entities]
    WHERE entity_type = ? {behind} ORDER BY entity_id LIMIT ?
    """  # noqa: S608 - a constant
    parameters = (name, limit) if after is None else (name, after.entity_id, limit)
    return [Kept(*row) for row in connection.execute(sql, parameters)]


def as_item(row: Kept) -> dict[str, Any]:
    """The `SyncItem` that says what the row says; its date and version are the row's, whatever the payload has.

    Raises:
        MalformedError: the payload, which is kept as it came, is none that can be read: blank, or too large.
    """
    try:
        payload: Any = parse_json(row.payload) if row.payload and row.payload.strip() else {}
    except ValueError as error:
        raise MalformedError(f"the payload cannot be read: {error}") from None
    if isinstance(payload, dict):
        payload = {name: value for name, value in payload.items() if name.lower() not in ("version", "updatedat")}
        payload |= {name: value for name, value in (("version", row.version), ("updatedAt", row.updated_at)) if value is not None}
    return {
        "entityType": row.entity_type, "entityId": row.entity_id, "operation": "Delete" if row.is_deleted else "Update",
        "payload": json_text(payload), "correlationId": row.correlation_id,
    }  # fmt: skip


def forget(connection: sqlite3.Connection, rows: Sequence[Kept]) -> None:
    """They have moved."""
    connection.executemany(
        "DELETE FROM [entities] WHERE entity_type = ? AND entity_id = ?", [(row.entity_type, row.entity_id) for row in rows]
    )
