"""Is HQ's feed still the one that our cursor belongs to? A restored database or a rebuilt hub begins another.

HQ may say so (`feedEpoch`, `cursorUnknown`). Where it does not, a total or a cursor that goes back hints at it, but
some hubs always answer like that: a hint that has proved wrong is ignored from then on, and after three hints in a
day the others of that day are ignored.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from syncd.store.times import sortable

if TYPE_CHECKING:
    from syncd.clock import Clock
    from syncd.downlink.feed_page import FeedPage
    from syncd.store.feed_cursor import FeedCursor

TOTAL_ITEMS = "totalItems"
NEXT_CURSOR = "nextCursor"
HINTS_A_DAY = 3
DAY_SECONDS = 86_400.0
MAX_DIGITS = 40


@dataclass(frozen=True, slots=True)
class OtherFeed:
    """Why this page is of another feed than the cursor.

    Attributes:
        reason: for the log.
        before: where we stood.
        hint: the field that only hints at it; None where HQ says so.
    """

    reason: str
    before: FeedCursor
    hint: str | None = None


class Hints:
    """Finds hints in pages, and learns which of them are wrong at this hub."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_over_at: deque[float] = deque(maxlen=HINTS_A_DAY)
        self._suspicion: OtherFeed | None = None

    def look(self, page: FeedPage, feed: FeedCursor, cursor: str | None, since: str | None, *, first: bool) -> OtherFeed | None:
        """Whether the answer comes from another feed than the cursor that was sent; None where no cursor was sent.

        Args:
            cursor: what was sent.
            since: the moment that was sent with it, which may be earlier.
            first: the page is the first of its pass. On later ones a total that counts what is left is smaller anyway.
        """
        if cursor is None:
            return None
        if page.cursor_unknown:
            return OtherFeed("HQ does not know our cursor", feed)
        if page.feed_epoch is not None and page.feed_epoch != feed.feed_epoch:
            before = "had no name" if feed.feed_epoch is None else f"was {feed.feed_epoch}"
            return OtherFeed(f"HQ's feed is {page.feed_epoch}, and {before} when we got our cursor", feed)
        if page.feed_epoch is not None or not self._heeds_hints():
            return None
        found = self._hint(page, feed, cursor, since, first=first)
        if found is not None:
            self._started_over_at.append(self._clock.monotonic())
            self._suspicion = found
        return found

    def _hint(self, page: FeedPage, feed: FeedCursor, cursor: str, since: str | None, *, first: bool) -> OtherFeed | None:
        if NEXT_CURSOR not in feed.ignored_hints and behind(page.next_cursor, since or cursor):
            return OtherFeed(f"we asked from {cursor}, and HQ's feed ends at {page.next_cursor}", feed, NEXT_CURSOR)
        if first and TOTAL_ITEMS not in feed.ignored_hints and _fewer(page.total_items, feed.total_items):
            return OtherFeed(f"HQ's feed has {page.total_items} items, and had {feed.total_items}", feed, TOTAL_ITEMS)
        return None

    def begun(self, page: FeedPage, feed: FeedCursor) -> FeedCursor:
        """The first page from the beginning shows whether HQ's total counts everything, or what follows the cursor."""
        suspicion = self._suspicion
        if suspicion is None or suspicion.hint != TOTAL_ITEMS or _fewer(page.total_items, suspicion.before.total_items):
            return feed
        return self._wrong(feed, TOTAL_ITEMS)

    def ended(self, feed: FeedCursor) -> FeedCursor:
        """The feed's end: a cursor that is at least as far as before shows that it is the same feed."""
        suspicion, self._suspicion = self._suspicion, None
        if suspicion is None or suspicion.hint is None:
            return feed
        here, there = _value(feed.cursor), _value(suspicion.before.cursor)
        comparable = here is not None and there is not None and type(here) is type(there)
        if comparable and not behind(feed.cursor, suspicion.before.cursor):
            return self._wrong(feed, suspicion.hint)
        return feed

    def _wrong(self, feed: FeedCursor, hint: str) -> FeedCursor:
        return replace(feed, ignored_hints=feed.ignored_hints | {hint})

    def _heeds_hints(self) -> bool:
        full = len(self._started_over_at) == HINTS_A_DAY
        return not full or self._clock.monotonic() - self._started_over_at[0] >= DAY_SECONDS


def _fewer(now: int | None, before: int | None) -> bool:
    return now is not None and before is not None and now < before


def behind(cursor: str | None, asked: str | None) -> bool:
    """Whether both read as numbers, or both as times, and the cursor is the smaller one."""
    here, there = _value(cursor), _value(asked)
    if isinstance(here, Decimal) and isinstance(there, Decimal):
        return here < there
    return isinstance(here, str) and isinstance(there, str) and here < there


def _value(cursor: str | None) -> Decimal | str | None:
    """The cursor as a number, or as a time that sorts."""
    if cursor is None or len(cursor) > MAX_DIGITS:
        return None
    digits = cursor.removeprefix("-").replace(".", "", 1)
    return Decimal(cursor) if digits.isascii() and digits.isdigit() and not cursor.endswith(".") else sortable(cursor)
