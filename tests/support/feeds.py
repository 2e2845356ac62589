"""Where a catch-up stands, in as few words as a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.store.feed_cursor import ALL, FeedCursor

if TYPE_CHECKING:
    from syncd.store.inbox import Inbox

HUB = "https://hq.example.com:443/hubs/sync"


def feed_at(cursor: str | None) -> FeedCursor:
    """All kinds, up to this cursor."""
    return FeedCursor(HUB, "7", ALL, cursor)


async def cursor_of(inbox: Inbox) -> str | None:
    """The cursor that is on disk."""
    feed = await inbox.feed_cursor(HUB, "7")
    return None if feed is None else feed.cursor
