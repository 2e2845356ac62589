"""Sends one batch: whole, in halves where the hub throws, one by one where it has no `SendSyncBatch`; and learns from what happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from syncd.errors import (
    ConnectionLost,
    HubError,
    InvocationError,
    InvocationFailure,
    InvocationTimeout,
    MethodMissing,
    StorageError,
    invocation_failure,
)
from syncd.store.times import parse_time
from syncd.uplink.deferrals import Deferrals
from syncd.uplink.hangs import Hangs
from syncd.uplink.losses import Losses, Unanswered
from syncd.uplink.message_size import SizeLimit
from syncd.uplink.outcomes import Judge
from syncd.uplink.retry import ALONE_POLL_SECONDS
from syncd.uplink.sent_log import SentLog

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import OutboxStatus
    from syncd.store.journal import Journal
    from syncd.store.outbox import Entity, OutboxRow
    from syncd.uplink.outcomes import Delivery

SEND_BATCH = "SendSyncBatch"
SEND_ITEM = "SendSyncItem"


class BatchSender:
    """Knows the hub's methods and limits; knows neither the queue nor the window.

    Attributes:
        answers: of the hub, whatever they were: a sign of life.
        lost_sessions: connections in a row that went before anything sent on them was answered.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        journal: Journal,
        settings: Settings,
        clock: Clock,
        random: random.Random,
        log: FilteringBoundLogger,
        status: OutboxStatus,
    ) -> None:
        self._hub = hub
        self._journal = journal
        self._hub_url = settings.hub.url
        self._clock = clock
        self._log = log
        self.losses = Losses(SizeLimit(settings.hub.max_message_bytes))
        self.sent_log = SentLog(clock, log)
        self.deferrals = Deferrals(settings.sync, clock, random)
        self.hangs = Hangs(settings.hub.invocation_timeout_seconds, self.deferrals, clock)
        self.judge = Judge(settings.sync, self.deferrals, clock, random, log, status)
        self._retry_base_seconds = settings.sync.retry_base_seconds
        self._unanswered: dict[int, tuple[Unanswered, Sequence[OutboxRow]]] = {}  # in the order in which they were sent
        self._judged: HubSession | None = None
        self.answers = 0
        self.lost_sessions = 0
        self._status = status

    async def start(self) -> None:
        """Recall what was learned of this hub's limit before."""
        known = await self._journal.message_limit(self._hub_url)
        if known is not None:
            learned = parse_time(known.learned_at)
            age = (self._clock.now() - learned[0]).total_seconds() if learned else 0.0
            learned_at = self._clock.monotonic() - max(0.0, age)
            self.losses.size = SizeLimit(self.losses.size.configured, passed=known.passed, too_large=known.too_large, now=learned_at)

    async def send(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery) -> None:
        """Send these rows; `delivery` holds what became of each. Rows of which it says nothing were not processed."""
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
            answer = await self._invoke(session, SEND_BATCH, argument, size, rows)
        except HubError as error:
            match invocation_failure(error):
                case InvocationFailure.METHOD_MISSING:
                    await self._send_singly(session, rows, delivery)
                case InvocationFailure.REFUSED:
                    if isinstance(error, InvocationError):  # the hub has read the message, at least
                        self.losses.passed(size, len(rows), self._clock.monotonic())
                    await self._halve(session, rows, delivery, error)
                case InvocationFailure.RETRY:  # the connection is gone: they go again, at no cost
                    delivery.lost = str(error)
        else:
            await self._passed(session, size, len(rows))
            self._judge(rows, answer, delivery, size, began)

    def _judge(self, rows: list[OutboxRow], answer: object, delivery: Delivery, size: int, began: float) -> None:
        before = len(delivery.outcomes)
        self.judge.judge(rows, answer, delivery)
        outcomes = [outcome for _, outcome in delivery.outcomes[before:]]
        accepted = sum(outcome.status == "sent" for outcome in outcomes)
        self.sent_log.add(
            first_id=rows[0].id, last_id=rows[-1].id, rows=len(rows), bytes=size, accepted=accepted, refused=len(outcomes) - accepted,
            milliseconds=round((self._clock.monotonic() - began) * 1000, 1),
        )  # fmt: skip

    def _sendable(self, session: HubSession, row: OutboxRow, delivery: Delivery) -> bool:
        """Whether this row can go out at all; one that never can is failed here."""
        if row.entity in delivery.stopped:
            return False
        if self.hangs.seconds_left(row) > 0:  # it was read anew meanwhile, and its time has not come
            delivery.stopped.add(row.entity)
            return False
        size = session.encoded_size(SEND_BATCH, len(row.encoded) + 2)
        if row.problem is not None:
            reason = row.problem
        elif size > self.losses.size.configured:
            reason = f"the row needs a message of {size} bytes, and hub.max_message_bytes is {self.losses.size.configured}"
        elif size > self.losses.size.largest:
            reason = f"the row needs a message of {size} bytes, and the hub closes at {self.losses.size.largest + 1}"
        elif self.losses.poison.is_poison(row.id):
            reason = f"the hub closes the connection whenever it is sent this row ({size} bytes)"
        else:
            return True
        self.judge.fail(row, reason, delivery)
        return False

    def rows_together(self, row: OutboxRow) -> int | None:
        """How many suspected rows may be in one message with this one; None for a row that is not suspected."""
        return 1 if self.losses.poison.is_suspect(row.id) else self.hangs.rows_together(row.id)

    def seconds_until_retry(self, row: OutboxRow) -> float:
        """How long a row without an outcome waits before it goes again; 0 for at once."""
        if self.losses.poison.is_suspect(row.id):
            return self._retry_base_seconds
        return self.hangs.seconds_left(row) or self.hangs.others_first_seconds(row.id)

    @property
    def max_rows(self) -> int | None:
        """Rows in a message at most; None where that does not matter."""
        return min((most for most in (self.losses.poison.max_rows, self.hangs.max_rows) if most is not None), default=None)

    def forget(self, row: OutboxRow) -> None:
        """The row has its outcome."""
        self.losses.poison.forget(row.id)
        self.hangs.forget(row.id)
        self.deferrals.discard(row.id)

    def clear(self) -> None:
        """Somebody has retried or cancelled rows by hand: what was known of rows may be of rows that are gone."""
        self.hangs.clear()
        self.deferrals.clear()
        self.losses.size.forget_rows()

    async def _stand_alone(self, row: OutboxRow) -> None:
        """A suspected row is judged with nothing else in flight."""
        while self._unanswered and self.rows_together(row) is not None:
            await self._clock.sleep(ALONE_POLL_SECONDS)

    async def _invoke(self, session: HubSession, method: str, argument: bytes, size: int, rows: Sequence[OutboxRow]) -> Any:
        await self._stand_alone(rows[0])
        ticket = id(argument)
        self._unanswered[ticket] = Unanswered(size, tuple(row.id for row in rows)), rows
        seconds = self.hangs.timeout_seconds(rows)
        began = self._clock.monotonic()
        try:
            result = await session.invoke_encoded(method, argument, timeout_seconds=seconds)
        except InvocationTimeout as timeout:
            await self._timed_out(session, seconds, str(timeout))
            raise
        except MethodMissing:  # it says nothing of the rows
            raise
        except InvocationError:
            self._answered(rows, began)
            raise
        except ConnectionLost:
            if self._judged is not session:  # the first to learn of it speaks for all that were in flight
                self._judged = session
                await self._lost(session)
            raise
        else:
            self._answered(rows, began)
            return result
        finally:
            self.answers += 1
            del self._unanswered[ticket]

    def _answered(self, rows: Sequence[OutboxRow], began: float) -> None:
        self.hangs.answered(rows, self._clock.monotonic() - began)
        self.lost_sessions = 0
        self._status.missing_methods.clear()

    async def _timed_out(self, session: HubSession, seconds: float, reason: str) -> None:
        """The session has dropped the connection: that alone frees it of a call that hangs."""
        if self._judged is session:
            return
        self._judged = session
        _, oldest = next(iter(self._unanswered.values()))
        for row, delay in self.hangs.timed_out(oldest, seconds):
            self.judge.note_deferred(row, self.deferrals.reason(row.id), delay)
        self._log.warning("batch_unanswered", rows=len(oldest), first_id=oldest[0].id, last_id=oldest[-1].id, reason=reason)
        if self.hangs.silent:
            self.judge.pause("it takes rows and answers none")
        else:
            self._hub.retry_soon("one message has no answer, and others may have one")

    async def _lost(self, session: HubSession) -> None:
        self.lost_sessions += 1
        before = self.losses.size.too_large_bytes
        if self.losses.lost(session.loss, [message for message, _ in self._unanswered.values()], self._clock.monotonic()):
            self._log.warning(
                "message_limit_suspected", ceiling_bytes=self.losses.size.ceiling, passed_bytes=self.losses.size.passed_bytes,
                too_large_bytes=self.losses.size.too_large_bytes,
            )  # fmt: skip
            self._hub.retry_soon("smaller messages may pass")
        if self.losses.size.too_large_bytes != before:
            await self._keep_limit()

    async def _passed(self, session: HubSession, size: int, rows: int) -> None:
        session.useful = True
        if self.losses.passed(size, rows, self._clock.monotonic()):
            await self._keep_limit()

    async def _keep_limit(self) -> None:
        try:
            await self._journal.learned_limit(self._hub_url, self.losses.size.passed_bytes, self.losses.size.too_large_bytes)
        except StorageError as error:  # it is learned again
            self._log.warning("message_limit_not_kept", error=str(error))

    async def _halve(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery, error: HubError) -> None:
        """The hub threw: which row is at fault nobody says, so each half goes for itself, down to the row that stands alone."""
        if len(rows) == 1:
            delivery.throws(rows[0], str(error))
            return
        middle = len(rows) // 2
        await self.send(session, rows[:middle], delivery)
        if session.loss is None:
            await self.send(session, rows[middle:], delivery)

    async def _send_singly(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery) -> None:
        """For a hub without `SendSyncBatch`: entities side by side, an entity's rows one after the other."""
        chains: dict[Entity, list[OutboxRow]] = {}
        for row in rows:
            chains.setdefault(row.entity, []).append(row)
        if session.lacks(SEND_ITEM):
            self._takes_no_rows(delivery)
            return
        async with asyncio.TaskGroup() as group:
            for chain in chains.values():
                group.create_task(self._send_chain(session, chain, delivery), name="uplink.chain")

    def _takes_no_rows(self, delivery: Delivery) -> None:
        self._status.missing_methods.update((SEND_BATCH, SEND_ITEM))
        delivery.undecided = f"the hub has neither {SEND_BATCH} nor {SEND_ITEM}"

    async def _send_chain(self, session: HubSession, rows: list[OutboxRow], delivery: Delivery) -> None:
        for row in rows:
            size = session.encoded_size(SEND_ITEM, len(row.encoded))
            began = self._clock.monotonic()
            try:
                answer = await self._invoke(session, SEND_ITEM, row.encoded, size, [row])
            except HubError as error:
                match invocation_failure(error):
                    case InvocationFailure.METHOD_MISSING:
                        self._takes_no_rows(delivery)
                    case InvocationFailure.REFUSED:
                        delivery.throws(row, str(error))
                    case InvocationFailure.RETRY:
                        delivery.lost = str(error)
                return
            await self._passed(session, size, 1)
            self._judge([row], answer, delivery, size, began)
            if row.entity in delivery.stopped:
                return
