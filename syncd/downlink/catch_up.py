"""The catch-up fetches what the store has missed from HQ's feed, after every connect and every few minutes.

What is new comes first, from where we stood. Then comes what has to be fetched from the beginning (a full pull):
kinds that are new in `sync.entity_types`, what somebody asked for by `syncd resync`, and once a day everything, where
HQ does not name its feed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from zlib import crc32

from syncd.downlink.feed_page import REQUEST, UnreadableResponseError
from syncd.downlink.feed_reader import FeedReader
from syncd.errors import HubError, InvocationFailure, InvocationTimeout, StorageError, invocation_failure
from syncd.hub.url import identity
from syncd.store.feed_cursor import ALL, FeedCursor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.downlink.feed_page import FeedPage
    from syncd.downlink.queue import UpdateQueue
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import InboundStatus
    from syncd.store.catalog import Catalog
    from syncd.store.inbox import Inbox

RETRY_SECONDS = 10.0  # after a request that the hub refused, or whose answer cannot be read
REQUESTS_SECONDS = 5.0  # how often we look whether somebody has asked for a full pull
SPREAD = 0.1  # of the interval, by the store's id: full pulls of stores that were started together do not coincide


class CatchUp:
    """Asks HQ for what was missed, and queues it to be applied.

    Args:
        status: the section of the report of which `cursor`, `caught_up`, the full pull and what fails are kept here.
        on_change: told whenever a figure of the status changes.
        ack_room: waits while too many acks wait for HQ.

    Attributes:
        feed: where we stand, once it is committed.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        inbox: Inbox,
        queue: UpdateQueue,
        catalog: Catalog,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        status: InboundStatus,
        on_change: Callable[[], None],
        ack_room: Callable[[], Awaitable[None]],
    ) -> None:
        self._hub = hub
        self._inbox = inbox
        self._sync = settings.sync
        self._store_id = settings.store.id
        self._clock = clock
        self._log = log
        self._status = status
        self._reader = FeedReader(queue, catalog, settings, clock, log, self._other_feed, ack_room)
        self._reader.on_full_page = self._full_page
        self._on_change = on_change
        self._pull = asyncio.Event()
        self.feed = FeedCursor(identity(settings.hub.url), str(settings.store.id), frozenset(settings.sync.entity_types))

    async def load(self) -> None:
        """Read where we stand.

        Raises:
            StorageError: the database cannot be read.
        """
        self.moved(await self._inbox.feed_cursor(self.feed.hub, self.feed.store_id) or self.feed)

    def moved(self, feed: FeedCursor) -> None:
        """All updates before this place are applied."""
        self.feed = feed
        self._status.cursor, self._status.full_pull_types = feed.cursor, feed.full_pull_types
        self._status.fully_pulled_at = feed.fully_pulled_at

    def connected(self) -> None:
        """A new connection: what was missed meanwhile is fetched now."""
        self._status.caught_up = False
        self._pull.set()

    def _other_feed(self) -> None:
        self._status.caught_up = False
        self._on_change()

    def _full_page(self, page: FeedPage) -> None:
        self._status.full_pull_items += len(page.items)
        self._status.full_pull_total = page.total_items
        self._on_change()

    async def run(self) -> None:
        """Catch up after every connect and every `pull_interval_seconds`; for ever."""
        wait = self._sync.pull_interval_seconds
        while True:
            await self._until_due(wait)
            self._pull.clear()
            session = await self._hub.session()
            self._status.catching_up = True
            wait = await self._attempt(session)
            self._status.catching_up = False
            self._on_change()

    async def _attempt(self, session: HubSession) -> float:
        """Catch up once; returns the seconds until the next time."""
        try:
            await self._catch_up(session)
        except (UnreadableResponseError, InvocationTimeout) as error:
            return self._failed(error)
        except HubError as error:
            match invocation_failure(error):
                case InvocationFailure.RETRY:  # the connection is gone; the next one begins with a catch-up
                    pass
                case InvocationFailure.REFUSED:
                    return self._failed(error)
                case InvocationFailure.METHOD_MISSING:
                    self._completed(is_missing=True)
                    reason = f"the hub has no {REQUEST}: what is missed while the line is down is not fetched"
                    self._log.warning("catch_up_unavailable", reason=reason)
        else:
            self._completed(is_missing=session.lacks(REQUEST))
        return self._sync.pull_interval_seconds

    def _completed(self, *, is_missing: bool) -> None:
        self._status.catch_up_error = None
        self._status.missing_methods = {REQUEST} if is_missing else set()

    def _failed(self, error: Exception) -> float:
        self._status.catch_up_error = f"the catch-up failed: {error}"
        self._status.missing_methods.clear()
        self._status.caught_up = False
        self._log.warning("catch_up_failed", error=str(error), retry_in_seconds=RETRY_SECONDS)
        return RETRY_SECONDS

    async def _until_due(self, seconds: float) -> None:
        """Until a new connection, until the time is up, or until somebody has asked for a full pull."""
        due = self._clock.monotonic() + seconds
        while not self._pull.is_set() and (left := due - self._clock.monotonic()) > 0:
            with suppress(TimeoutError):
                async with self._clock.timeout(min(left, REQUESTS_SECONDS)):
                    await self._pull.wait()
            if await self._requests() is not None:
                return

    async def _requests(self) -> tuple[int, frozenset[str]] | None:
        with suppress(StorageError):  # the applying loop reports it
            return await self._inbox.requests()
        return None

    async def _catch_up(self, session: HubSession) -> None:
        """What is new, and then what has to be fetched from the beginning."""
        if session.lacks(REQUEST):
            return
        await self._reader.applied()  # pages of a pass that ended with its connection
        feed = self.feed.for_types(frozenset(self._sync.entity_types))
        if requests := await self._requests():
            last, types = requests
            feed = replace(feed if feed.cursor is None else feed.with_full_pull(types), requests_taken=last)
        feed = await self._reader.read(session, self.feed, feed, full=False)
        if self._full_pull_is_due(feed):
            feed = feed.with_full_pull(ALL)
        self._reached_end(feed)
        if feed.full_pull_types is not None:
            self._on_change()
            resumed = feed.full_pull_cursor is not None
            if not resumed:
                self._status.full_pull_items, self._status.full_pull_total = 0, None
            self._log.info("full_pull_resumed" if resumed else "full_pull_started", entity_types=sorted(feed.full_pull_types))
            feed = await self._reader.read(session, self.feed, feed, full=True)
            self._reached_end(feed)
            if feed.full_pull_types is None:
                self._log.info("full_pull_finished")
            else:
                self._pull.set()  # what is new has its turn, and then this goes on

    def _reached_end(self, feed: FeedCursor) -> None:
        """A pass may outlive its connection: what was missed since, or is being left out now, is only fetched by the next one."""
        self._status.caught_up = feed.complete and not self._pull.is_set() and not self._hub.status.is_shedding
        if self._status.caught_up:
            self._status.caught_up_at = self._clock.now()

    def _full_pull_is_due(self, feed: FeedCursor) -> bool:
        """Where HQ does not name its feed, it may be another: everything is fetched again once in the interval."""
        hours = self._sync.full_pull_interval_hours
        if not hours or self._reader.feed_is_named or feed.full_pull_types is not None or None in (feed.cursor, feed.fully_pulled_at):
            return False
        spread = 1 + SPREAD * crc32(f"{self._store_id}".encode()) / 2**32
        assert feed.fully_pulled_at is not None
        # A moment in the future was written by a wrong clock.
        return abs(self._clock.now() - feed.fully_pulled_at) >= timedelta(hours=hours * spread)
