"""After `sync.retention_days` rows are deleted, a few at a time: sent or cancelled ones, the quarantine, past prices.

Rows that are pending or failed are never deleted: they are sales that HQ does not have. Each row is decided by its
own time, so that one that was sent late, or stamped by a wrong clock, keeps no other. That is why every table is read
from end to end, in pages of a bounded number of rows, on a connection that nothing urgent uses; only the deletes go
through the writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.names import names_of
from syncd.store.outbox import MIN_ID
from syncd.store.rebuild import REPLACED
from syncd.store.retry_delays import PURGE_RETRY_SECONDS
from syncd.store.text import any_text
from syncd.store.times import sortable
from syncd.store.write_budget import Cost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from syncd.clock import Clock
    from syncd.store.database import Database
    from syncd.store.opening import StoreFiles
    from syncd.store.write_budget import PacedWriter

FIRST_SECONDS = 60.0  # after the start, when other work is more urgent
INTERVAL_SECONDS = 3600.0
PAGE_ROWS = 500  # a few milliseconds, whatever the rows are
PAUSE_SECONDS = 0.02  # between two pages: a million rows take less than a minute an hour, at a tenth of one core


@dataclass(frozen=True, slots=True)
class Sweep:
    """How one table's old rows are found and deleted.

    Attributes:
        page: `SELECT` of the next rows, by number: the number and the time from which the row's days count; NULL
            where the row is kept. Its parameters are the number before the page and how many rows to look at. Nothing
            else may bound it.
        delete: one row, by number and time, so that a row that has changed since the page was read is kept.
    """

    page: str
    delete: str


def _records(table: str, moment: str) -> Sweep:
    return Sweep(
        page=f"SELECT id, {moment} FROM [{table}] WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - names of ours
        delete=f"DELETE FROM [{table}] WHERE id = ? AND {moment} IS ?",  # noqa: S608
    )


OUTBOX = (
    Sweep(
        page="SELECT id, CASE WHEN status IN ('sent', 'cancelled') THEN coalesce(sent_at, created_at) END FROM [sync_outbox] "
        "WHERE id > ? ORDER BY id LIMIT ?",
        delete="DELETE FROM [sync_outbox] WHERE id = ? AND status IN ('sent', 'cancelled') AND coalesce(sent_at, created_at) IS ?",
    ),
)
# A price is over once it has ended, or once two later ones that do not end have begun: the one directly behind the price
# in force comes into force again when HQ withdraws that. Tombstones stay: they keep older updates out.
_PRICE_OVER = """
CASE WHEN is_deleted = 0 THEN (
    SELECT min(coalesce([prices].effective_to, later.moment), coalesce(later.moment, [prices].effective_to)) FROM (
        SELECT (
            SELECT effective_from FROM [prices] AS other
            WHERE other.product_id = [prices].product_id AND other.price_list = [prices].price_list
              AND other.effective_from > [prices].effective_from AND other.is_deleted = 0 AND other.effective_to IS NULL
            ORDER BY effective_from LIMIT 1 OFFSET 1
        ) AS moment
    ) AS later
) END
"""
PRICES = Sweep(
    page=f"SELECT rowid, {_PRICE_OVER} FROM [prices] WHERE rowid > ? ORDER BY rowid LIMIT ?",  # noqa: S608 - constants
    delete=f"DELETE FROM [prices] WHERE rowid = ? AND {_PRICE_OVER} IS ?",  # noqa: S608
)
# The record of updates of the first release, which nothing writes or reads any more: all its rows are deleted. The
# empty table stays: a migration step runs before this, and would drop it full. Within the till's write lock a DROP
# reads every page and, where SQLite is built with secure_delete, writes it: 0.7 s for a million rows.
_FORMER_INBOX = Sweep(
    page="SELECT id, '0001-01-01' FROM [sync_inbox] WHERE id > ? ORDER BY id LIMIT ?",
    delete="DELETE FROM [sync_inbox] WHERE id = ? AND ? IS NOT NULL",
)
STORE = (_FORMER_INBOX, _records("sync_quarantine", "received_at"), PRICES)


class Retention:
    """Deletes what is older than `days`.

    Args:
        days: 0 keeps everything.
    """

    def __init__(self, files: StoreFiles, days: float, clock: Clock, on_trouble: Callable[[StorageError | None], None]) -> None:
        outbox, store = files.maintenance[0], files.maintenance[-1]
        self._sweeps = [(sweep, outbox, files.outbox, Cost()) for sweep in OUTBOX] + [
            (sweep, store, files.store, Cost()) for sweep in STORE
        ]
        self._store = store, files.store
        self._days = days
        self._clock = clock
        self._on_trouble = on_trouble

    async def run(self) -> None:
        """Purge soon and every hour; for ever."""
        await self._clock.sleep(FIRST_SECONDS)
        while True:
            try:
                await self.clear_replaced()
                if self._days > 0:
                    await self.purge()
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(PURGE_RETRY_SECONDS)
            else:
                self._on_trouble(None)
                await self._clock.sleep(INTERVAL_SECONDS)

    async def clear_replaced(self) -> None:
        """Empty the tables that an upgrade has replaced, and drop them; whatever `days` is.

        Raises:
            StorageError: a file cannot be read or written; what is left is deleted the next time.
        """
        reader, writer = self._store
        for name in await reader.run(_replaced):
            sweep = Sweep(
                page=f"SELECT rowid, '0001-01-01' FROM \"{name}\" WHERE rowid > ? ORDER BY rowid LIMIT ?",  # noqa: S608 - a name of ours
                delete=f'DELETE FROM "{name}" WHERE rowid = ? AND ? IS NOT NULL',  # noqa: S608
            )
            await self._sweep(sweep, reader, writer, Cost(), "9999")
            await writer.write(partial(_drop, name=name), rows=1, cost=Cost(), urgent=False)

    async def purge(self) -> int:
        """Delete what is older than `days`.

        Returns:
            How many rows are.

        Raises:
            StorageError: a file cannot be read or written; what is left is deleted the next time.
        """
        before = sortable(iso_ms(self._clock.now() - timedelta(days=self._days))) or ""
        return sum([await self._sweep(*sweep, before) for sweep in self._sweeps])

    async def _sweep(self, sweep: Sweep, reader: Database, writer: PacedWriter, cost: Cost, before: str) -> int:
        after, found = MIN_ID, 0
        while True:
            rows = await reader.run(partial(_page, sql=sweep.page, after=after))
            old = [(number, at) for number, at in rows if isinstance(at, str) and (moment := sortable(at)) is not None and moment < before]
            found += len(old)
            while old:
                room = writer.room(cost, urgent=False)
                chunk, old = old[:room], old[room:]
                await writer.write(partial(_delete, sql=sweep.delete, rows=chunk), rows=len(chunk), cost=cost, urgent=False)
            if len(rows) < PAGE_ROWS:
                return found
            after = rows[-1][0]
            await self._clock.sleep(PAUSE_SECONDS)


def _replaced(connection: sqlite3.Connection) -> list[str]:
    start = names_of(connection).of(REPLACED)
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?", (len(start), start))
    return [name for (name,) in found]


def _drop(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(f'DROP TABLE "{name}"')


def _page(connection: sqlite3.Connection, sql: str, after: int) -> list[tuple[int, object]]:
    return any_text(connection, lambda: connection.execute(sql, (after, PAGE_ROWS)).fetchall())


def _delete(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[int, str]]) -> None:
    connection.executemany(sql, rows)
