"""The catch-up: what the store has missed is fetched page by page from HQ's feed, after every connect and every few minutes."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncd.clock import iso_ms
from syncd.downlink.receive import REQUEST, UnreadableResponseError, read_page
from syncd.errors import HubError, InvocationError, InvocationTimeout, MessageTooLarge, MethodMissing
from syncd.store.times import for_the_wire, parse_time
from syncd.wire.messages import batch_sync_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub

CATCH_UP_RETRY_SECONDS = 10.0
PAGES_AHEAD = 2  # fetched while an earlier one is applied


class CatchUp:
    """Asks HQ for what was missed, and hands it over to be applied.

    Args:
        deliver: takes a page's items and the cursor behind them (None where it has not moved); done once they are applied and on disk.
        on_change: told whenever a figure of the status changes.

    Attributes:
        cursor: where we stand, once it is committed.
        caught_up: HQ had no more, on this connection.
        active: pages are being fetched.
        error: why the last catch-up did not come to its end.
        lacks_method: the hub has no `RequestBatchSync`.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        deliver: Callable[[list[Any], str | None], Awaitable[asyncio.Future[list[dict[str, object]]]]],
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._sync = settings.sync
        self._store_id = settings.store.id
        self._clock = clock
        self._log = log
        self._deliver = deliver
        self._on_change = on_change
        self._pull = asyncio.Event()
        self._waiting: deque[asyncio.Future[list[dict[str, object]]]] = deque()
        self.cursor: str | None = None
        self.caught_up = False
        self.active = False
        self.error: str | None = None
        self.lacks_method = False

    def connected(self) -> None:
        """A new connection: what was missed meanwhile is fetched now."""
        self.caught_up = False
        self._pull.set()

    async def run(self) -> None:
        """Catch up after every connect and every `pull_interval_seconds`; for ever."""
        wait = self._sync.pull_interval_seconds
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._pull.wait()
            except TimeoutError:
                pass
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
            except InvocationTimeout as error:
                await session.drop(str(error))
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

    async def _catch_up(self, session: HubSession) -> None:
        """Page by page until HQ has no more; a page is fetched while the one before is applied."""
        if session.lacks(REQUEST):
            return
        await self._until_applied()  # the pages of one that was cut short: a line that flaps must not pile them up
        cursor, first = self.cursor, True
        stored = cursor
        items = pages = 0
        while True:
            request = batch_sync_request(
                self._store_id, cursor, self._since(cursor, first), list(self._sync.entity_types), self._sync.pull_batch_size
            )
            page = read_page(await session.invoke(REQUEST, request))
            moved = page.next_cursor if page.next_cursor is not None and page.next_cursor != stored else None
            if page.items or moved is not None:
                self._waiting.append(await self._deliver(page.items, moved))
                stored = moved or stored
            items, pages = items + len(page.items), pages + 1
            await self._until_applied(all_but=PAGES_AHEAD)
            if not page.has_more:
                break
            if page.next_cursor is None or (page.next_cursor == cursor and not first):
                raise UnreadableResponseError("the hub says that there is more, and gives no new cursor")
            cursor, first = page.next_cursor, False
        await self._until_applied()
        self.caught_up = True
        if items:
            self._log.info("caught_up", items=items, pages=pages)

    async def _until_applied(self, all_but: int = 0) -> None:
        while len(self._waiting) > all_but:
            await self._waiting[0]
            self._waiting.popleft()

    def _since(self, cursor: str | None, first: bool) -> str | None:
        """The cursor once more as a time, where it reads as one; earlier on the first page, since rows may share an instant."""
        parsed = parse_time(cursor) if cursor is not None else None
        if cursor is None or parsed is None:
            return None
        if not first:
            return for_the_wire(cursor)
        try:
            return iso_ms(parsed[0] - timedelta(seconds=self._sync.cursor_overlap_seconds))
        except OverflowError:  # .NET's DateTime.MinValue: there is nothing earlier
            return for_the_wire(cursor)
