"""Sends one batch: whole, in halves where the hub answers with an error, one by one where it has no `SendSyncBatch`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncd.errors import HubError, InvocationError, InvocationFailure, invocation_failure
from syncd.store.block import Block
from syncd.uplink.deferrals import Deferrals
from syncd.uplink.invoker import Invoker
from syncd.uplink.outcomes import OutcomePolicy
from syncd.uplink.send_backoff import SendBackoff
from syncd.uplink.sent_log import SentLog
from syncd.uplink.suspects import Suspects

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import OutboxStatus
    from syncd.store.journal import Journal
    from syncd.store.outbox import Entity, OutboxRow
    from syncd.uplink.outcomes import Batch

SEND_BATCH = "SendSyncBatch"
SEND_ITEM = "SendSyncItem"


class BatchSender:
    """Knows the hub's methods; knows neither the queue nor the window.

    Attributes:
        suspects: what may go into the next message.
        policy: makes outcomes of answers.
        backoff: until when nothing is sent.
        invoker: sends a message and waits for its answer.
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
        on_answer: Callable[[float], None],
    ) -> None:
        self._clock = clock
        self._status = status
        self.sent_log = SentLog(clock, log)
        self.deferrals = Deferrals(settings.sync, clock, random)
        self.suspects = Suspects(settings, self.deferrals, clock)
        self.backoff = SendBackoff(clock, log, status)
        self.policy = OutcomePolicy(settings.sync, self.deferrals, self.backoff, clock, random, log, status)
        self.invoker = Invoker(
            hub=hub, hub_url=settings.hub.url, journal=journal, clock=clock, log=log, status=status, suspects=self.suspects,
            deferrals=self.deferrals, policy=self.policy, backoff=self.backoff, on_answer=on_answer,
        )  # fmt: skip

    async def send(self, session: HubSession, rows: Sequence[OutboxRow], batch: Batch) -> None:
        """Send these rows of a batch, which takes in what became of each. Rows without an outcome were not processed."""
        if not (isinstance(rows, Block) and self.suspects.none):
            rows = [row for row in rows if self._is_sendable(session, row, batch)]
        if not rows:
            return
        if session.lacks(SEND_BATCH):
            await self._send_one_by_one(session, rows, batch)
            return
        argument = rows.argument if isinstance(rows, Block) else b"[" + b",".join([row.encoded for row in rows]) + b"]"
        size = session.encoded_size(SEND_BATCH, len(argument))
        began = self._clock.monotonic()
        try:
            answer = await self.invoker.invoke(session, SEND_BATCH, argument, size, rows)
        except HubError as error:
            match invocation_failure(error):
                case InvocationFailure.METHOD_MISSING:
                    await self._send_one_by_one(session, rows, batch)
                case InvocationFailure.REFUSED:
                    if isinstance(error, InvocationError):  # the hub has read it
                        self.suspects.losses.passed(size, len(rows), self._clock.monotonic())
                    await self._bisect(session, rows, batch, error)
                case InvocationFailure.RETRY:  # the connection is gone: they go again, at no cost
                    batch.lost = str(error)
        else:
            await self.invoker.passed(session, size, len(rows))
            self._take_answer(rows, answer, batch, size, began)

    def _is_sendable(self, session: HubSession, row: OutboxRow, batch: Batch) -> bool:
        """Whether this row can go out now; one that never can is failed here."""
        if row.entity in batch.stopped:
            return False
        if self.suspects.hangs.seconds_left(row) > 0:  # it was read anew meanwhile, and its time has not come
            batch.stopped.add(row.entity)
            return False
        reason = self.suspects.why_unsendable(row, session.encoded_size(SEND_BATCH, len(row.encoded) + 2))
        if reason is not None:
            self.policy.fail(row, reason, batch)
        return reason is None

    def _take_answer(self, rows: Sequence[OutboxRow], answer: object, batch: Batch, size: int, began: float) -> None:
        before = len(batch.outcomes)
        self.policy.take_answer(rows, answer, batch)
        outcomes = [outcome for _, outcome in batch.outcomes[before:]]
        accepted = len(rows) if batch.accepted else sum(outcome.status == "sent" for outcome in outcomes)
        refused = 0 if batch.accepted else len(outcomes) - accepted
        first_id, last_id = (rows.ids[0], rows.ids[-1]) if isinstance(rows, Block) else (rows[0].id, rows[-1].id)
        self.sent_log.add(
            first_id=first_id, last_id=last_id, rows=len(rows), bytes=size, accepted=accepted, refused=refused,
            milliseconds=round((self._clock.monotonic() - began) * 1000, 1),
        )  # fmt: skip

    async def _bisect(self, session: HubSession, rows: Sequence[OutboxRow], batch: Batch, error: HubError) -> None:
        """An error for a batch does not say which row it is about: each half is sent for itself, down to a row that is alone."""
        if len(rows) == 1:
            batch.add_error(rows[0], str(error))
            return
        rows, middle = list(rows), len(rows) // 2
        await self.send(session, rows[:middle], batch)
        if session.loss is None:
            await self.send(session, rows[middle:], batch)

    async def _send_one_by_one(self, session: HubSession, rows: Sequence[OutboxRow], batch: Batch) -> None:
        """For a hub without `SendSyncBatch`: entities side by side, an entity's rows one after the other."""
        by_entity: dict[Entity, list[OutboxRow]] = {}
        for row in rows:
            by_entity.setdefault(row.entity, []).append(row)
        if session.lacks(SEND_ITEM):
            self._both_methods_missing(batch)
            return
        async with asyncio.TaskGroup() as group:
            for of_entity in by_entity.values():
                group.create_task(self._send_entity(session, of_entity, batch), name="uplink.entity")

    def _both_methods_missing(self, batch: Batch) -> None:
        self._status.missing_methods.update((SEND_BATCH, SEND_ITEM))
        batch.undecided = f"the hub has neither {SEND_BATCH} nor {SEND_ITEM}"

    async def _send_entity(self, session: HubSession, rows: list[OutboxRow], batch: Batch) -> None:
        for row in rows:
            size = session.encoded_size(SEND_ITEM, len(row.encoded))
            began = self._clock.monotonic()
            try:
                answer = await self.invoker.invoke(session, SEND_ITEM, row.encoded, size, [row])
            except HubError as error:
                match invocation_failure(error):
                    case InvocationFailure.METHOD_MISSING:
                        self._both_methods_missing(batch)
                    case InvocationFailure.REFUSED:
                        batch.add_error(row, str(error))
                    case InvocationFailure.RETRY:
                        batch.lost = str(error)
                return
            await self.invoker.passed(session, size, 1)
            self._take_answer([row], answer, batch, size, began)
            if row.entity in batch.stopped:
                return
