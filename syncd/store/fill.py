"""What a new column, or `change_seq` itself, means for the rows that were there before: filled in a few at a time.

A column that a declaration has gained gets its values from what was kept in `extra`; a value that does not fit its type
stays there. All of it goes through the write budget, beside the daily work, and begins anew after a crash. A row that a
trigger of the POS refuses stays as it is until the next start, and keeps no other row.

Rows are named by their keys: a VACUUM, which a POS may run at any time, gives other rowids.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from syncd.errors import StorageError
from syncd.redaction import foreign
from syncd.store.change_seq import next_numbers
from syncd.store.declared import declared_schema, read_records
from syncd.store.field_values import MalformedError, json_text
from syncd.store.migrate import newest_schema
from syncd.store.refusal import refusal
from syncd.store.retry_delays import PURGE_RETRY_SECONDS
from syncd.store.write_budget import MAX_ROWS, Cost
from syncd.wire.json import parse_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.store.catalog import Catalog
    from syncd.store.database import Database
    from syncd.store.entity_type import EntityType
    from syncd.store.fields import FieldReader
    from syncd.store.opening import StoreFiles
    from syncd.store.schema import Schema
    from syncd.store.write_budget import PacedWriter

Key = tuple[object, ...]
Row = TypeVar("Row")

PAGE_ROWS = 500
PAUSE_SECONDS = 0.02  # between two pages, so that a long table is no burden


@dataclass(frozen=True, slots=True)
class _Filled:
    """A row with what leaves its `extra`; it is left alone where that has changed meanwhile."""

    key: Key
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
        self._schema = newest_schema("store", self._reader.names) | declared_schema(catalog, self._reader.names)
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._told: set[str] = set()  # tables of which a row was refused

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
        any_left = f"SELECT 1 FROM [{kind.table}] WHERE change_seq = 0 LIMIT 1"  # noqa: S608 - plain names, quoted
        if await self._reader.run(lambda connection: connection.execute(any_left).fetchone()):
            rows = _Rows(self._writer, self._schema, partial(_number, kind), partial(self._refused, kind))
            async for page in self._pages(kind, "change_seq"):
                await rows.write([key for key, number in page if number == 0])

    async def fill(self, kind: EntityType, readers: list[FieldReader]) -> None:
        """Fill these columns of a kind from `extra`."""
        rows = _Rows(self._writer, self._schema, partial(_write, kind), lambda row, why: self._refused(kind, row.key, why))
        filled, unfit = 0, ""
        async for page in self._pages(kind, "extra"):
            found = [_filled(key, extra, readers) for key, extra in page if extra is not None]
            unfit = unfit or next((problem for _, problem in found if problem), "")
            filled += await rows.write([row for row, _ in found if row is not None])
        columns = sorted(reader.field.column for reader in readers)
        if not rows.refused:  # else the next start tries again
            await self._writer.write(partial(_done, name=kind.name, columns=columns), rows=1, cost=Cost(), urgent=False)
        if filled:
            self._log.info("columns_filled", table=self._reader.names.of(kind.table), columns=columns, rows=filled)
        if unfit:
            hint = "what does not fit its type stays in `extra`"
            self._log.warning("column_not_filled", table=self._reader.names.of(kind.table), reason=unfit, hint=hint)

    async def _pages(self, kind: EntityType, column: str) -> AsyncIterator[list[tuple[Key, Any]]]:
        """All rows in the order of their keys, page by page: the key, and what is in this column."""
        keys = ", ".join(f'"{key}"' for key in kind.keys)
        marks = ", ".join("?" for _ in kind.keys)
        where, after = "", Key()
        while True:
            sql = f'SELECT {keys}, "{column}" FROM [{kind.table}] {where} ORDER BY {keys} LIMIT {PAGE_ROWS}'  # noqa: S608 - plain names, quoted
            found = await self._reader.run(lambda c, sql=sql, after=after: c.execute(sql, after).fetchall())  # type: ignore[misc]
            yield [(row[:-1], row[-1]) for row in found]
            if len(found) < PAGE_ROWS:
                return
            where, after = f"WHERE ({keys}) > ({marks})", found[-1][:-1]
            await self._clock.sleep(PAUSE_SECONDS)

    def _refused(self, kind: EntityType, key: Key, reason: str) -> None:
        if kind.table not in self._told:
            self._told.add(kind.table)
            self._log.warning(
                "row_not_filled", table=self._reader.names.of(kind.table), key=foreign("/".join(map(str, key))), reason=foreign(reason),
                hint="see what the POS has added to this table; the next start tries again",
            )  # fmt: skip


class _Rows(Generic[Row]):
    """Rows on their way into a table, within the write budget; those that SQLite refuses are left out.

    Args:
        work: writes some of them, within a transaction.
        on_refused: told which one was refused, and why.

    Attributes:
        refused: how many were.
    """

    def __init__(
        self,
        writer: PacedWriter,
        schema: Schema,
        work: Callable[[Sequence[Row], sqlite3.Connection], None],
        on_refused: Callable[[Row, str], None],
    ) -> None:
        self._writer = writer
        self._schema = schema
        self._work = work
        self._on_refused = on_refused
        self._cost = Cost()
        self._most = MAX_ROWS
        self.refused = 0

    async def write(self, rows: list[Row]) -> int:
        """Write these rows; returns how many are written. A refused chunk is halved until the row stands alone."""
        written = 0
        while rows:
            chunk = rows[: min(self._most, self._writer.room(self._cost, urgent=False))]
            work = partial(refusal, work=partial(self._work, chunk), schema=self._schema)
            reason = (await self._writer.write(work, rows=len(chunk), cost=self._cost, urgent=False)).result
            if reason is not None and len(chunk) > 1:
                self._most = len(chunk) // 2
                continue
            rows = rows[len(chunk) :]
            if reason is None:
                self._most = min(MAX_ROWS, 2 * self._most)
                written += len(chunk)
            else:
                self.refused += 1
                self._on_refused(chunk[0], reason)
        return written


def _filled(key: Key, text: str, readers: Iterable[FieldReader]) -> tuple[_Filled | None, str]:
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
    return (_Filled(key, text, values, json_text(extra) if extra else None) if values else None), problem


def _number(kind: EntityType, rows: Sequence[Key], connection: sqlite3.Connection) -> None:
    sql = f"UPDATE [{kind.table}] SET change_seq = ?, is_deleted = is_deleted WHERE {_is_row(kind)} AND change_seq = 0"  # noqa: S608 - for the trigger on products
    connection.executemany(sql, [(number, *key) for number, key in zip(next_numbers(connection, len(rows)), rows, strict=True)])


def _write(kind: EntityType, rows: Sequence[_Filled], connection: sqlite3.Connection) -> None:
    for number, row in zip(next_numbers(connection, len(rows)), rows, strict=True):
        changes = "".join(f', "{column}" = ?' for column in row.values)
        connection.execute(
            f"UPDATE [{kind.table}] SET extra = ?, change_seq = ?{changes} WHERE {_is_row(kind)} AND extra IS ?",  # noqa: S608 - plain names, quoted
            (row.extra, number, *row.values.values(), *row.key, row.before),
        )


def _is_row(kind: EntityType) -> str:
    return " AND ".join(f'"{key}" = ?' for key in kind.keys)


def _done(connection: sqlite3.Connection, name: str, columns: list[str]) -> None:
    left = sorted(set(read_records(connection)[name.lower()].unfilled) - set(columns))
    connection.execute("UPDATE [sync_entity_types] SET unfilled = ? WHERE entity_type = ?", (json.dumps(left), name))
