"""What becomes of rows: HQ's verdicts, its throws and its silence, made into outcomes by the contract's laws of sending."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.status.report import OutboxError
from syncd.store.journal import Outcome
from syncd.uplink.retry import PAUSE_SECONDS, retry_delay
from syncd.uplink.throws import Throws
from syncd.wire.messages import UnreadableAnswerError, acks_by_row, read_acks, unreadable_ack

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import SyncSettings
    from syncd.status.report import OutboxStatus
    from syncd.store.outbox import Entity, OutboxRow
    from syncd.uplink.deferrals import Deferrals
    from syncd.wire.messages import SyncAck

UNDECIDED_ANSWERS = 2  # in a row, each to rows of its own, before it is the hub and not those rows
FREE_TRIES = 1  # a row without a verdict goes again at once: an item without one was merely not processed
MAX_ERROR_CHARACTERS = 500


class Delivery:
    """What becomes of one batch.

    Attributes:
        stopped: entities of which nothing more may be sent in this batch.
        landed: rows whose outcome is durable; the others go back to the queue.
        delays: seconds until the retry of a refused row.
        waits: seconds until a row that has no verdict may go again.
        thrown: rows that stood alone when the hub threw, and its words.
        undecided: what the hub answered that decides nothing at all.
        lost: how the connection went while the hub had not answered.
    """

    def __init__(self, rows: Sequence[OutboxRow]) -> None:
        self.rows = rows
        self.outcomes: list[tuple[OutboxRow, Outcome]] = []
        self.stopped: set[Entity] = set()
        self.landed: set[int] = set()
        self.delays: dict[int, float] = {}
        self.waits: dict[int, float] = {}
        self.thrown: list[tuple[OutboxRow, str]] = []
        self.undecided: str | None = None
        self.lost: str | None = None

    def throws(self, row: OutboxRow, error: str) -> None:
        """The hub threw for this row alone."""
        self.stopped.add(row.entity)
        self.thrown.append((row, error))

    def add(self, row: OutboxRow, outcome: Outcome) -> None:
        """This is what became of a row."""
        self.outcomes.append((row, outcome))


class Judge:
    """Makes outcomes of answers.

    Attributes:
        not_before: monotonic; nothing is sent until then, since the hub decides nothing at the moment.
        status: our part of the report: `undecided`, `throws_for_everything`, `recent_errors`.
    """

    def __init__(
        self,
        sync: SyncSettings,
        deferrals: Deferrals,
        clock: Clock,
        random: random.Random,
        log: FilteringBoundLogger,
        status: OutboxStatus,
    ) -> None:
        self._sync = sync
        self._deferrals = deferrals
        self._clock = clock
        self._random = random
        self._log = log
        self._pauses = 0  # in a row
        self._undecided_answers = 0  # in a row
        self._throws = Throws()
        self.not_before = 0.0
        self.status = status

    def pause(self, reason: str) -> None:
        """The hub answers and decides nothing: ask again later, ever more slowly, at no row's cost."""
        now = self._clock.monotonic()
        self.status.undecided = (reason, self.status.undecided[1] if self.status.undecided else self._clock.now())
        if now < self.not_before:  # several batches were in flight: that is one step
            return
        seconds = PAUSE_SECONDS[min(self._pauses, len(PAUSE_SECONDS) - 1)]
        self._pauses += 1
        self.not_before = now + seconds
        self._log.warning("hub_decides_nothing", reason=reason, retry_in_seconds=seconds)

    def _has_decided(self) -> None:
        self._pauses = self._undecided_answers = 0
        self.status.undecided = None

    def judge(self, rows: Sequence[OutboxRow], answer: object, delivery: Delivery) -> None:
        """What HQ said of rows that were sent."""
        try:
            verdicts = read_acks(answer)
        except UnreadableAnswerError as error:
            delivery.undecided = str(error)
            delivery.stopped.update(row.entity for row in rows)  # HQ may have them or not: their entities' later rows go after them
            return
        stamp = iso_ms(self._clock.now())  # once for all of them
        if verdicts is None:
            self._has_decided()
            for row in rows:
                self._accept(row, delivery, stamp)
            return
        before = len(delivery.outcomes)
        without = self._take_verdicts(rows, verdicts, delivery, stamp)
        decided = len(delivery.outcomes) > before
        if decided:
            self._has_decided()
        if without:
            self._defer(without, unreadable_ack(answer) or "it is not named", delivery, decided=decided)

    def _take_verdicts(self, rows: Sequence[OutboxRow], verdicts: list[SyncAck], delivery: Delivery, stamp: str) -> list[OutboxRow]:
        """Each verdict on its row; the first row of each entity that has none."""
        verdict_on = acks_by_row(verdicts)
        without = []
        for row in rows:
            verdict = verdict_on(row.correlation_id)
            if verdict is not None and verdict.success:
                self._accept(row, delivery, stamp)
            elif row.entity in delivery.stopped:
                continue  # refused for the sake of an earlier row: it goes again after that one, and that was no attempt
            elif verdict is None:
                delivery.stopped.add(row.entity)  # not processed
                without.append(row)
            elif verdict.retryable:
                self._refuse(row, verdict.error or "refused without a reason", delivery)
            else:
                self.fail(row, verdict.error or "refused for good, without a reason", delivery, row.attempts + 1)
        return without

    def _accept(self, row: OutboxRow, delivery: Delivery, stamp: str) -> None:
        delivery.add(row, Outcome(row.id, row.correlation_id, "sent", row.attempts, None, None, stamp))

    def _defer(self, rows: list[OutboxRow], found: str, delivery: Delivery, *, decided: bool) -> None:
        """The answer has no verdict on these; where it has one on others, they may go again at once, the first time."""
        if not decided and not self._deferrals.full and any(row.id not in self._deferrals for row in rows):  # of others it is known already
            self._undecided_answers += 1
            if self._undecided_answers > UNDECIDED_ANSWERS:
                delivery.undecided = f"HQ answers, and gives no verdict on any row: {found}"
        reason = f"HQ answers, and gives no verdict on it: {found}"
        for row in rows:
            seconds = delivery.waits[row.id] = self._deferrals.defer(row, reason, free=FREE_TRIES * decided)
            self.note_deferred(row, reason, seconds)

    def note_deferred(self, row: OutboxRow, reason: str, seconds: float) -> None:
        """There was no word on this row: it waits, at no attempt."""
        if seconds:
            self._note(row, reason, "row_deferred", retry_in_seconds=round(seconds, 1))

    def blame(self, delivery: Delivery) -> None:
        """Charge a throw to the row where it is the row's own; where it may be the hub's the row waits, at no cost."""
        accepted = any(outcome.status == "sent" for _, outcome in delivery.outcomes)
        decided = accepted or any(outcome.attempts > row.attempts for row, outcome in delivery.outcomes)
        own = self._throws.take([row.id for row, _ in delivery.thrown], accepted=accepted)
        if decided:
            self._has_decided()
            self._throws.decided()
        self.status.throws_for_everything = self._throws.for_everything
        for row, error in delivery.thrown:
            if row.id in own:
                self._refuse(row, error, delivery)
            else:
                self._postpone(row, error, delivery)
        if delivery.thrown and self.status.throws_for_everything:
            delivery.undecided = "the hub throws for every row"
        if delivery.undecided:  # one batch is one step, however many answers it had
            self.pause(delivery.undecided)

    def forget(self, row: OutboxRow) -> None:
        """The row is sent or failed."""
        self._throws.forget(row.id)

    def _postpone(self, row: OutboxRow, error: str, delivery: Delivery) -> None:
        delay = retry_delay(self._sync, self._throws.times(row.id), self._random)
        delivery.delays[row.id] = delay
        delivery.add(row, self._outcome(row, "pending", row.attempts, error, self._clock.now() + timedelta(seconds=delay)))
        self._note(row, error, "row_postponed", retry_in_seconds=round(delay, 1))

    def _refuse(self, row: OutboxRow, error: str, delivery: Delivery) -> None:
        """The row waits for its retry; after `max_attempts` it is failed (contract, sending law 6)."""
        attempts = row.attempts + 1
        if attempts >= self._sync.max_attempts:
            self.fail(row, error, delivery, attempts)
            return
        delay = retry_delay(self._sync, attempts, self._random)
        delivery.stopped.add(row.entity)
        delivery.delays[row.id] = delay
        delivery.add(row, self._outcome(row, "pending", attempts, error, self._clock.now() + timedelta(seconds=delay)))
        self._note(row, error, "row_refused", attempts=attempts, retry_in_seconds=round(delay, 1))

    def fail(self, row: OutboxRow, error: str, delivery: Delivery, attempts: int | None = None) -> None:
        """The row is `failed`, kept with its error, until somebody brings it back."""
        delivery.stopped.add(row.entity)  # for this batch: the verdicts on its later rows may owe to this one
        delivery.add(row, self._outcome(row, "failed", row.attempts if attempts is None else attempts, error))
        self._note(row, error, "row_failed", hint="syncd outbox retry brings it back")

    def _note(self, row: OutboxRow, error: str, event: str, **more: object) -> None:
        # A till may have stored a BLOB where text belongs, and just that may be the error.
        kind, correlation_id = str(row.entity_type), str(row.correlation_id)
        self._log.warning(
            event,
            id=row.id,
            entity_type=kind,
            entity_id=row.entity_id,
            correlation_id=correlation_id,
            error=error,
            **more,
        )
        self.status.recent_errors.append(
            OutboxError(self._clock.now(), kind, row.entity_id, correlation_id, error, final=event == "row_failed")
        )

    def _outcome(self, row: OutboxRow, status: str, attempts: int, error: str | None, retry_at: datetime | None = None) -> Outcome:
        return Outcome(
            id=row.id, correlation_id=row.correlation_id, status=status, attempts=attempts,
            next_attempt_at=iso_ms(retry_at) if retry_at else None,
            last_error=error[:MAX_ERROR_CHARACTERS] if error else None, decided_at=iso_ms(self._clock.now()),
            row=row if retry_at else None,
        )  # fmt: skip
