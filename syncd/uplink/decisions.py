"""What becomes of a batch that is back: outcomes are made durable, and only then do they count; what has none goes again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.status.report import OutboxStatus
    from syncd.store.journal import Journal
    from syncd.store.outbox import OutboxRow
    from syncd.uplink.batch import BatchSender
    from syncd.uplink.breaker import Breaker
    from syncd.uplink.loader import Loader
    from syncd.uplink.outcomes import Batch
    from syncd.uplink.queue import SendQueue

LONGEST_ITEM = 100  # characters of `current_item`


class Decisions:
    """Brings HQ's decisions to the journal, and then to the status, the queue and all that remembers rows."""

    def __init__(
        self,
        *,
        sender: BatchSender,
        journal: Journal,
        queue: SendQueue,
        loader: Loader,
        breaker: Breaker,
        clock: Clock,
        hold_entity_on_failure: bool,
        status: OutboxStatus,
        on_change: Callable[[], None],
    ) -> None:
        self._sender = sender
        self._journal = journal
        self._queue = queue
        self._loader = loader
        self._breaker = breaker
        self._clock = clock
        self._hold_entity_on_failure = hold_entity_on_failure
        self._status = status
        self._on_change = on_change

    async def take(self, batch: Batch) -> None:
        """Take what HQ decided; returns once it is durable."""
        self._sender.policy.take_errors(batch)
        self._count_answer(batch)
        await self._make_durable(batch)

    def requeue_rest(self, batch: Batch) -> None:
        """Rows without a durable outcome go again, at once or after a while."""
        for row in () if batch.all_durable else batch.rows:
            if row.id not in batch.durable:
                self._requeue(row, batch.waits.get(row.id, 0.0))
        for entity in self._sender.suspects.hangs.take_released():
            self._queue.release(entity)

    def _requeue(self, row: OutboxRow, at_least: float) -> None:
        seconds = max(self._sender.suspects.seconds_until_retry(row), at_least)
        if not seconds:
            self._queue.requeue(row, from_disk=self._loader.may_be_cancelled(row))
            return
        self._loader.waiting[row.id] = row.created
        self._queue.retry_at(row, self._clock.monotonic() + seconds)

    def _count_answer(self, batch: Batch) -> None:
        """How many of these rows HQ accepted and refused; a row that was never sent, for its size, is neither."""
        accepted = len(batch.accepted or ()) + sum(outcome.status == "sent" for _, outcome in batch.outcomes)
        refused = [o for row, o in batch.outcomes if o.status == "pending" or (o.status == "failed" and o.attempts > row.attempts)]
        words = self._status.undecided[0] if self._status.undecided else None
        if self._sender.invoker.lost_sessions > 1:  # once may be the line; whoever cuts it for every batch may leave the heartbeats alone
            words = words or batch.lost
        self._breaker.answered(accepted, len(refused), refused[0].last_error if refused else words)

    async def _make_durable(self, batch: Batch) -> None:
        if batch.accepted is not None:
            await self._journal.record_accepted(batch.accepted)
            batch.all_durable = True
            self._loader.sent(batch.accepted)
            self._queue.done_block(batch.accepted)
            self._count_sent(batch.accepted.current_item())
        elif batch.outcomes:
            await self._make_rows_durable(batch)
        else:
            return
        if not self._status.pending_total:
            self._breaker.nothing_waits()
        self._on_change()

    def _count_sent(self, item: str) -> None:
        self._status.last_sent_at = self._clock.now()
        self._status.current_item = item[:LONGEST_ITEM]

    async def _make_rows_durable(self, batch: Batch) -> None:
        outcomes = [
            outcome if outcome.row is None else replace(outcome, urgency=self._queue.urgency(row)) for row, outcome in batch.outcomes
        ]
        await self._journal.record(outcomes)
        for (row, _), outcome in zip(batch.outcomes, outcomes, strict=True):
            batch.durable.add(row.id)
            self._sender.suspects.forget(row)
            if outcome.status == "pending":
                self._loader.refused(row, self._clock.monotonic() + batch.delays[row.id], outcome.urgency or row.priority)
                continue
            self._sender.policy.forget(row)
            self._loader.decided(row, failed=outcome.status == "failed")
            if outcome.status == "sent":
                self._count_sent(f"{row.entity_type} {row.entity_id}")
            self._queue.done(row)
            if outcome.status == "failed" and self._hold_entity_on_failure:
                self._queue.hold(row.entity, row.id)
