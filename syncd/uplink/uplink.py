"""Store to HQ: takes rows from the send queue, sends them in batches, and makes HQ's word durable before it counts.

Several batches are in flight at once; each is a task of its own, and all that they share is the queue, on the event loop's one thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from syncd.errors import (
    ConnectionLost,
    HubError,
    InvocationError,
    InvocationTimeout,
    MessageTooLarge,
    MethodMissing,
    StorageError,
)
from syncd.store.outbox import PRIORITIES
from syncd.store.times import parse_time
from syncd.uplink.message_size import MessageLimiter, Unanswered
from syncd.uplink.outcomes import RETRY_JITTER, Delivery, Judge
from syncd.uplink.queue import LoadLane, SendQueue
from syncd.wire.messages import UnreadableVerdictError, read_verdicts

if TYPE_CHECKING:
    import random
    from collections import deque
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import OutboxError
    from syncd.store.journal import Journal
    from syncd.store.outbox import Counts, Entity, OutboxReader, OutboxRow

SEND_BATCH = "SendSyncBatch"
SEND_ITEM = "SendSyncItem"
RESCAN_SECONDS = 60.0  # an idle queue looks at its file afresh: rows with ids of their own making
LOAD_RETRY_SECONDS = 1.0
ALONE_SECONDS = 0.02  # how often a suspected row looks whether it is alone
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
        self._hub_url = settings.hub.url
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._on_change = on_change
        self.limiter = MessageLimiter(settings.hub.max_message_bytes)
        self._judge = Judge(settings.sync, clock, random, log)
        self._queue = SendQueue(max_wait_seconds=self._sync.max_wait_minutes * 60, page_rows=max(200, 4 * self._sync.batch_size))
        self._wake = asyncio.Event()  # something to send, or room to send it
        self._load = asyncio.Event()  # room in the queue, or something new on disk
        self._counts: Counts | None = None
        self._counting = asyncio.Lock()
        self._window = 0
        self._undurable = 0
        self._unanswered: dict[int, Unanswered] = {}
        self._judged: HubSession | None = None
        self._leaving = False
        self._clock_warned = False
        self._waiting: dict[int, datetime] = {}
        # What the status file shows:
        self.pending = dict.fromkeys(PRIORITIES, 0)
        self.failed = 0
        self.last_sent_at: datetime | None = None
        self.answers = 0  # of the hub, whatever they were: a sign of life
        self.takes_no_rows = False  # the hub knows neither of the two methods

    # ── the loops ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def run(self) -> None:
        """Send for ever; cancelled, it leaves what is unanswered to the next start."""
        await self._learn_from_journal()
        await self.changed()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_loaded(), name="uplink.load")
            group.create_task(self._rescan(), name="uplink.rescan")
            await self._send(group)

    async def _learn_from_journal(self) -> None:
        known = await self._journal.message_limit(self._hub_url)
        if known is not None:
            learned = parse_time(known.learned_at)
            age = (self._clock.now() - learned[0]).total_seconds() if learned else 0.0
            self.limiter = MessageLimiter(
                self.limiter.configured, passed=known.passed, too_large=known.too_large, now=self._clock.monotonic() - max(0.0, age)
            )

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
        if self._judge.not_before > now:
            expiry = min(expiry, self._judge.not_before - now) if expiry is not None else self._judge.not_before - now
        self._load.set()
        try:
            async with asyncio.timeout(expiry):
                await self._wake.wait()
        except TimeoutError:
            self._load.set()
        self._wake.clear()

    def _next_batch(self, session: HubSession) -> list[OutboxRow]:
        limiter = self.limiter
        window = 1 if limiter.careful else self._sync.batches_in_flight
        now = self._clock.monotonic()
        if (
            self._leaving
            or self._window >= window
            or self._undurable >= window + UNDURABLE_BATCHES
            or now < self._judge.not_before
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
                await self._send_rows(session, rows, delivery)
            finally:
                self._window -= 1
                self._wake.set()
            self._judge.blame(delivery)
            await self._decide(delivery)
        finally:
            self._undurable -= 1
            for row in rows:
                if row.id not in delivery.landed:
                    self._back(row, delivery)
            self._wake.set()

    def _back(self, row: OutboxRow, delivery: Delivery) -> None:
        if not self.limiter.suspect(row.id) and row.id not in delivery.aside:
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
            self.limiter.forget(row.id)
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

    async def _send_rows(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery) -> None:
        rows = [row for row in rows if self._sendable(session, row, delivery)]
        if not rows:
            return
        if session.lacks(SEND_BATCH):
            await self._send_singly(session, rows, delivery)
            return
        argument = b"[" + b",".join([row.encoded for row in rows]) + b"]"
        size = session.encoded_size(SEND_BATCH, len(argument))
        began = self._clock.monotonic()
        try:
            verdicts = read_verdicts(await self._invoke(session, SEND_BATCH, argument, size, rows))
        except MethodMissing:
            await self._send_singly(session, rows, delivery)
        except InvocationTimeout as error:
            await session.drop(str(error))
        except InvocationError as error:
            self.limiter.passed(size, len(rows), self._clock.monotonic())
            await self._halve(session, rows, delivery, error)
        except MessageTooLarge as error:
            await self._halve(session, rows, delivery, error)
        except UnreadableVerdictError as error:
            self._judge.pause(str(error))
        except HubError:  # the connection is gone: they go again, at no cost
            return
        else:
            await self._passed(session, size, len(rows))
            self._judge.judge(rows, verdicts, delivery)
            accepted = sum(outcome.status == "sent" for _, outcome in delivery.outcomes)
            self._log.info(
                "batch_sent", rows=len(rows), first_id=rows[0].id, last_id=rows[-1].id, bytes=size,
                accepted=accepted, refused=len(delivery.outcomes) - accepted,
                milliseconds=round((self._clock.monotonic() - began) * 1000, 1),
            )  # fmt: skip

    def _sendable(self, session: HubSession, row: OutboxRow, delivery: Delivery) -> bool:
        """Whether this row can go out at all; one that never can is failed here."""
        if row.entity in delivery.stopped:
            return False
        size = session.encoded_size(SEND_BATCH, len(row.encoded) + 2)
        if row.problem is not None:
            reason = row.problem
        elif size > self.limiter.configured:
            reason = f"the row needs a message of {size} bytes, and hub.max_message_bytes is {self.limiter.configured}"
        elif size > self.limiter.largest:
            reason = f"the row needs a message of {size} bytes, and the hub closes at {self.limiter.largest + 1}"
        elif self.limiter.guilty(row.id):
            reason = f"the hub closes the connection whenever it is sent this row ({size} bytes)"
        else:
            return True
        self._judge.fail(row, reason, delivery)
        return False

    async def _stand_alone(self, row: OutboxRow) -> None:
        """A suspected row is judged with nothing else in flight."""
        while self._unanswered and self.limiter.suspect(row.id):
            await self._clock.sleep(ALONE_SECONDS)

    async def _invoke(self, session: HubSession, method: str, argument: bytes, size: int, rows: Sequence[OutboxRow]) -> Any:
        await self._stand_alone(rows[0])
        ticket = id(argument)
        self._unanswered[ticket] = Unanswered(size, tuple(row.id for row in rows))
        try:
            return await session.invoke_encoded(method, argument)
        except ConnectionLost:
            if self._judged is not session:  # the first to learn of it speaks for all that were in flight
                self._judged = session
                await self._lost(session)
            raise
        finally:
            self.answers += 1
            del self._unanswered[ticket]

    async def _lost(self, session: HubSession) -> None:
        before = self.limiter.too_large_bytes
        if self.limiter.lost(session.loss, list(self._unanswered.values()), self._clock.monotonic()):
            self._log.warning(
                "message_limit_suspected", ceiling_bytes=self.limiter.ceiling, passed_bytes=self.limiter.passed_bytes,
                too_large_bytes=self.limiter.too_large_bytes,
            )  # fmt: skip
            self._hub.retry_soon("smaller messages may pass")
        if self.limiter.too_large_bytes != before:
            await self._keep_limit()

    async def _passed(self, session: HubSession, size: int, rows: int) -> None:
        session.useful = True
        self.takes_no_rows = False
        if self.limiter.passed(size, rows, self._clock.monotonic()):
            await self._keep_limit()

    async def _keep_limit(self) -> None:
        try:
            await self._journal.learned_limit(self._hub_url, self.limiter.passed_bytes, self.limiter.too_large_bytes)
        except StorageError as error:  # it is learned again
            self._log.warning("message_limit_not_kept", error=str(error))

    async def _halve(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery, error: HubError) -> None:
        """The hub threw: which row is at fault nobody says, so each half goes for itself, down to the row that stands alone."""
        if len(rows) == 1:
            delivery.throws(rows[0], str(error))
            return
        middle = len(rows) // 2
        await self._send_rows(session, rows[:middle], delivery)
        if session.loss is None:
            await self._send_rows(session, rows[middle:], delivery)

    async def _send_singly(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery) -> None:
        """For a hub without `SendSyncBatch`: entities side by side, an entity's rows one after the other."""
        chains: dict[Entity, list[OutboxRow]] = {}
        for row in rows:
            chains.setdefault(row.entity, []).append(row)
        if session.lacks(SEND_ITEM):
            self.takes_no_rows = True
            self._judge.pause(f"the hub has neither {SEND_BATCH} nor {SEND_ITEM}")
            return
        await asyncio.gather(*(self._send_chain(session, chain, delivery) for chain in chains.values()))

    async def _send_chain(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery) -> None:
        for row in rows:
            size = session.encoded_size(SEND_ITEM, len(row.encoded))
            try:
                verdicts = read_verdicts(await self._invoke(session, SEND_ITEM, row.encoded, size, [row]))
            except MethodMissing:
                self.takes_no_rows = True
                self._judge.pause(f"the hub has neither {SEND_BATCH} nor {SEND_ITEM}")
                return
            except InvocationTimeout as error:
                await session.drop(str(error))
                return
            except (InvocationError, MessageTooLarge) as error:
                delivery.throws(row, str(error))
                return
            except UnreadableVerdictError as error:
                self._judge.pause(str(error))
                return
            except HubError:
                return
            await self._passed(session, size, 1)
            self._judge.judge([row], verdicts, delivery)
            if row.entity in delivery.stopped:
                return

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
    def recent_errors(self) -> deque[OutboxError]:
        """What was refused or failed last."""
        return self._judge.recent_errors

    @property
    def throws_for_everything(self) -> bool:
        """The hub answers every row with an error."""
        return self._judge.throws_for_everything

    def oldest_pending(self) -> datetime | None:
        """When the oldest row that waits was written, as far as it is in memory."""
        moments = [row.created for row in self._queue.rows_in_memory()]
        moments += self._waiting.values()
        return min(moments, default=None) if self.total_pending else None
