"""HQ to store: pushes and the catch-up's pages go through one queue, are committed, and only then acknowledged.

Live updates and the catch-up may cross in any order, since newer wins.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from syncd.downlink.acknowledgements import Acknowledgements
from syncd.downlink.apply import Applier
from syncd.downlink.catch_up import CatchUp
from syncd.downlink.moves import Moves
from syncd.downlink.queue import UpdateQueue
from syncd.downlink.receive import LiveUpdates
from syncd.downlink.replay import Replays
from syncd.downlink.unreadable import UnreadableMessages
from syncd.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.supervisor import Hub
    from syncd.status.report import InboundStatus
    from syncd.store.catalog import Catalog
    from syncd.store.inbox import Inbox
    from syncd.store.inbox_log import InboxLog
    from syncd.store.quarantine import Quarantined
    from syncd.store.replay import ReplayRequests

RECOUNT_SECONDS = 5.0  # a person, or the retention, may have emptied the quarantine


class Downlink:
    """The receiving side: handlers and catch-up fill the queue; the applying loop empties it, and acknowledges.

    Args:
        status: our section of the report.
        on_trouble: told of a store database that cannot be written, and None once it can.
        on_change: told whenever a figure of the status changes.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        inbox: Inbox,
        inbox_log: InboxLog,
        replay_requests: ReplayRequests,
        catalog: Catalog,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        status: InboundStatus,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._inbox_log = inbox_log
        self._status = status
        self._on_change = on_change
        self._queue = UpdateQueue()
        self._catching_up: asyncio.Task[None] | None = None
        self._acknowledgements = Acknowledgements(hub, settings.hub.max_message_bytes, clock, log, status, on_change)
        self.catch_up = CatchUp(
            hub=hub, inbox=inbox, queue=self._queue, catalog=catalog, settings=settings, clock=clock, log=log, status=status,
            on_change=on_change, ack_room=self._acknowledgements.room,
        )  # fmt: skip
        self._applier = Applier(
            self._queue, inbox, inbox_log, clock=clock, log=log, status=status, acknowledge=self._acknowledgements.add,
            on_feed=self.catch_up.moved, on_trouble=on_trouble, on_change=on_change,
        )  # fmt: skip
        self._unreadable = UnreadableMessages(clock, self._quarantine, status)
        self._moves = Moves(inbox, self._queue, catalog, clock, log)
        self._replays = Replays(replay_requests, inbox, self._queue, catalog, clock, log, self._applier.recount)
        LiveUpdates(hub, self._queue, catalog, clock, log)
        hub.on_unreadable(self._unreadable.take)
        hub.on_shed(lambda _: self.catch_up.connected())

    async def run(self) -> None:
        """Apply, catch up and acknowledge; for ever."""
        await self.catch_up.load()
        await self._applier.recount()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._applier.run(), name="downlink.apply")
            group.create_task(self._acknowledgements.run(), name="downlink.acknowledge")
            self._catching_up = group.create_task(self.catch_up.run(), name="downlink.catch_up")
            group.create_task(self._inbox_log.run(), name="downlink.inbox_log")
            group.create_task(self._recount(), name="downlink.recount")
            group.create_task(self._moves.run(), name="downlink.moves")
            group.create_task(self._replays.run(), name="downlink.replays")

    async def drain(self, seconds: float) -> None:
        """Take nothing more, and wait so long at most until what is here is applied and HQ has its acks."""
        self._queue.close()
        if self._catching_up is not None:
            self._catching_up.cancel()
        began = self._clock.monotonic()
        while not (self._applier.idle and self._acknowledgements.idle) and self._clock.monotonic() - began < seconds:
            if self._hub.status.state != "connected":
                return
            await self._clock.sleep(0.01)

    def _quarantine(self, message: Quarantined) -> None:
        self._queue.enqueue([message], [None], "live", acknowledge=False)

    async def _recount(self) -> None:
        while True:
            await self._clock.sleep(RECOUNT_SECONDS)
            with suppress(StorageError):  # whoever needs the file says so
                await self._applier.recount()
            self._on_change()

    # ── for the status and the watchdog ───────────────────────────────────────────────────────────────────────────
    def refresh_status(self) -> None:
        """Bring up to date what changes with the time alone."""
        self._status.applied_today, self._status.last_applied = self._inbox_log.applied_today, self._inbox_log.last_applied
        self._status.unreadable_reason = self._unreadable.reason()
        self._acknowledgements.refresh_status()

    @property
    def progress_count(self) -> int:
        """Grows as long as updates are applied."""
        return self._applier.progress_count

    @property
    def waiting(self) -> int:
        """Updates that are taken in and not applied yet."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Nothing waits to be applied."""
        return self._queue.is_empty
