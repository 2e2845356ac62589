"""Newer wins, and twice is once: which updates change something, given the table's rows and the updates before them.

A delete without the last column of the key deletes every older row of its group: for a price, all its dates. Its own
row, whose last column is '', stays as the tombstone of the group, so that an older update cannot bring any of them
back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from syncd.store.update import is_newer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from syncd.store.entity_type import EntityType
    from syncd.store.update import Update

Group = tuple[object, ...]
"""The values of a kind's `group_keys`."""


@dataclass(slots=True)
class _Row:
    """A row of the table.

    Attributes:
        looked_up: what it has in the columns of that name; None where that is not known, or is still to be filled in.
    """

    version: object
    updated_at: object
    is_deleted: bool
    looked_up: tuple[object, ...] | None = None


@dataclass(slots=True)
class News:
    """An update that changes something.

    Attributes:
        writes_own_row: False for a delete of a group whose own row is newer.
        tombstones: keys of the other rows that it deletes.
        is_light: what is looked up stays as it is.
    """

    update: Update
    writes_own_row: bool = True
    tombstones: tuple[tuple[object, ...], ...] = ()
    is_light: bool = False

    @property
    def rows(self) -> int:
        """How many rows it writes: a delete of all dates has one for each of them."""
        return self.writes_own_row + len(self.tombstones)


class KnownRows:
    """The rows as they will be once every update given to `take` is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._groups: dict[str, dict[Group, dict[object, _Row]]] = {}
        # Read before any row: what is still being filled in may change between our look and our write.
        self._unfilled = set(connection.execute("SELECT table_name, value FROM [sync_entity_types], json_each(unfilled)"))

    def take(self, update: Update) -> News | None:
        """What is to be written for it; None where what is there is newer, or the same."""
        kind = update.entity_type
        group = update.key[: len(kind.group_keys)]
        rows = self._rows(update, group)
        last = update.key[-1] if kind.open_key else ""
        own, of_all = rows.get(last), rows.get("")
        looked_up: tuple[object, ...] | None = None
        if update.deletes_group:
            older = sorted((value for value, row in rows.items() if value != last and _beats(update, row)), key=str)
            writes_own_row = own is None or _beats(update, own)
            if not writes_own_row and not older:
                return None
            news = News(update, writes_own_row, tuple((*group, value) for value in older))
        else:
            if own is not None and not _beats(update, own):
                return None
            if own is None and of_all is not None and of_all.is_deleted and not _beats(update, of_all):
                return None
            looked_up = tuple([update.values[place] for place in kind.looked_up_at])
            older, news = [], News(update, is_light=own is not None and own.looked_up == looked_up and self._may_be_light(kind))
        for value in older:
            rows[value] = _tombstone(update, rows[value])
        if news.writes_own_row:
            rows[last] = (
                _Row(update.version, update.updated_at, update.deleted, looked_up)
                if own is None or not update.key_only
                else _tombstone(update, own)
            )  # fmt: skip
        return news

    def _may_be_light(self, kind: EntityType) -> bool:
        return bool(kind.looked_up) and not any((kind.table, column) in self._unfilled for column in kind.looked_up)

    def read(self, updates: Iterable[Update]) -> None:
        """Read the rows of all these with one statement a kind, before they are given to `take`."""
        wanted: dict[str, tuple[EntityType, dict[Group, dict[object, _Row]]]] = {}
        for update in updates:
            kind = update.entity_type
            if (of_kind := wanted.get(kind.table)) is None:
                of_kind = wanted[kind.table] = kind, {}
            of_kind[1][update.key[: len(kind.group_keys)]] = {}
        for kind, groups in wanted.values():
            keys = orjson.dumps(list(groups)).decode()
            if "\\u0000" in keys:  # for SQLite's JSON a text ends there
                continue
            rows_of = list(groups.values())
            for place, *row in self._connection.execute(kind.select_many_sql, (keys,)):
                rows_of[place][row[0]] = _found(row)
            self._groups[kind.table] = groups

    def _rows(self, update: Update, group: Group) -> dict[object, _Row]:
        kind = update.entity_type
        groups = self._groups.setdefault(kind.table, {})
        rows = groups.get(group)
        if rows is None:
            rows = groups[group] = {row[0]: _found(row) for _, *row in self._connection.execute(kind.select_sql, group)}
        return rows


def _found(row: list[Any]) -> _Row:
    return _Row(row[1], row[2], bool(row[3]), tuple(row[5:]) if row[4] else None)


def _beats(update: Update, row: _Row) -> bool:
    return is_newer(update, row.version, row.updated_at)


def _tombstone(update: Update, row: _Row) -> _Row:
    """As `EntityType.tombstone_sql` leaves the row."""
    return _Row(
        row.version if update.version is None else update.version,
        row.updated_at if update.updated_at is None else update.updated_at,
        is_deleted=True,
    )
