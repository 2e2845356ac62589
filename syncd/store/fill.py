"""What a new column, or `change_seq` itself, means for the rows that were there before: filled in a few at a time.

A column that a declaration has gained gets its values from what was kept in `extra`; a value that does not fit its type
stays there. All of it goes through the write budget, beside the daily work, and begins anew after a crash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from syncd.errors import StorageError
from syncd.store.change_seq import next_numbers
from syncd.store.declared import read_records
from syncd.store.field_values import MalformedError, json_text
from syncd.store.outbox import MIN_ID
from syncd.store.retry_delays import PURGE_RETRY_SECONDS
from syncd.store.write_budget import Cost
from syncd.wire.json import parse_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.store.catalog import Catalog
    from syncd.store.database import Database
    from syncd.store.entity_type import EntityType, FieldReader
    from syncd.store.opening import StoreFiles
    from syncd.store.write_budget import PacedWriter

PAGE_ROWS = 500
PAUSE_SECONDS = 0.02  # between two pages, so that a long table is no burden


@dataclass(frozen=True, slots=True)
class _Filled:
    """A row with what leaves its `extra`; it is left alone where that has changed meanwhile."""

    rowid: int
    before: str
    values: dict[str, object]
    extra: str | None


class Fill:
    """Fills in whatever is to be filled in, once; then it is done until the next start.

    Args:
        on_trouble: told of a database that cannot be used, and None once it can.
    """

    def __init__(
        self,
        files: StoreFiles,
        catalog: Catalog,
        clock: Clock,
        log: FilteringBoundLogger,
        on_trouble: Callable[[StorageError | None], None],
    ) -> None:
        self._reader: Database = files.maintenance[-1]
        self._writer: PacedWriter = files.store
        self._catalog = catalog
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble

    async def run(self) -> None:
        """Fill in; it ends when all is filled in."""
        while True:
            try:
                for kind in self._catalog.tables:
                    await self.number(kind)
                records = await self._reader.run(read_records)
                for kind in self._catalog.kinds:
                    unfilled = records[kind.name.lower()].unfilled
                    readers = [reader for reader in kind.readers if reader.field.column in unfilled]
                    if readers:
                        await self.fill(kind, readers)
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(PURGE_RETRY_SECONDS)
            else:
                self._on_trouble(None)
                return

    async def number(self, kind: EntityType) -> None:
        """Give rows of former releases a `change_seq`; and, by a trigger, products their rows in `barcodes`."""
        cost = Cost()
        page = f'SELECT rowid FROM "{kind.table}" WHERE change_seq = 0 LIMIT ?'  # noqa: S608 - plain names, quoted
        while True:
            room = self._writer.room(cost, urgent=False)
            rows = await self._reader.run(lambda connection, room=room: connection.execute(page, (room,)).fetchall())  # type: ignore[misc]
            if not rows:
                return
            work = partial(_number, table=kind.table, rows=[row for (row,) in rows])
            await self._writer.write(work, rows=len(rows), cost=cost, urgent=False)

    async def fill(self, kind: EntityType, readers: list[FieldReader]) -> None:
        """Fill these columns of a kind from `extra`."""
        cost, after, filled, unfit = Cost(), MIN_ID, 0, ""
        page = f'SELECT rowid, extra FROM "{kind.table}" WHERE rowid > ? AND extra IS NOT NULL ORDER BY rowid LIMIT ?'  # noqa: S608
        while True:
            found = await self._reader.run(lambda c, after=after: c.execute(page, (after, PAGE_ROWS)).fetchall())  # type: ignore[misc]
            rows: list[_Filled] = []
            for rowid, extra in found:
                row, problem = _filled(rowid, extra, readers)
                unfit = unfit or problem
                rows += [row] if row is not None else []
            filled += len(rows)
            while rows:
                room = self._writer.room(cost, urgent=False)
                chunk, rows = rows[:room], rows[room:]
                await self._writer.write(partial(_write, table=kind.table, rows=chunk), rows=len(chunk), cost=cost, urgent=False)
            if len(found) < PAGE_ROWS:
                break
            after = found[-1][0]
            await self._clock.sleep(PAUSE_SECONDS)
        columns = sorted(reader.field.column for reader in readers)
        await self._writer.write(partial(_done, name=kind.name, columns=columns), rows=1, cost=Cost(), urgent=False)
        if filled:
            self._log.info("columns_filled", table=kind.table, columns=columns, rows=filled)
        if unfit:
            self._log.warning("column_not_filled", table=kind.table, reason=unfit, hint="what does not fit its type stays in `extra`")


def _filled(rowid: int, text: str, readers: Iterable[FieldReader]) -> tuple[_Filled | None, str]:
    """The row as it is to be, None where nothing changes; and what does not fit, in words."""
    try:
        extra: dict[str, Any] = parse_json(text)
    except ValueError:
        return None, ""
    names = {name.lower(): name for name in extra}
    values: dict[str, object] = {}
    problem = ""
    for reader in readers:
        name = names.get(reader.name)
        if name is None:
            continue
        if extra[name] is None:  # said while the field was not declared; its column may have a value from before
            del extra[name]
            values[reader.field.column] = reader.default
            continue
        try:
            values[reader.field.column] = reader.read(extra[name])
        except MalformedError as error:
            problem = f"{reader.field.wire} {error}"
        else:
            del extra[name]
    return (_Filled(rowid, text, values, json_text(extra) if extra else None) if values else None), problem


def _number(connection: sqlite3.Connection, table: str, rows: list[int]) -> None:
    numbers = next_numbers(connection, len(rows))
    sql = f'UPDATE "{table}" SET change_seq = ?, is_deleted = is_deleted WHERE rowid = ? AND change_seq = 0'  # noqa: S608 - for the trigger on products
    connection.executemany(sql, list(zip(numbers, rows, strict=True)))


def _write(connection: sqlite3.Connection, table: str, rows: list[_Filled]) -> None:
    for number, row in zip(next_numbers(connection, len(rows)), rows, strict=True):
        changes = "".join(f', "{column}" = ?' for column in row.values)
        connection.execute(
            f'UPDATE "{table}" SET extra = ?, change_seq = ?{changes} WHERE rowid = ? AND extra IS ?',  # noqa: S608 - plain names, quoted
            (row.extra, number, *row.values.values(), row.rowid, row.before),
        )


def _done(connection: sqlite3.Connection, name: str, columns: list[str]) -> None:
    left = sorted(set(read_records(connection)[name.lower()].unfilled) - set(columns))
    connection.execute("UPDATE sync_entity_types SET unfilled = ? WHERE entity_type = ?", (json.dumps(left), name))
