"""A kind that HQ sends down: the fields of its message, its table, and the statements for that table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        wire: its name there.
        column: its name in the table.
        kind: `identifier`, `text`, `decimal`, `flag`, `time`, `version` or `json`.
        required: a message without it is malformed (unless it is a delete).
        default: what stands in for it.
    """

    wire: str
    column: str
    kind: str
    required: bool = False
    default: object = None


@dataclass(frozen=True)
class EntityType:
    """A kind, as HQ's messages declare it and the store keeps it.

    Attributes:
        name: as in `SyncItem.entityType`.
        method: the client method that carries it.
        keys: the columns of its primary key.
        open_key: the last of them, where it may be left out: a message then means '', and a delete means all rows of
            the group.
    """

    name: str
    method: str
    table: str
    keys: tuple[str, ...]
    fields: tuple[Field, ...]
    open_key: str | None = None

    @cached_property
    def group_keys(self) -> tuple[str, ...]:
        """The columns of the key that every message names."""
        return tuple(key for key in self.keys if key != self.open_key)

    @cached_property
    def wire_names(self) -> frozenset[str]:
        """The names of its fields in lower case."""
        return frozenset(field.wire.lower() for field in self.fields)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All that an update writes, in the order of `Update.values`."""
        return (*(field.column for field in self.fields), "extra", "applied_at")

    @cached_property
    def select_sql(self) -> str:
        """What the table has of a group of rows, so that newer can win."""
        where = " AND ".join(f"{key} = ?" for key in self.group_keys)
        last = self.open_key or "''"
        return f"SELECT {last}, version, updated_at, is_deleted FROM {self.table} WHERE {where}"  # noqa: S608 - names from this module only

    @cached_property
    def upsert_sql(self) -> str:
        """Write a row, whatever was there."""
        columns = ", ".join(self.columns)
        marks = ", ".join("?" for _ in self.columns)
        changes = ", ".join(f"{column} = excluded.{column}" for column in self.columns if column not in self.keys)
        return (
            f"INSERT INTO {self.table} ({columns}) VALUES ({marks}) "  # noqa: S608 - names from this module only
            f"ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {changes}"
        )

    @cached_property
    def tombstone_sql(self) -> str:
        """Turn a row into its tombstone; its other columns keep their values."""
        where = " AND ".join(f"{key} = ?" for key in self.keys)
        return (
            f"UPDATE {self.table} SET is_deleted = 1, version = coalesce(?, version), "  # noqa: S608 - names from this module only
            f"updated_at = coalesce(?, updated_at), correlation_id = ?, applied_at = ? WHERE {where}"
        )
