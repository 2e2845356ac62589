"""What becomes of rows: HQ's acks and errors, made into outcomes by the contract's laws of sending."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.status.report import OutboxError
from syncd.store.block import Block
from syncd.store.journal import Outcome
from syncd.uplink.retry import retry_delay
from syncd.uplink.throws import Throws
from syncd.wire.messages import UnreadableAnswerError, accepts_all, acks_by_row, read_acks, unreadable_ack

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
    from syncd.uplink.send_backoff import SendBackoff
    from syncd.wire.messages import SyncAck

UNDECIDED_ANSWERS = 2  # in a row, each to rows of its own, before it is the hub and not those rows
FREE_TRIES = 1  # a row without an ack goes again at once: it was merely not processed
MAX_ERROR_CHARACTERS = 500


class Batch:
    """One batch, and what becomes of its rows.

    Attributes:
        accepted: all of its rows, where HQ took them as one block; there are no outcomes then.
        outcomes: of its rows, as they come.
        stopped: entities of which nothing more may be sent in this batch.
        durable: ids of rows whose outcome is durable; the others are requeued.
        all_durable: those of all rows are.
        delays: seconds until the retry of a refused row, by id.
        waits: seconds until a row without an ack may go again, by id.
        errors: rows that were alone in their message when the hub answered with an error, and its text.
        undecided: what the hub answered that decides nothing at all.
        lost: how the connection went while the hub had not answered.
    """

    def __init__(self, rows: Sequence[OutboxRow]) -> None:
        self.rows = rows
        self.accepted: Block | None = None
        self.outcomes: list[tuple[OutboxRow, Outcome]] = []
        self.stopped: set[Entity] = set()
        self.durable: set[int] = set()
        self.all_durable = False
        self.delays: dict[int, float] = {}
        self.waits: dict[int, float] = {}
        self.errors: list[tuple[OutboxRow, str]] = []
        self.undecided: str | None = None
        self.lost: str | None = None

    def add_error(self, row: OutboxRow, error: str) -> None:
        """The hub answered with an error for this row alone."""
        self.stopped.add(row.entity)
        self.errors.append((row, error))

    def add(self, row: OutboxRow, outcome: Outcome) -> None:
        """This is what became of a row."""
        self.outcomes.append((row, outcome))


class OutcomePolicy:
    """Makes outcomes of answers.

    Attributes:
        status: our part of the report: `throws_for_everything`, `recent_errors`.
    """

    def __init__(
        self,
        sync: SyncSettings,
        deferrals: Deferrals,
        backoff: SendBackoff,
        clock: Clock,
        random: random.Random,
        log: FilteringBoundLogger,
        status: OutboxStatus,
    ) -> None:
        self._sync = sync
        self._deferrals = deferrals
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._log = log
        self._undecided_answers = 0  # in a row
        self._throws = Throws()
        self.status = status

    def _hub_has_decided(self) -> None:
        self._undecided_answers = 0
        self._backoff.hub_has_decided()

    def take_answer(self, rows: Sequence[OutboxRow], answer: object, batch: Batch) -> None:
        """HQ's answer to these rows."""
        if isinstance(rows, Block) and accepts_all(answer, rows.correlation_ids):
            self._hub_has_decided()
            batch.accepted = rows
            return
        try:
            acks = read_acks(answer)
        except UnreadableAnswerError as error:
            batch.undecided = str(error)
            batch.stopped.update(row.entity for row in rows)  # HQ may have them or not: their entities' later rows go after them
            return
        stamp = iso_ms(self._clock.now())  # once for all of them
        if acks is None:
            self._hub_has_decided()
            for row in rows:
                self._accept(row, batch, stamp)
            return
        before = len(batch.outcomes)
        without = self._take_acks(rows, acks, batch, stamp)
        decided = len(batch.outcomes) > before
        if decided:
            self._hub_has_decided()
        if without:
            self._defer(without, unreadable_ack(answer) or "it is not named", batch, decided=decided)

    def _take_acks(self, rows: Sequence[OutboxRow], acks: list[SyncAck], batch: Batch, stamp: str) -> list[OutboxRow]:
        """Each ack for its row; returns the first row of each entity that has none."""
        ack_of = acks_by_row(acks)
        without = []
        for row in rows:
            ack = ack_of(row.correlation_id)
            if ack is not None and ack.success:
                self._accept(row, batch, stamp)
            elif row.entity in batch.stopped:
                continue  # refused because an earlier row was: it goes again after that one, and this was no attempt
            elif ack is None:
                batch.stopped.add(row.entity)  # not processed
                without.append(row)
            elif ack.retryable:
                self._refuse(row, ack.error or "refused without a reason", batch)
            else:
                self.fail(row, ack.error or "refused for good, without a reason", batch, row.attempts + 1)
        return without

    def _accept(self, row: OutboxRow, batch: Batch, stamp: str) -> None:
        batch.add(row, Outcome(row.id, row.correlation_id, "sent", row.attempts, None, None, stamp))

    def _defer(self, rows: list[OutboxRow], found: str, batch: Batch, *, decided: bool) -> None:
        """The answer has no ack for these. Where it has one for others, they may go again at once, the first time."""
        known = self._deferrals.full or all(row.id in self._deferrals for row in rows)  # to be about these rows, not about the hub
        if not decided and not known:
            self._undecided_answers += 1
            if self._undecided_answers > UNDECIDED_ANSWERS:
                batch.undecided = f"HQ answers, and gives no verdict on any row: {found}"
        reason = f"HQ answers, and gives no verdict on it: {found}"
        for row in rows:
            seconds = batch.waits[row.id] = self._deferrals.defer(row, reason, free=FREE_TRIES * decided)
            self.note_deferred(row, reason, seconds)

    def note_deferred(self, row: OutboxRow, reason: str, seconds: float) -> None:
        """HQ has not decided on this row: it waits, which is no attempt."""
        if seconds:
            self._note(row, reason, "row_deferred", retry_in_seconds=round(seconds, 1))

    def take_errors(self, batch: Batch) -> None:
        """Charge an error to the row where it is about that row; where it may be about the hub the row waits, at no cost."""
        accepted = batch.accepted is not None or any(outcome.status == "sent" for _, outcome in batch.outcomes)
        decided = accepted or any(outcome.attempts > row.attempts for row, outcome in batch.outcomes)
        own = self._throws.take([row.id for row, _ in batch.errors], accepted=accepted)
        if decided:
            self._hub_has_decided()
            self._throws.decided()
        self.status.throws_for_everything = self._throws.for_everything
        for row, error in batch.errors:
            if row.id in own:
                self._refuse(row, error, batch)
            else:
                self._postpone(row, error, batch)
        if batch.errors and self.status.throws_for_everything:
            batch.undecided = "the hub throws for every row"
        if batch.undecided:  # one batch is one step, however many answers it had
            self._backoff.begin(batch.undecided)

    def forget(self, row: OutboxRow) -> None:
        """The row is sent or failed."""
        self._throws.forget(row.id)

    def _postpone(self, row: OutboxRow, error: str, batch: Batch) -> None:
        delay = retry_delay(self._sync, self._throws.times(row.id), self._random)
        batch.delays[row.id] = delay
        batch.add(row, self._outcome(row, "pending", row.attempts, error, self._clock.now() + timedelta(seconds=delay)))
        self._note(row, error, "row_postponed", retry_in_seconds=round(delay, 1))

    def _refuse(self, row: OutboxRow, error: str, batch: Batch) -> None:
        """The row waits for its retry; after `max_attempts` it is failed (contract, sending law 6)."""
        attempts = row.attempts + 1
        if attempts >= self._sync.max_attempts:
            self.fail(row, error, batch, attempts)
            return
        delay = retry_delay(self._sync, attempts, self._random)
        batch.stopped.add(row.entity)
        batch.delays[row.id] = delay
        batch.add(row, self._outcome(row, "pending", attempts, error, self._clock.now() + timedelta(seconds=delay)))
        self._note(row, error, "row_refused", attempts=attempts, retry_in_seconds=round(delay, 1))

    def fail(self, row: OutboxRow, error: str, batch: Batch, attempts: int | None = None) -> None:
        """The row is `failed`, kept with its error, until somebody brings it back."""
        batch.stopped.add(row.entity)  # for this batch: its later rows may be refused because of this one
        batch.add(row, self._outcome(row, "failed", row.attempts if attempts is None else attempts, error))
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
