"""How large a message this hub takes: learned from what passes and from the closes, never by trying the same thing again and again.

ASP.NET Core closes the connection for a message that is too large, and the very same way for one that it cannot parse, so a close only
raises a suspicion. After one, messages go out one at a time (`careful`), which makes the next close unambiguous: a batch is halved, a row
that closes the connection twice when sent alone is at fault, if others passed in between; one row at a time may be judged without that.

A line that breaks without the hub's word raises that suspicion only after a while, and never convicts a row while nothing
passes at all: the hub may be ill, and no row is to blame for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.errors import ClosedByHub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.errors import HubError

SMALLEST_CEILING_BYTES = 512
SMALLEST_LIMIT_BYTES = 1024  # of any hub, as `hub.max_message_bytes` has it: what closes below that is odd in itself
MESSAGE_TOO_BIG = 1009  # WebSocket close code
PLAIN_LOSSES_BEFORE_SUSPICION = 3  # a proxy may cut without a word
CAREFUL_MESSAGES = 3  # that pass before several are in flight again
STRIKES = 2  # closes that a row sent alone may cause
LONELY_STRIKE = 0.5  # what a close counts for while nothing else passed: the hub may be ill
PLAIN_STRIKE = 0.25  # what a line that breaks without a word counts for
WITNESSES = 2  # rows that must have closed it for their size, before a larger one is not even tried: one may have been odd in itself
PROBE_SECONDS = 3600.0  # how often a known limit is felt for from below
FORGET_LIMIT_SECONDS = 86400.0  # HQ may have raised it meanwhile


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A message that was sent, and whose answer never came.

    Attributes:
        size: bytes, its separator included.
        row_ids: the outbox rows in it.
    """

    size: int
    row_ids: tuple[int, ...]


class MessageLimiter:
    """What may be sent now.

    Args:
        configured: `hub.max_message_bytes`, never exceeded.
        passed: bytes of the largest message known to have passed.
        too_large: bytes of the smallest known not to have; None where none is known.
        now: monotonic.
    """

    def __init__(self, configured: int, *, passed: int = 0, too_large: int | None = None, now: float = 0.0) -> None:
        self.configured = configured
        self.passed_bytes = min(passed, configured)
        self.too_large_bytes = too_large
        self._learned_at = now
        self._probed_at = now
        self.ceiling = configured if too_large is None else max(self.passed_bytes, min(configured, too_large // 2))
        self.max_rows: int | None = None
        self._careful_for = 0
        self._plain_losses = 0
        self._passes = 0
        self._lonely: int | None = None  # the row that is judged although nothing else has passed since
        self._strikes: dict[int, tuple[float, int]] = {}  # a row's strikes, and how many messages had passed at the last one
        self._witnesses: dict[int, int] = {} if too_large is None else {0: too_large}  # bytes of rows that may have been too large

    @property
    def careful(self) -> bool:
        """Only one message may be in flight."""
        return self._careful_for > 0

    def be_careful(self) -> None:
        """One message at a time for a while."""
        self._careful_for = CAREFUL_MESSAGES

    @property
    def largest(self) -> int:
        """Bytes of the largest message worth a try, be it with a row alone."""
        if len(self._witnesses) < WITNESSES:
            return self.configured
        return min(self.configured, min(self._witnesses.values()) - 1)

    def passed(self, size: int, rows: int, now: float) -> bool:
        """A message was answered.

        Returns:
            True where that is worth remembering over a restart.
        """
        self._plain_losses = 0
        self._passes += 1
        self._lonely = None
        self._careful_for = max(0, self._careful_for - 1)
        if self.max_rows is not None and rows >= self.max_rows:
            self.max_rows = None if self.max_rows > 1000 else self.max_rows * 2
        learned = size > self.passed_bytes
        self.passed_bytes = max(size, self.passed_bytes)
        if self.too_large_bytes is not None and (size >= self.too_large_bytes or now - self._learned_at > FORGET_LIMIT_SECONDS):
            self.too_large_bytes = None
            self._witnesses.clear()
        if size * 2 >= self.ceiling < self.largest:  # a batch that the ceiling cut short fills at least half of it
            self._raise_ceiling(now)
        return learned and self.too_large_bytes is not None

    def _raise_ceiling(self, now: float) -> None:
        if self.too_large_bytes is None:
            self.ceiling = min(self.configured, self.ceiling * 2)
        elif now - self._probed_at >= PROBE_SECONDS and (self.too_large_bytes - self.ceiling) * 10 > self.ceiling:
            self._probed_at = now
            self.ceiling = (self.ceiling + self.too_large_bytes) // 2
            self._careful_for = CAREFUL_MESSAGES

    def lost(self, loss: HubError | None, unanswered: Sequence[Unanswered], now: float) -> bool:
        """The connection went with these unanswered.

        Returns:
            True where the message itself may be the reason: the next attempt should be soon, since it is a smaller one.
        """
        if not unanswered:
            return False
        says_so = _says_so(loss)
        if not says_so:
            self._plain_losses += 1
            if self._plain_losses < PLAIN_LOSSES_BEFORE_SUSPICION:
                return False
        was_careful = self.careful
        self.be_careful()
        largest = max(unanswered, key=lambda message: message.size)
        if len(unanswered) == 1:
            alone = largest.row_ids[0] if len(largest.row_ids) == 1 else None
            if alone is not None:
                self._strike(alone, says_so=says_so)
            proven = was_careful if alone is None else self.guilty(alone)
            if says_so and proven and largest.size > max(self.passed_bytes, SMALLEST_LIMIT_BYTES):
                self._too_large(largest.size, now)
                if alone is not None:
                    self._witnesses[alone] = largest.size
        if largest.size > self.passed_bytes:
            self.ceiling = max(SMALLEST_CEILING_BYTES, self.passed_bytes, min(self.ceiling, largest.size // 2))
        if largest.size <= self.ceiling:  # such messages have passed, or are too small to blame: it is something in it
            self._doubt(unanswered, largest.size, says_so=says_so)
        return True

    def _doubt(self, unanswered: Sequence[Unanswered], size: int, *, says_so: bool) -> None:
        """Fewer rows; and where the hub said so it may take less than it once did, so smaller messages too."""
        self.max_rows = max(1, max(len(message.row_ids) for message in unanswered) // 2)
        if says_so:
            self.passed_bytes = min(self.passed_bytes, size // 2)
            self.ceiling = max(SMALLEST_CEILING_BYTES, min(self.ceiling, size // 2))

    def _strike(self, row_id: int, *, says_so: bool) -> None:
        strikes, passes = self._strikes.get(row_id, (0.0, -1))
        if passes != self._passes:  # others got through meanwhile, and this one did not
            strikes += 1 if says_so else PLAIN_STRIKE
        elif says_so and self._lonely in (None, row_id):  # there may be nothing else to send; but no more than one row is judged like this
            self._lonely = row_id
            strikes += LONELY_STRIKE
        self._strikes[row_id] = (strikes, self._passes)

    def _too_large(self, size: int, now: float) -> None:
        self.too_large_bytes = size if self.too_large_bytes is None else min(size, self.too_large_bytes)
        self._learned_at = self._probed_at = now

    def guilty(self, row_id: int) -> bool:
        """Whether this row, alone in its message, has closed the connection too often."""
        return self._strikes.get(row_id, (0.0, 0))[0] >= STRIKES

    def suspect(self, row_id: int) -> bool:
        """Whether the connection went with this row alone: others go first, and show whether it is the row or the hub."""
        return 0 < self._strikes.get(row_id, (0.0, 0))[0] < STRIKES

    def forget(self, row_id: int) -> None:
        """The row has its outcome."""
        self._strikes.pop(row_id, None)


def _says_so(loss: HubError | None) -> bool:
    """Whether the hub, or whoever stands before it, closed for a reason of its own."""
    return (isinstance(loss, ClosedByHub) and loss.error is not None) or getattr(loss, "close_code", None) == MESSAGE_TOO_BIG
