"""Store to HQ: takes rows from the send queue, sends them in batches, and makes the outcomes durable before they count.

Several batches are in flight at once; each is a task of its own, and all that they share is the queue, on the event loop's one thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncd.store.block import Block
from syncd.uplink.batch import SEND_BATCH, BatchSender
from syncd.uplink.breaker import PROBE_ROWS, Breaker
from syncd.uplink.decisions import Decisions
from syncd.uplink.loader import Loader
from syncd.uplink.outcomes import Batch
from syncd.uplink.queue import SendQueue
from syncd.uplink.window import MessageRoom, Window
from syncd.uplink.window_size import WindowSize

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.errors import StorageError
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import OutboxStatus
    from syncd.store.journal import Journal
    from syncd.store.outbox import OutboxRow
    from syncd.store.outbox_reader import OutboxReader

PAGE_BATCHES = 16  # what one page of a lane holds; smaller ones cost more a row, larger ones more memory
STATUS_SECONDS = 5.0  # how often `accepts_nothing` is looked at, which changes with the time alone


class Uplink:
    """The sending loop.

    Args:
        status: our section of the report.
        on_trouble: told of a store database that cannot be read, and None once it can.
        on_change: told whenever a figure of the status changes.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        reader: OutboxReader,
        journal: Journal,
        settings: Settings,
        clock: Clock,
        random: random.Random,
        log: FilteringBoundLogger,
        status: OutboxStatus,
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._journal = journal
        self._sync = settings.sync
        self._clock = clock
        self._status = status
        self._on_change = on_change
        self._window = Window(WindowSize(self._sync.batches_in_flight))
        self._sender = BatchSender(
            hub=hub, journal=journal, settings=settings, clock=clock, random=random, log=log, status=status,
            on_answer=self._window.answered,
        )  # fmt: skip
        self._queue = SendQueue(max_wait_seconds=self._sync.max_wait_minutes * 60, page_rows=max(200, PAGE_BATCHES * self._sync.batch_size))
        self._wake = asyncio.Event()  # something to send, or room to send it
        self._breaker = Breaker(clock, log)
        self._loader = Loader(
            queue=self._queue, breaker=self._breaker, reader=reader, journal=journal, sync=self._sync, clock=clock, log=log, status=status,
            busy=lambda: self._window.undurable > 0, wake=self._wake, on_trouble=on_trouble, on_change=on_change,
            on_generation=self._sender.suspects.clear,
        )  # fmt: skip
        self._decisions = Decisions(
            sender=self._sender, journal=journal, queue=self._queue, loader=self._loader, breaker=self._breaker, clock=clock,
            hold_entity_on_failure=self._sync.hold_entity_on_failure, status=status, on_change=on_change,
        )  # fmt: skip
        self._session: HubSession | None = None  # the last on which something was sent

    # ── the loops ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def run(self) -> None:
        """Send for ever; cancelled, it leaves what is unanswered to the next start."""
        await self._sender.invoker.recall_limit()
        await self.changed()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loader.keep_loaded(), name="uplink.load")
            group.create_task(self._loader.rescan(), name="uplink.rescan")
            group.create_task(self._sender.sent_log.run(), name="uplink.sent_log")
            group.create_task(self._watch_acceptance(), name="uplink.status")
            await self._send(group)

    async def changed(self) -> None:
        """Somebody committed to the store's file: count what is new, and wake the sender."""
        await self._loader.changed()

    async def _send(self, group: asyncio.TaskGroup) -> None:
        while True:
            session = await self._hub.session()
            # One reading for both: what was not due yet when nothing was taken must not be over when it is reckoned how long to sleep.
            now = self._clock.monotonic()
            rows = self._next_batch(session, now)
            if not rows:
                await self._sleep(now)
                continue
            size = rows.size if isinstance(rows, Block) else sum(len(row.encoded) for row in rows)
            self._window.sent(size)
            group.create_task(self._deliver(session, rows, size), name="uplink.batch")

    async def _sleep(self, now: float) -> None:
        """Until there is something to do that there was not at this moment (monotonic)."""
        self._queue.release_due(now)
        expiry = self._queue.seconds_to_next_retry(now)
        not_before = max(self._sender.backoff.not_before, self._breaker.not_before)
        if not_before > now:
            expiry = min(expiry, not_before - now) if expiry is not None else not_before - now
        self._loader.may_load.set()
        try:
            async with self._clock.timeout(expiry):
                await self._wake.wait()
        except TimeoutError:
            self._loader.may_load.set()
        self._wake.clear()

    def _next_batch(self, session: HubSession, now: float) -> Sequence[OutboxRow]:
        suspects, breaker = self._sender.suspects, self._breaker
        not_before = max(self._sender.backoff.not_before, breaker.not_before)
        if not self._window.has_room(serial=suspects.serial or breaker.open) or now < not_before or session.loss is not None:
            return []
        if session is not self._session:
            self._session = session
            suspects.hangs.connected()
            self._window.size.connected()
        most = suspects.max_rows
        limit = self._sync.batch_size if most is None else min(self._sync.batch_size, most)
        limit = min(limit, PROBE_ROWS) if breaker.open else limit
        budget = suspects.losses.size.ceiling - session.encoded_size(SEND_BATCH, 2)
        room = MessageRoom(suspects, budget)
        wall = self._clock.now()
        batch = self._queue.take(
            limit, room.fits, now, lambda moment: (wall - moment).total_seconds(), spread=breaker.open,
            block_bytes=budget if suspects.none else None,
        )  # fmt: skip
        if room.together is not None and not suspects.hangs.seconds_left(batch[0]):
            suspects.losses.send_serially()
        if batch:
            self._loader.may_load.set()
        return batch

    # ── one batch ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def _deliver(self, session: HubSession, rows: Sequence[OutboxRow], size: int) -> None:
        batch = Batch(rows)
        try:
            try:
                await self._sender.send(session, rows, batch)
            finally:
                self._window.back(size)
                self._wake.set()
            await self._decisions.take(batch)
        finally:
            self._window.undurable -= 1
            self._decisions.requeue_rest(batch)
            self._wake.set()

    def pause(self, paused: bool) -> None:
        """Send nothing more, or go on; what is in flight comes back, and counts."""
        self._window.paused = paused
        self._wake.set()

    async def drain(self, seconds: float) -> None:
        """Take nothing more, and wait so long at most until what is in flight is answered and durable."""
        self._window.closing = True
        began = self._clock.monotonic()
        while not self.idle and self._clock.monotonic() - began < seconds:
            await self._clock.sleep(0.01)

    # ── for the status ────────────────────────────────────────────────────────────────────────────────────────────
    def refresh_status(self) -> None:
        """Bring up to date what would cost too much to follow row by row, and what changes with the time alone."""
        status = self._status
        status.sent_total, status.sent_today = self._journal.sent_total, self._journal.sent_today.count
        status.oldest_pending_at = self._oldest_pending() if status.pending_total else None
        status.accepts_nothing = self._breaker.finding() if status.pending_total else None
        status.deferred = self._sender.deferrals.report()

    def _oldest_pending(self) -> datetime | None:
        """When the oldest row that waits was written, as far as it is in memory."""
        moments = (self._queue.oldest_in_memory(), self._loader.oldest_waiting())
        return min((moment for moment in moments if moment is not None), default=None)

    async def _watch_acceptance(self) -> None:
        while True:
            await self._clock.sleep(STATUS_SECONDS)
            before = self._status.accepts_nothing
            self.refresh_status()
            if (before is None) != (self._status.accepts_nothing is None):
                self._on_change()

    @property
    def should_move(self) -> bool:
        """There is something to send, a hub to send it to, and no reason to wait."""
        return self._window.undurable > 0 or (bool(self._queue.in_flight) and not self._window.closing)

    @property
    def idle(self) -> bool:
        """Nothing is in flight, and nothing waits to be made durable."""
        return self._window.undurable == 0

    @property
    def answers(self) -> int:
        """Of the hub, whatever they were: a sign of life."""
        return self._sender.invoker.answers
