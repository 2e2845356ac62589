"""A kind that HQ sends down: the fields of its message, its table, and the statements for that table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from syncd.store.fields import layout_of, reader_of
from syncd.wire.messages import Spellings

if TYPE_CHECKING:
    from syncd.store.fields import Field, FieldReader, Layout


@dataclass(frozen=True)
class EntityType:
    """A kind, as HQ's messages declare it and the store keeps it.

    Attributes:
        name: as in `SyncItem.entityType`.
        method: the client method that carries it.
        keys: the columns of its primary key.
        open_key: the last of them, where it may be left out: a message then means '', and a delete means all rows of
            the group.
        indexes: the columns of each.
        former_columns: of its table, whose fields are declared no longer; what replaces a row has nothing in them, since
            what HQ says of them is in `extra`.
        is_own: its table is made by our migration steps; others by `store/declared.py`.
        is_undeclared: it stands for all kinds that nobody has declared, and the first column of its key says which.
    """

    name: str
    method: str
    table: str
    keys: tuple[str, ...]
    fields: tuple[Field, ...]
    open_key: str | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    former_columns: tuple[str, ...] = ()
    is_own: bool = False
    is_undeclared: bool = False

    def kind_of(self, key: tuple[object, ...]) -> str:
        """The name of a row's kind, as HQ has it where nobody has declared it."""
        return str(key[0]) if self.is_undeclared else self.name

    def entity_id_of(self, key: tuple[object, ...]) -> str:
        """The row's key in one piece, for people."""
        return "/".join(str(part) for part in key[self.is_undeclared :] if part != "")

    @cached_property
    def group_keys(self) -> tuple[str, ...]:
        """The columns of the key that every message names."""
        return tuple(key for key in self.keys if key != self.open_key)

    @cached_property
    def key_and_tail(self) -> frozenset[str]:
        """The columns that say which row, and when, and nothing of the row itself."""
        return frozenset({*self.keys, "is_deleted", "version", "updated_at", "correlation_id"})

    @cached_property
    def readers(self) -> tuple[FieldReader, ...]:
        """Of its fields, in their order."""
        return tuple(reader_of(field, in_key=field.column in self.keys) for field in self.fields)

    @cached_property
    def layouts(self) -> Spellings[Layout]:
        """By the names of a message, in its order."""
        return Spellings(partial(layout_of, self.readers))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All that an update writes, in the order of `Update.values`."""
        return (*(field.column for field in self.fields), "extra", "applied_at", "change_seq")

    @cached_property
    def defaults(self) -> tuple[object, ...]:
        """What stands in for each field, in the order of `Update.values`."""
        return tuple(field.default for field in self.fields)

    @cached_property
    def places(self) -> dict[str, int]:
        """Each column's place in `Update.values`."""
        return {column: place for place, column in enumerate(self.columns)}

    @cached_property
    def key_places(self) -> tuple[int, ...]:
        """Those of the primary key."""
        return tuple(self.places[key] for key in self.keys)

    @cached_property
    def looked_up(self) -> tuple[str, ...]:
        """Columns in indexes of ours, or in a trigger's: writing them costs more than the others, and they seldom change."""
        indexed = {column for index in self.indexes for column in index}
        found = [
            field.column
            for field in self.fields
            if field.column not in self.keys and (field.column in indexed or field.kind == "barcodes")
        ]  # fmt: skip
        return (*found, "is_deleted") if found else ()

    @cached_property
    def looked_up_at(self) -> tuple[int, ...]:
        """Their places in `Update.values`."""
        return tuple(self.places[column] for column in self.looked_up)

    @cached_property
    def select_sql(self) -> str:
        """What the table has of a group of rows, so that newer can win; and what is looked up."""
        where = " AND ".join(f'"{key}" = ?' for key in self.group_keys)
        return f"SELECT 0, {self._known} FROM [{self.table}] WHERE {where}"  # noqa: S608 - plain names, quoted

    @cached_property
    def select_many_sql(self) -> str:
        """The same of many groups, a JSON list of their keys' values; the first column is the group's place in it."""
        where = " AND ".join(f"\"{key}\" = json_extract(wanted.value, '$[{place}]')" for place, key in enumerate(self.group_keys))
        return f"SELECT wanted.key, {self._known} FROM json_each(?) AS wanted CROSS JOIN [{self.table}] WHERE {where}"  # noqa: S608 - plain names, quoted

    @cached_property
    def _known(self) -> str:
        last = f'"{self.open_key}"' if self.open_key else "''"
        return ", ".join((last, "version", "updated_at", "is_deleted", "change_seq", *(f'"{column}"' for column in self.looked_up)))

    @cached_property
    def staging_table_sql(self) -> str:
        """Make the temporary table for `stage_sql`: its columns keep every value as it is."""
        columns = ", ".join(f'"{column}"' for column in self._given)
        return f'CREATE TEMP TABLE IF NOT EXISTS "staged_{self.table}" ("#" INTEGER PRIMARY KEY, {columns})'

    @cached_property
    def stage_sql(self) -> str:
        """Stage a row; they are numbered from 1."""
        columns = ", ".join(f'"{column}"' for column in self._given)
        return f'INSERT INTO temp."staged_{self.table}" ({columns}) VALUES ({", ".join("?" for _ in self._given)})'  # noqa: S608 - plain names, quoted

    @cached_property
    def merge_sql(self) -> tuple[str, str]:
        """Write the staged rows from one number to another, whatever was there.

        Its parameters: `applied_at`, the first `change_seq` less the first number, and the two numbers. The second one is
        for rows whose looked-up columns stay as they are: SQLite leaves their indexes alone.
        """
        columns = ", ".join(f'"{column}"' for column in self._given)
        sql = (
            f'INSERT INTO [{self.table}] ({columns}, applied_at, change_seq) SELECT {columns}, ?, ? + "#" '  # noqa: S608 - plain names, quoted
            f'FROM temp."staged_{self.table}" WHERE "#" BETWEEN ? AND ? ORDER BY "#" '
        )
        return sql + self._replacing, sql + self._replacing_light

    @cached_property
    def _given(self) -> tuple[str, ...]:
        """The columns of `Update.values`."""
        return self.columns[:-2]

    @cached_property
    def _replacing(self) -> str:
        return self._on_conflict(self.columns)

    @cached_property
    def _replacing_light(self) -> str:
        return self._on_conflict(tuple(column for column in self.columns if column not in self.looked_up))

    def _on_conflict(self, written: tuple[str, ...]) -> str:
        changes = ", ".join(
            [f'"{column}" = excluded."{column}"' for column in written if column not in self.keys]
            + [f'"{column}" = NULL' for column in self.former_columns]
        )  # fmt: skip
        keys = ", ".join(f'"{key}"' for key in self.keys)
        return f"ON CONFLICT ({keys}) DO UPDATE SET {changes}"

    @cached_property
    def upsert_sql(self) -> tuple[str, str]:
        """Write a row, whatever was there; the second one as in `merge_sql`."""
        columns = ", ".join(f'"{column}"' for column in self.columns)
        marks = ", ".join("?" for _ in self.columns)
        sql = f"INSERT INTO [{self.table}] ({columns}) VALUES ({marks}) "  # noqa: S608 - plain names, quoted
        return sql + self._replacing, sql + self._replacing_light

    @cached_property
    def tombstone_sql(self) -> str:
        """Turn a row into its tombstone; its other columns keep their values."""
        where = " AND ".join(f'"{key}" = ?' for key in self.keys)
        return (
            f"UPDATE [{self.table}] SET is_deleted = 1, version = coalesce(?, version), "  # noqa: S608 - plain names, quoted
            f"updated_at = coalesce(?, updated_at), correlation_id = ?, applied_at = ?, change_seq = ? WHERE {where}"
        )
