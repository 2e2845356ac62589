"""Applying HQ's updates: newer wins, twice is once, and the update and the cursor commit together."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store import quarantine
from syncd.store.catalog import OWN_KINDS
from syncd.store.change_seq import next_numbers
from syncd.store.declared import declared_schema
from syncd.store.feed_cursor import read_feed_cursor, read_requests, write_feed_cursor
from syncd.store.migrate import newest_schema
from syncd.store.news import KnownRows, News
from syncd.store.quarantine import Quarantined, raw_text
from syncd.store.refusal import refusal
from syncd.store.sqlite_errors import is_of_the_database, primary_code
from syncd.store.staging import Groups
from syncd.store.update import Update
from syncd.store.write_budget import MAX_ROWS, Cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from syncd.clock import Clock
    from syncd.store.catalog import Catalog
    from syncd.store.feed_cursor import FeedCursor
    from syncd.store.schema import Schema
    from syncd.store.write_budget import PacedWriter


@dataclass(slots=True)
class Applied:
    """What became of the first updates of a chunk; those after them are to be given again.

    Attributes:
        stale: for each of the updates, whether what the table had was newer, or the same.
        refused: for each update that SQLite refused, why; it is in the quarantine.
        kept: how many entries of the quarantine are new.
        whole: nothing of the chunk is left, and the cursor has moved.
    """

    stale: list[bool]
    refused: dict[int, str]
    kept: int
    whole: bool


@dataclass(slots=True)
class _Attempt:
    """One transaction for a chunk.

    Attributes:
        news: what each update changes; None where it is stale.
        refusal: why SQLite refused one of the updates; then nothing of the chunk was applied.
        kept: how many entries of the quarantine are new.
    """

    news: list[News | Quarantined | None]
    refusal: str | None = None
    kept: int = 0

    def cut(self, room: int) -> int:
        """Keep as many of the first updates as write no more than so many rows, but one; returns how many those are."""
        rows = 0
        for index, item in enumerate(self.news):
            rows += 0 if item is None else _rows(item)
            if rows > room and index:
                del self.news[index:]
                break
        return len(self.news)

    @property
    def stale(self) -> list[bool]:
        """For each update, whether what the table had was newer, or the same."""
        return [item is None for item in self.news]


@dataclass(slots=True)
class _Work:
    """What goes into one transaction."""

    news: list[News | Quarantined]
    groups: Groups
    stamp: str
    feed: FeedCursor | None
    schema: Schema
    kept: int = 0

    def write(self, connection: sqlite3.Connection) -> str | None:
        """Write it all, or nothing; returns why SQLite refused one of the updates."""
        refused = refusal(connection, lambda c: _write(c, self.groups, self.stamp), self.schema)
        if refused is None:
            self.kept = quarantine.keep(connection, [item for item in self.news if isinstance(item, Quarantined)], self.stamp)
            if self.feed is not None:
                write_feed_cursor(connection, self.feed, self.stamp)
        return refused


class Inbox:
    """Writes updates into the store's database."""

    def __init__(self, till: PacedWriter, clock: Clock, catalog: Catalog = OWN_KINDS) -> None:
        self.till = till
        self._clock = clock
        self._cost = Cost()
        self._schema = newest_schema("store", till.database.names) | declared_schema(catalog, till.database.names)
        self._most = MAX_ROWS

    def room(self) -> int:
        """How many updates one chunk may hold now."""
        return min(self._most, self.till.room(self._cost, urgent=True))

    async def apply(self, chunk: Sequence[Update | Quarantined], feed: FeedCursor | None = None) -> Applied:
        """Apply a chunk in its order, in one transaction; where SQLite refuses it, only a beginning of the chunk.

        An update that SQLite refuses even when it is the only one to be written goes into the quarantine. The updates
        after it are then compared with what the table has, not with the refused one. While the table itself is not
        there, as in the middle of a POS's rebuild, nothing is refused: the file's watch mends it, or ends the daemon.

        Args:
            feed: where the catch-up stands once the whole chunk is in.

        Raises:
            StorageError: nothing of it was applied.
        """
        items, refused = list(chunk), dict[int, str]()
        while True:
            attempt = await self._attempt(items, feed if len(items) == len(chunk) else None)
            del items[len(attempt.news) :]
            whole = len(items) == len(chunk)
            if attempt.refusal is None:
                self._most = min(MAX_ROWS, 2 * (self._most if whole and not refused else len(items)))
                return Applied(attempt.stale, refused, attempt.kept, whole)
            suspects = [index for index, item in enumerate(attempt.news) if isinstance(item, News)]
            if len(suspects) > 1:
                del items[suspects[len(suspects) // 2] :]
                continue
            (index,) = suspects
            refused[index] = attempt.refusal
            items[index] = _as_quarantined(items[index], attempt.refusal)

    async def _attempt(self, items: Sequence[Update | Quarantined], feed: FeedCursor | None) -> _Attempt:
        # No lock is needed to find out which of them are news: nothing else writes these tables.
        attempt = await self.till.database.run(lambda connection: _find_news(connection, items))
        if attempt.refusal is None and attempt.cut(max(self.room(), len(items))) < len(items):
            feed = None
        news = [item for item in attempt.news if item is not None]
        if attempt.refusal is None and (news or feed is not None):
            rows = sum(_rows(item) for item in news)
            work = _Work(news, Groups(news), iso_ms(self._clock.now()), feed, self._schema)
            if work.groups.worth_staging:
                await self.till.database.run(work.groups.stage)
            attempt.refusal = (await self.till.write(work.write, rows=max(1, rows), cost=self._cost, urgent=True)).result
            attempt.kept = work.kept
        return attempt

    async def sync(self) -> None:
        """Make what was applied durable: only then may HQ be told.

        Raises:
            StorageError: the disk refuses.
        """
        await self.till.database.sync()

    async def feed_cursor(self, hub: str, store_id: str) -> FeedCursor | None:
        """Where the catch-up stands with this hub; None before the first."""
        return await self.till.database.run(lambda connection: read_feed_cursor(connection, hub, store_id))

    async def requests(self) -> tuple[int, frozenset[str]] | None:
        """What somebody wants to have fetched from the beginning; see `read_requests`."""
        return await self.till.database.run(read_requests)

    async def quarantined(self) -> int:
        """How many messages could not be applied and are kept."""
        return await self.till.database.run(quarantine.count)


def _find_news(connection: sqlite3.Connection, items: Sequence[Update | Quarantined]) -> _Attempt:
    known = KnownRows(connection)
    bad = [item for item in items if isinstance(item, Quarantined)]
    try:
        kept = iter(quarantine.find_kept(connection, bad) if bad else ())
        known.read(item for item in items if isinstance(item, Update))
        return _Attempt([known.take(item) if isinstance(item, Update) else next(kept) for item in items])
    except sqlite3.Error as error:
        # No trigger runs here: a SELECT that SQLite cannot make says that the table is not ours at the moment.
        if is_of_the_database(error) or primary_code(error) == sqlite3.SQLITE_ERROR:
            raise
        return _Attempt([News(item) if isinstance(item, Update) else item for item in items], str(error))


def _rows(item: News | Quarantined) -> int:
    return item.rows if isinstance(item, News) else 1


def _write(connection: sqlite3.Connection, groups: Groups, stamp: str) -> None:
    """This runs within the write lock, so neighbours of one kind share a statement."""
    if not groups.rows:
        return
    numbers = next_numbers(connection, groups.rows)
    for kind, group, first in groups:
        if kind is None:
            for item in group:
                _delete(connection, item, stamp, numbers)
        elif first is None:
            connection.executemany(kind.upsert_sql[group[0].is_light], [(*item.update.values, stamp, next(numbers)) for item in group])
        else:
            lowest, *_ = islice(numbers, len(group))
            connection.execute(kind.merge_sql[group[0].is_light], (stamp, lowest - first, first, first + len(group) - 1))


def _delete(connection: sqlite3.Connection, news: News, stamp: str, numbers: Iterator[int]) -> None:
    """Leave tombstones. Where the delete has no more than the key, the row's other columns keep their values."""
    update = news.update
    sql, dates = update.entity_type.tombstone_sql, (update.version, update.updated_at, update.correlation_id, stamp)
    for key in news.tombstones:
        connection.execute(sql, (*dates, next(numbers), *key))
    if not news.writes_own_row:
        return
    number = next(numbers)
    if not (update.key_only and connection.execute(sql, (*dates, number, *update.key)).rowcount):
        connection.execute(update.entity_type.upsert_sql[False], (*update.values, stamp, number))


def _as_quarantined(item: Update | Quarantined, reason: str) -> Quarantined:
    assert isinstance(item, Update)
    return Quarantined(item.method, item.correlation_id, reason, raw_text(item.message))
