"""Rows whose message HQ never answers (it hangs): they are found, and do not stop the others.

ASP.NET Core runs a connection's invocations one after the other, so of several unanswered messages only the *oldest* is suspected: those
behind it have not begun. The first time-out may be chance, so its rows are sent again as before. After the second they are suspected:
they wait until the others are sent, and go in messages of an eighth as many rows, with nothing else in flight, down to a single row (a
message that hangs costs seconds, one that is answered milliseconds). A row that hangs alone twice is deferred, if HQ has answered
something in between. Meanwhile time-outs are short, as HQ's usual answers allow; they double each time.

Where HQ answers nothing at all, no row is deferred: single rows are sent, ever more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.uplink.retry import (
    OTHERS_FIRST_MAX_SECONDS,
    OTHERS_FIRST_SECONDS,
    SHORTEST_TIMEOUT_SECONDS,
    TIMEOUT_FACTOR,
    TRIAL_SHARE,
    USUAL_ANSWER_DECAY,
    doubled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.clock import Clock
    from syncd.store.outbox import Entity, OutboxRow
    from syncd.uplink.deferrals import Deferrals

SPLIT = 8
HANGS_ALONE = 2  # before a row is deferred: once may be chance
SILENT_AFTER = 3  # time-outs in a row with nothing answered in between


@dataclass(slots=True)
class _Suspect:
    most: int = 1  # rows in its next message
    hangs: int = 0
    hangs_alone: int = 0
    answered_then: int = 0  # the hub's answers when it hung first


class Hangs:
    """Which rows are suspected, how they may be sent, and how long to wait for an answer."""

    def __init__(self, timeout_seconds: float, deferrals: Deferrals, clock: Clock) -> None:
        self._longest = timeout_seconds
        self._deferrals = deferrals
        self._clock = clock
        self._suspects: dict[int, _Suspect] = {}
        self._answers = 0
        self._silence = 0  # time-outs in a row
        self._usual: float | None = None
        self._max_rows: int | None = None
        self._no_trial_before = 0.0  # monotonic, for deferred rows
        self._others_first_until = 0.0  # monotonic, for all suspected rows
        self._released: list[Entity] = []

    @property
    def silent(self) -> bool:
        """The hub takes messages and answers none."""
        return self._silence >= SILENT_AFTER

    @property
    def suspects_any(self) -> bool:
        """Some rows had no answer."""
        return bool(self._suspects)

    @property
    def serial(self) -> bool:
        """The last message had no answer: one at a time until one has."""
        return self._silence > 0

    @property
    def max_rows(self) -> int | None:
        """Rows in a message at most; None where that does not matter."""
        return 1 if self.silent else self._max_rows

    def rows_together(self, row_id: int) -> int | None:
        """How many suspected rows may be in one message with this one; None for a row that is not suspected."""
        suspect = self._suspects.get(row_id)
        return suspect.most if suspect and suspect.hangs > 1 else None

    def timeout_seconds(self, rows: Sequence[OutboxRow]) -> float:
        """How long to wait for the answer to a message."""
        if not self._suspects or self._usual is None:
            return self._longest
        hangs = max((suspect.hangs for row in rows if (suspect := self._suspects.get(row.id))), default=max(1, self._silence))
        return doubled(max(SHORTEST_TIMEOUT_SECONDS, TIMEOUT_FACTOR * self._usual), max(0, hangs - 2), self._longest)

    def others_first_seconds(self, row_id: int) -> float:
        """How long a suspected row that is not deferred lets the others go first after it hung; 0 for any other row."""
        suspect = self._suspects.get(row_id)
        if suspect is None or suspect.hangs < 2:
            return 0.0
        return doubled(OTHERS_FIRST_SECONDS, suspect.hangs - 2, OTHERS_FIRST_MAX_SECONDS)

    def connected(self) -> None:
        """Sending begins on another connection, with what is not suspected: that shows whether the hub hangs or those rows do."""
        self._others_first_until = self._clock.monotonic() + OTHERS_FIRST_SECONDS

    def seconds_left(self, row: OutboxRow) -> float:
        """Until this row may go out; 0 for at once."""
        now, left = self._clock.monotonic(), self._deferrals.seconds_left(row.id)
        if self.rows_together(row.id) is None:
            return left
        return max(left, self._others_first_until - now, self._no_trial_before - now if row.id in self._deferrals else 0.0)

    def answered(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        """The hub has answered a message, whatever it said."""
        self._answers += 1
        self._silence = 0
        self._usual = max(seconds, (self._usual or 0.0) * USUAL_ANSWER_DECAY)
        if self._max_rows is not None and len(rows) >= self._max_rows and seconds * 4 < self._longest:
            self._max_rows = None if self._max_rows > 1000 else self._max_rows * 2
        if not self._suspects:
            return
        tried = [row.id for row in rows if self._suspects.pop(row.id, None)]
        if any(row_id in self._deferrals for row_id in tried):  # HQ may be well again: the others are tried at once
            self._no_trial_before = 0.0
            self._released += self._deferrals.release(self._suspects)

    def timed_out(self, rows: Sequence[OutboxRow], seconds: float) -> list[tuple[OutboxRow, float]]:
        """The oldest unanswered message was given up after so many seconds.

        Returns:
            Rows that are deferred now, and for how many seconds; the others wait `others_first_seconds`.
        """
        deferred = [row for row in rows if row.id in self._deferrals and row.id in self._suspects]
        again = any(row.id in self._suspects for row in rows)
        was_split = any(self.rows_together(row.id) is not None for row in rows)
        for row in rows:
            suspect = self._suspects.setdefault(row.id, _Suspect(answered_then=self._answers))
            suspect.most = max(1, len(rows) // SPLIT) if again else len(rows)
            suspect.hangs += 1
            suspect.hangs_alone += len(rows) == 1
            if suspect.hangs_alone >= HANGS_ALONE and self._answers > suspect.answered_then and not deferred:
                deferred = [row]
                self._silence = max(0, self._silence - (suspect.hangs_alone - 1))  # those were this row's, and not the hub's
        if again and not was_split and len(rows) > 1:
            self._max_rows = len(rows) // 2  # HQ may merely need more time for so many
        if len(rows) > 1 or not deferred:
            self._silence += 1
            return []
        self._no_trial_before = self._clock.monotonic() + seconds / TRIAL_SHARE
        reason = f"HQ did not answer within {seconds:g} s when it was sent alone"
        return [(row, self._deferrals.defer(row, reason, at_least=seconds / TRIAL_SHARE)) for row in deferred]

    def take_released(self) -> list[Entity]:
        """Entities whose deferred rows may go now, since one that had hung was answered; each is returned once."""
        released, self._released = self._released, []
        return released

    def forget(self, row_id: int) -> None:
        """The row has its outcome."""
        self._suspects.pop(row_id, None)

    def clear(self) -> None:
        """Forget all suspicions: somebody has retried or cancelled rows by hand."""
        self._suspects.clear()
