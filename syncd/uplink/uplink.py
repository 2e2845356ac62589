"""Store to HQ: takes rows from the send queue, sends them in batches, and makes HQ's word durable before it counts.

Several batches are in flight at once; each is a task of its own, and all that they share is the queue, on the event loop's one thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.store.outbox import PRIORITIES
from syncd.uplink.batch import SEND_BATCH, BatchSender
from syncd.uplink.outcomes import RETRY_JITTER, Delivery
from syncd.uplink.queue import LoadLane, SendQueue

if TYPE_CHECKING:
    import random
    from collections import deque
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import OutboxError
    from syncd.store.journal import Journal
    from syncd.store.outbox import Counts, OutboxReader, OutboxRow

RESCAN_SECONDS = 60.0  # an idle queue looks at its file afresh: rows with ids of their own making
LOAD_RETRY_SECONDS = 1.0
UNDURABLE_BATCHES = 8  # beyond the window: answered, and not yet on our disk


class Uplink:
    """The sending loop.

    Args:
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
        on_trouble: Callable[[StorageError | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._journal = journal
        self._sync = settings.sync
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._on_change = on_change
        self._sender = BatchSender(hub=hub, journal=journal, settings=settings, clock=clock, random=random, log=log)
        self._queue = SendQueue(max_wait_seconds=self._sync.max_wait_minutes * 60, page_rows=max(200, 4 * self._sync.batch_size))
        self._wake = asyncio.Event()  # something to send, or room to send it
        self._load = asyncio.Event()  # room in the queue, or something new on disk
        self._counts: Counts | None = None
        self._counting = asyncio.Lock()
        self._window = 0
        self._undurable = 0
        self._leaving = False
        self._clock_warned = False
        self._waiting: dict[int, datetime] = {}
        # What the status file shows:
        self.pending = dict.fromkeys(PRIORITIES, 0)
        self.failed = 0
        self.last_sent_at: datetime | None = None

    # ── the loops ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def run(self) -> None:
        """Send for ever; cancelled, it leaves what is unanswered to the next start."""
        await self._sender.start()
        await self.changed()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_loaded(), name="uplink.load")
            group.create_task(self._rescan(), name="uplink.rescan")
            await self._send(group)

    async def changed(self) -> None:
        """Somebody committed to the store's file: count what is new, and wake the sender.

        Raises:
            nothing: a file that cannot be read now is reported, and read again at the next change.
        """
        async with self._counting:
            try:
                grown = await self._count()
            except StorageError as error:
                self._on_trouble(error)
                return
            self._on_trouble(None)
        if grown:
            self._queue.grown(grown)
            self._load.set()
            self._on_change()

    async def _count(self) -> list[int]:
        """Take in what is new, or all of it afresh; the priorities that have grown."""
        known, counts = self._counts, await self._reader.count(self._counts)
        if known is not None and known.generation == counts.generation:
            for priority, number in counts.pending.items():
                self.pending[priority] += number
            self._counts = counts
            return [p for p in PRIORITIES if counts.newest_id[p] != known.newest_id[p]]
        failed = await self._reader.failed()
        held = await self._reader.failed_entities() if self._sync.hold_entity_on_failure else ()
        self._queue.reset()
        self._waiting.clear()
        for entity in held:
            self._queue.hold(entity)
        self.failed, self.pending, self._counts = failed, dict(counts.pending), counts
        return list(PRIORITIES)

    async def _rescan(self) -> None:
        """Rows with ids of their own making lie behind what was read; an idle queue has the time to look for them."""
        while True:
            await self._clock.sleep(RESCAN_SECONDS)
            try:
                unmarked = await self._journal.unmarked()
            except StorageError as error:
                self._on_trouble(error)
                continue
            if self._queue.idle and not self._undurable and not unmarked:
                self._counts = None
                await self.changed()

    async def _keep_loaded(self) -> None:
        """Keep the queue's lanes filled."""
        while True:
            want = self._queue.wants()
            if want is None:
                await self._load.wait()
                self._load.clear()
                continue
            self._queue.loading()
            try:
                if isinstance(want, LoadLane):
                    page = await self._reader.page(want.priority, want.after_id, self._queue.page_rows, self._queue.position)
                else:
                    page = await self._reader.entity_page(want.entity, want.after_id, self._queue.page_rows)
                await self._remember_first_seen([row for row in (*page.earlier, *page.rows) if row.unreadable_time])
            except StorageError as error:
                self._on_trouble(error)
                await self._clock.sleep(LOAD_RETRY_SECONDS)
                continue
            self._queue.offer(want, page, self._clock.monotonic(), self._retry_in)
            for row in (*page.earlier, *page.rows):
                if row.retry_at is not None and self._retry_in(row.retry_at) > 0:
                    self._waiting[row.id] = row.created
                else:
                    self._waiting.pop(row.id, None)
            self._wake.set()

    def _retry_in(self, at: datetime) -> float:
        """Seconds until then; a clock that was set back must not hold a row for ever."""
        return min(self._sync.retry_max_seconds * (1 + RETRY_JITTER), (at - self._clock.now()).total_seconds())

    async def _remember_first_seen(self, rows: list[OutboxRow]) -> None:
        if not rows:
            return
        if not self._clock_warned:
            self._clock_warned = True
            self._log.warning(
                "created_at_unreadable",
                first_id=rows[0].id,
                rows=len(rows),
                hint="sent as the moment they were first seen; write UTC as ISO 8601",
            )
        await self._journal.first_saw([(row.id, row.correlation_id, row.timestamp) for row in rows])

    async def _send(self, group: asyncio.TaskGroup) -> None:
        while True:
            session = await self._hub.session()
            batch = self._next_batch(session)
            if not batch:
                await self._sleep()
                continue
            self._window += 1
            self._undurable += 1
            group.create_task(self._deliver(session, batch), name=f"uplink.batch.{batch[0].id}")

    async def _sleep(self) -> None:
        """Until there is something to do."""
        now = self._clock.monotonic()
        expiry = self._queue.next_expiry(now)
        if self._sender.judge.not_before > now:
            expiry = min(expiry, self._sender.judge.not_before - now) if expiry is not None else self._sender.judge.not_before - now
        self._load.set()
        try:
            async with asyncio.timeout(expiry):
                await self._wake.wait()
        except TimeoutError:
            self._load.set()
        self._wake.clear()

    def _next_batch(self, session: HubSession) -> list[OutboxRow]:
        limiter = self._sender.limiter
        window = 1 if limiter.careful else self._sync.batches_in_flight
        now = self._clock.monotonic()
        if (
            self._leaving
            or self._window >= window
            or self._undurable >= window + UNDURABLE_BATCHES
            or now < self._sender.judge.not_before
            or session.loss is not None
        ):
            return []
        limit = self._sync.batch_size if limiter.max_rows is None else min(self._sync.batch_size, limiter.max_rows)
        budget = limiter.ceiling - session.encoded_size(SEND_BATCH, 2)
        size = 0
        alone = False

        def fits(row: OutboxRow) -> bool:
            nonlocal size, alone
            first = size == 0
            size += len(row.encoded) + 1
            suspect = limiter.suspect(row.id)
            alone = alone or (first and suspect)
            return first or (size <= budget and not alone and not suspect)

        wall = self._clock.now()
        batch = self._queue.take(limit, fits, now, lambda row: (wall - row.created).total_seconds())
        if alone:
            limiter.be_careful()
        if batch:
            self._load.set()
        return batch

    # ── one batch ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def _deliver(self, session: HubSession, rows: list[OutboxRow]) -> None:
        delivery = Delivery(rows)
        try:
            try:
                await self._sender.send(session, rows, delivery)
            finally:
                self._window -= 1
                self._wake.set()
            self._sender.judge.blame(delivery)
            await self._decide(delivery)
        finally:
            self._undurable -= 1
            for row in rows:
                if row.id not in delivery.landed:
                    self._back(row, delivery)
            self._wake.set()

    def _back(self, row: OutboxRow, delivery: Delivery) -> None:
        if not self._sender.limiter.suspect(row.id) and row.id not in delivery.aside:
            self._queue.back(row)
            return
        self._waiting[row.id] = row.created
        self._queue.wait(row, self._clock.monotonic() + self._sync.retry_base_seconds)

    async def _decide(self, delivery: Delivery) -> None:
        """Make the outcomes durable; only then do they count."""
        if not delivery.outcomes:
            return
        await self._journal.record([outcome for _, outcome in delivery.outcomes])
        now = self._clock.now()
        for row, outcome in delivery.outcomes:
            delivery.landed.add(row.id)
            self._sender.limiter.forget(row.id)
            if outcome.status == "pending":
                self._waiting[row.id] = row.created
                self._queue.wait(row, self._clock.monotonic() + delivery.delays[row.id])
                continue
            self.pending[row.priority] = max(0, self.pending[row.priority] - 1)
            if outcome.status == "sent":
                self.last_sent_at = now
            else:
                self.failed += 1
            self._queue.done(row)
            if outcome.status == "failed" and self._sync.hold_entity_on_failure:
                self._queue.hold(row.entity)
        self._on_change()

    async def drain(self, seconds: float) -> None:
        """Take nothing more, and wait so long at most until what is in flight is back and durable."""
        self._leaving = True
        began = self._clock.monotonic()
        while not self.idle and self._clock.monotonic() - began < seconds:
            await self._clock.sleep(0.01)

    # ── for the status ────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def total_pending(self) -> int:
        """Rows that wait, are in flight, or wait for their retry."""
        return sum(self.pending.values())

    @property
    def should_move(self) -> bool:
        """There is something to send, a hub to send it to, and no reason to wait."""
        return self._undurable > 0 or (bool(self._queue.in_flight) and not self._leaving)

    @property
    def idle(self) -> bool:
        """Nothing is in flight, and nothing waits to be made durable."""
        return self._undurable == 0

    @property
    def answers(self) -> int:
        """Of the hub, whatever they were: a sign of life."""
        return self._sender.answers

    @property
    def takes_no_rows(self) -> bool:
        """The hub knows neither of the two methods."""
        return self._sender.takes_no_rows

    @property
    def recent_errors(self) -> deque[OutboxError]:
        """What was refused or failed last."""
        return self._sender.judge.recent_errors

    @property
    def throws_for_everything(self) -> bool:
        """The hub answers every row with an error."""
        return self._sender.judge.throws_for_everything

    def oldest_pending(self) -> datetime | None:
        """When the oldest row that waits was written, as far as it is in memory."""
        moments = [row.created for row in self._queue.rows_in_memory()]
        moments += self._waiting.values()
        return min(moments, default=None) if self.total_pending else None
