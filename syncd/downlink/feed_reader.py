"""One pass over HQ's feed, from where we stand to its end; the next pages are fetched while one is applied."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncd.clock import iso_ms
from syncd.downlink.feed_page import REQUEST, UnreadableResponseError, read_page
from syncd.downlink.other_feed import Hints, behind
from syncd.downlink.page_size import PageSize
from syncd.downlink.reading import MessageReader, in_chunks
from syncd.downlink.sync_item import update_of_item
from syncd.errors import ConnectionLost, InvocationTimeout, UnreadableAnswer
from syncd.store.feed_cursor import ALL
from syncd.store.times import for_the_wire, parse_time
from syncd.wire.messages import batch_sync_request

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.downlink.feed_page import FeedPage
    from syncd.downlink.queue import Refusals, UpdateQueue
    from syncd.errors import HubError
    from syncd.hub.session import HubSession
    from syncd.store.catalog import Catalog
    from syncd.store.feed_cursor import FeedCursor

PAGES_AHEAD = 2  # fetched and not applied yet
MESSAGE_TOO_BIG = 1009  # the WebSocket close code
MAX_PAUSE_SECONDS = 5.0  # between two pages of a full pull that is a precaution only


class FeedReader:
    """Fetches pages and queues them to be applied.

    Args:
        on_other_feed: called when everything has to be fetched from the beginning.
        ack_room: waits while too many acks wait for HQ.

    Attributes:
        feed_is_named: HQ's last answer had a `feedEpoch`.
        on_full_page: told of each page of a full pull.
    """

    def __init__(
        self,
        queue: UpdateQueue,
        catalog: Catalog,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        on_other_feed: Callable[[], None],
        ack_room: Callable[[], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._catalog = catalog
        self._sync = settings.sync
        self._store_id = settings.store.id
        self._clock = clock
        self._log = log
        self._on_other_feed = on_other_feed
        self._ack_room = ack_room
        self._hints = Hints(clock)
        self._page_size = PageSize(settings.sync.pull_batch_size)
        self._waiting: deque[asyncio.Future[Refusals]] = deque()
        self.feed_is_named = False
        self.on_full_page: Callable[[FeedPage], None] = lambda _: None

    async def applied(self, ahead: int = 0) -> None:
        """Wait until at most so many of the queued pages are still to be applied."""
        while len(self._waiting) > ahead:
            await self._waiting[0]
            self._waiting.popleft()  # not before: a flapping line could pile pages up

    async def read(self, session: HubSession, stored: FeedCursor, feed: FeedCursor, *, full: bool) -> FeedCursor:
        """Read to the end of the feed; a full pull may be interrupted to let what is new be fetched first.

        Args:
            stored: where we stand on disk.
            feed: where we stand.
            full: go on with the full pull; otherwise fetch what is new.

        Returns:
            Where we stand then; it is on disk.

        Raises:
            HubError: a request failed.
            UnreadableResponseError: the hub's answer cannot be used.
        """
        began = self._clock.monotonic()
        paced = full and feed.complete  # a precaution only: nothing is known to be missing
        first, started_over = True, False
        seen: set[str] = set()
        items = pages = 0
        while True:
            await self._ack_room()
            asked_at = self._clock.monotonic()
            cursor = feed.full_pull_cursor if full else feed.cursor
            since = self._since(cursor, first)
            page = await self._ask(session, feed.full_pull_types if full else feed.entity_types, cursor, since)
            other = None if started_over else self._hints.look(page, feed, cursor, since, first=first)
            if other is not None:
                self._log.warning("catch_up_started_over", reason=other.reason, cursor=cursor)
                feed, first, started_over = feed.from_the_beginning(page.feed_epoch), True, True
                full = paced = False
                seen.clear()
                self._on_other_feed()
                continue
            if page.cursor_unknown and cursor is not None and not page.items:
                raise UnreadableResponseError("the hub does not know the cursor that it gave a moment ago")
            feed = self._moved(feed, page, cursor, full=full, first=first)
            if page.items or feed != stored:
                self._waiting.append(await self._enqueue(page.items, feed if feed != stored else None))
                stored = feed
            items, pages = items + len(page.items), pages + 1
            if full:
                self.on_full_page(page)
            if not page.has_more:
                break
            _require_progress(page, cursor, seen, first=first)
            first = False
            await self.applied(0 if paced else PAGES_AHEAD)
            if full and self._clock.monotonic() - began >= self._sync.pull_interval_seconds:
                break
            if paced:  # it takes at most half of HQ's and the store's time
                await self._clock.sleep(min(MAX_PAUSE_SECONDS, self._clock.monotonic() - asked_at))
        await self.applied()
        if items:
            self._log.info("caught_up", items=items, pages=pages, full_pull=full)
        return feed

    async def _ask(self, session: HubSession, types: frozenset[str] | None, cursor: str | None, since: str | None) -> FeedPage:
        page = read_page(await self._answer(session, types, cursor, since))
        self.feed_is_named = page.feed_epoch is not None
        return page

    async def _answer(self, session: HubSession, types: frozenset[str] | None, cursor: str | None, since: str | None) -> object:
        """Ask for a page; for a smaller one where it is too large for us or for somebody between, or takes HQ too long."""
        while True:
            size = self._page_size.items
            try:
                answer = await session.invoke(REQUEST, batch_sync_request(self._store_id, cursor, since, sorted(types or ALL), size))
            except UnreadableAnswer as error:
                if not self._page_size.halve():
                    raise
                self._tell_size(error)
            except InvocationTimeout as error:
                if self._page_size.timed_out():  # for the next connection
                    self._tell_size(error)
                raise
            except ConnectionLost as error:
                if error.close_code == MESSAGE_TOO_BIG and self._page_size.halve():  # the same
                    self._tell_size(error)
                raise
            else:
                self._page_size.arrived()
                return answer

    def _tell_size(self, error: HubError) -> None:
        self._log.warning("catch_up_page_halved", error=str(error), batch_size=self._page_size.items)

    async def _enqueue(self, items: list[Any], feed: FeedCursor | None) -> asyncio.Future[Refusals]:
        """Queue a page's items, some at a time; the cursor moves with the last, whose future is done when all are."""
        reader = MessageReader(REQUEST, lambda item: update_of_item(self._catalog, item, REQUEST), self._log)
        async for messages in in_chunks(items):
            read = reader.read(messages)
            self._queue.enqueue(read.items, read.correlation_ids, "catchup")
        rest = reader.finish()
        return self._queue.enqueue(rest, [None] * len(rest), "catchup", feed=feed)

    def _moved(self, feed: FeedCursor, page: FeedPage, cursor: str | None, *, full: bool, first: bool) -> FeedCursor:
        """Where we stand once the page is applied."""
        now = self._clock.now()
        if full:
            feed = replace(feed, full_pull_cursor=page.next_cursor or cursor)
            return feed if page.has_more else feed.fully_pulled(now)
        if first:
            feed = replace(feed, total_items=page.total_items)
            if cursor is None:
                feed = self._hints.begun(page, replace(feed, feed_epoch=page.feed_epoch or feed.feed_epoch))
        if page.items or page.has_more or not behind(page.next_cursor, cursor):
            feed = replace(feed, cursor=page.next_cursor or cursor)
        return feed if page.has_more else self._hints.ended(feed.at_the_end(now))

    def _since(self, cursor: str | None, first: bool) -> str | None:
        """The cursor as a time, where it is one; earlier on the first page, since rows may share an instant."""
        parsed = parse_time(cursor) if cursor is not None else None
        if cursor is None or parsed is None:
            return None
        if not first:
            return for_the_wire(cursor)
        try:
            return iso_ms(parsed[0] - timedelta(seconds=self._sync.cursor_overlap_seconds))
        except OverflowError:  # .NET's DateTime.MinValue: there is nothing earlier
            return for_the_wire(cursor)


def _require_progress(page: FeedPage, cursor: str | None, seen: set[str], *, first: bool) -> None:
    """A hub that has more must give a new cursor; one that repeats its cursors is not followed.

    Raises:
        UnreadableResponseError: it gives none.
    """
    if page.next_cursor is None or page.next_cursor in seen or (page.next_cursor == cursor and not first):
        raise UnreadableResponseError("the hub says that there is more, and gives no new cursor")
    seen.add(page.next_cursor)
