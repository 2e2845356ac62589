"""The catch-up: what the store has missed is fetched page by page from HQ's feed, after every connect and every few minutes.

What is new comes first, from where we stood. Then comes what has to be fetched from the beginning (a full pull): kinds that are new in
`sync.entity_types`, what somebody asked for by `syncd resync`, and once a day everything, where HQ does not name its feed.
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
from syncd.errors import HubError, InvocationError, MessageTooLarge, MethodMissing, StorageError
from syncd.hub.url import identity
from syncd.store.feed_cursor import ALL, FeedCursor

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.downlink.queue import UpdateQueue
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.store.inbox import Inbox

CATCH_UP_RETRY_SECONDS = 10.0
REQUESTS_SECONDS = 5.0  # how often we look whether somebody has asked for a full pull
SPREAD = 0.1  # of the interval: full pulls of a fleet that was begun together drift apart


class CatchUp:
    """Asks HQ for what was missed, and queues it to be applied.

    Args:
        on_change: told whenever a figure of the status changes.

    Attributes:
        feed: where we stand, once it is committed.
        caught_up: HQ had no more, on this connection, and nothing before that is missing.
        active: pages are being fetched.
        error: why the last catch-up did not come to its end.
        lacks_method: the hub has no `RequestBatchSync`.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        inbox: Inbox,
        queue: UpdateQueue,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._inbox = inbox
        self._sync = settings.sync
        self._store_id = settings.store.id
        self._clock = clock
        self._log = log
        self._reader = FeedReader(queue, settings, clock, log, self._other_feed)
        self._on_change = on_change
        self._pull = asyncio.Event()
        self.feed = FeedCursor(identity(settings.hub.url), str(settings.store.id), frozenset(settings.sync.entity_types))
        self.caught_up = False
        self.active = False
        self.error: str | None = None
        self.lacks_method = False

    @property
    def cursor(self) -> str | None:
        """HQ's cursor, for the status and the heartbeat."""
        return self.feed.cursor

    async def load(self) -> None:
        """Find where we stand.

        Raises:
            StorageError: the database cannot be read.
        """
        self.feed = await self._inbox.feed_cursor(self.feed.hub, self.feed.store_id) or self.feed

    def moved(self, feed: FeedCursor) -> None:
        """All updates before this place are applied."""
        self.feed = feed

    def connected(self) -> None:
        """A new connection: what was missed meanwhile is fetched now."""
        self.caught_up = False
        self._pull.set()

    def _other_feed(self) -> None:
        self.caught_up = False
        self._on_change()

    async def run(self) -> None:
        """Catch up after every connect and every `pull_interval_seconds`; for ever."""
        wait = self._sync.pull_interval_seconds
        while True:
            await self._until_due(wait)
            self._pull.clear()
            session = await self._hub.session()
            wait = self._sync.pull_interval_seconds
            self.active = True
            try:
                await self._catch_up(session)
            except MethodMissing:
                self.lacks_method = True
                self.error = f"the hub has no {REQUEST}: what is missed while the line is down is not fetched"
                self._log.warning("catch_up_unavailable", reason=self.error)
            except (InvocationError, MessageTooLarge, UnreadableResponseError) as error:
                self.error = f"the catch-up failed: {error}"
                self.caught_up = False
                wait = CATCH_UP_RETRY_SECONDS
                self._log.warning("catch_up_failed", error=str(error), retry_in_seconds=wait)
            except HubError:  # the connection is gone; the next one begins with a catch-up
                pass
            else:
                self.error = None
                self.lacks_method = session.lacks(REQUEST)
            self.active = False
            self._on_change()

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
        with suppress(StorageError):  # whoever applies something says so
            return await self._inbox.requests()
        return None

    async def _catch_up(self, session: HubSession) -> None:
        """What is new, and then what has to be fetched from the beginning."""
        if session.lacks(REQUEST):
            return
        await self._reader.applied()  # of a pass that the line cut short
        feed = self.feed.for_types(frozenset(self._sync.entity_types))
        if requests := await self._requests():
            last, types = requests
            feed = replace(feed if feed.cursor is None else feed.with_full_pull(types), requests_taken=last)
        feed = await self._reader.read(session, self.feed, feed, full=False)
        if self._full_pull_is_due(feed):
            feed = feed.with_full_pull(ALL)
        self.caught_up = feed.complete
        if feed.full_pull_types is not None:
            self._on_change()
            resumed = feed.full_pull_cursor is not None
            self._log.info("full_pull_resumed" if resumed else "full_pull_started", entity_types=sorted(feed.full_pull_types))
            feed = await self._reader.read(session, self.feed, feed, full=True)
            self.caught_up = feed.complete
            if feed.full_pull_types is None:
                self._log.info("full_pull_finished")
            else:
                self._pull.set()  # what is new has its turn, and then this goes on

    def _full_pull_is_due(self, feed: FeedCursor) -> bool:
        """The net, where HQ does not tell that its feed is another: everything once more, at most once in the interval."""
        hours = self._sync.full_pull_interval_hours
        if not hours or self._reader.feed_is_named or feed.full_pull_types is not None or None in (feed.cursor, feed.fully_pulled_at):
            return False
        spread = 1 + SPREAD * crc32(f"{self._store_id}".encode()) / 2**32
        assert feed.fully_pulled_at is not None
        # A moment that lies ahead was written by a clock that was wrong.
        return abs(self._clock.now() - feed.fully_pulled_at) >= timedelta(hours=hours * spread)
