"""Where the catch-up stands. A cursor belongs to one hub's feed and the kinds asked for, and is kept with both.

A full pull fetches some kinds, or all, from the beginning once more. It has a cursor of its own, so that it can be
interrupted while the ordinary cursor follows what is new.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.text import storable
from syncd.store.times import parse_time

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

ALL: frozenset[str] = frozenset()
"""As in `sync.entity_types`: none named means all kinds."""
_COLUMNS = (
    "entity_types, cursor, feed_epoch, total_items, ignored_hints, full_pull_types, full_pull_cursor, fully_pulled_at, requests_taken"
)


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """A row of `sync_cursor`.

    Attributes:
        cursor: HQ's, verbatim; None at the beginning.
        feed_epoch: the feed's name in HQ's words; None where HQ gives none.
        total_items: how many items HQ has, as it said; None where it did not.
        ignored_hints: fields of HQ's answers that have wrongly hinted at another feed.
        full_pull_types: what is being fetched from the beginning; None for nothing.
        fully_pulled_at: when everything was last fetched from beginning to end; None where some kind has never been.
        requests_taken: the last request of `sync_resync` that is in `full_pull_types`.
    """

    hub: str
    store_id: str
    entity_types: frozenset[str]
    cursor: str | None = None
    feed_epoch: str | None = None
    total_items: int | None = None
    ignored_hints: frozenset[str] = frozenset()
    full_pull_types: frozenset[str] | None = None
    full_pull_cursor: str | None = None
    fully_pulled_at: datetime | None = None
    requests_taken: int = 0

    @property
    def complete(self) -> bool:
        """Nothing before the cursor remains to be fetched."""
        return self.full_pull_types is None or self.fully_pulled_at is not None

    def for_types(self, wanted: frozenset[str]) -> FeedCursor:
        """The same hub asked for other kinds: those that are new are fetched from their beginning."""
        if wanted == self.entity_types:
            return self
        added = _without(wanted, self.entity_types)
        pulled = None if self.full_pull_types is None else _within(self.full_pull_types, wanted)
        feed = replace(self, entity_types=wanted, total_items=None, full_pull_types=pulled)
        if added is None or feed.cursor is None:
            return feed
        return replace(feed.with_full_pull(added), fully_pulled_at=None)

    def with_full_pull(self, types: frozenset[str]) -> FeedCursor:
        """Fetch these kinds from the beginning, together with those of a full pull that is under way."""
        pulled = self.full_pull_types
        both = types if pulled is None else ALL if ALL in (types, pulled) else types | pulled
        return replace(self, full_pull_types=_within(both, self.entity_types), full_pull_cursor=None)

    def from_the_beginning(self, feed_epoch: str | None) -> FeedCursor:
        """Start over: this cursor belongs to another feed than HQ has now."""
        return FeedCursor(
            self.hub, self.store_id, self.entity_types,
            feed_epoch=feed_epoch, ignored_hints=self.ignored_hints, requests_taken=self.requests_taken,
        )  # fmt: skip

    def at_the_end(self, now: datetime) -> FeedCursor:
        """The ordinary cursor has reached the feed's end; the first time, it has fetched everything."""
        return replace(self, fully_pulled_at=now) if self.fully_pulled_at is None and self.full_pull_types is None else self

    def fully_pulled(self, now: datetime) -> FeedCursor:
        """The full pull has reached the feed's end."""
        everything = self.fully_pulled_at is None or self.full_pull_types in (ALL, self.entity_types)
        return replace(
            self, full_pull_types=None, full_pull_cursor=None, fully_pulled_at=now if everything else self.fully_pulled_at
        )  # fmt: skip


def read_feed_cursor(connection: sqlite3.Connection, hub: str, store_id: str) -> FeedCursor | None:
    """Where we stand in this hub's feed; None for a hub that has never been asked."""
    sql = f"SELECT {_COLUMNS} FROM [sync_cursor] WHERE hub = ? AND store_id = ?"  # noqa: S608 - a constant
    row = connection.execute(sql, (hub, store_id)).fetchone()
    if row is None:
        return None
    types, cursor, epoch, total, hints, pulled, pulled_to, pulled_at, taken = row
    moment = parse_time(pulled_at) if pulled_at else None
    return FeedCursor(
        hub, store_id, _set(types), cursor, epoch, total, _set(hints), None if pulled is None else _set(pulled), pulled_to,
        moment and moment[0], taken,
    )  # fmt: skip


def write_feed_cursor(connection: sqlite3.Connection, feed: FeedCursor, stamp: str) -> None:
    """Keep it, within the transaction of the updates before it."""
    connection.execute(
        f"INSERT OR REPLACE INTO [sync_cursor] (hub, store_id, {_COLUMNS}, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            feed.hub, feed.store_id,
            _text(feed.entity_types), _kept(feed.cursor), feed.feed_epoch, feed.total_items, _text(feed.ignored_hints),
            None if feed.full_pull_types is None else _text(feed.full_pull_types), _kept(feed.full_pull_cursor),
            None if feed.fully_pulled_at is None else iso_ms(feed.fully_pulled_at), feed.requests_taken, stamp,
        ),
    )  # fmt: skip
    connection.execute("DELETE FROM [sync_resync] WHERE id <= ?", (feed.requests_taken,))


def read_requests(connection: sqlite3.Connection) -> tuple[int, frozenset[str]] | None:
    """The last request to fetch from the beginning, and the kinds of all requests; None where there is none."""
    rows = connection.execute("SELECT id, entity_type FROM [sync_resync] ORDER BY id").fetchall()
    if not rows:
        return None
    types = {str(entity_type) for _, entity_type in rows}
    return rows[-1][0], ALL if "" in types else frozenset(types)


def _without(wanted: frozenset[str], covered: frozenset[str]) -> frozenset[str] | None:
    """The kinds that are wanted and not covered; None where there is none."""
    if covered == ALL:
        return None
    return ALL if wanted == ALL else (wanted - covered) or None


def _within(types: frozenset[str], wanted: frozenset[str]) -> frozenset[str] | None:
    """Those of these kinds that are wanted; None where there is none."""
    if wanted == ALL:
        return types
    return wanted if types == ALL else (types & wanted) or None


def _kept(cursor: str | None) -> str | None:
    return None if cursor is None else storable(cursor)


def _text(names: frozenset[str]) -> str:
    return storable(json.dumps(sorted(names), ensure_ascii=False))


def _set(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))
