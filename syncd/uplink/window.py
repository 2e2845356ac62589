"""How many batches are with the hub, how many wait to be durable, and what still fits into the next message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.uplink.window_size import START_BATCHES

if TYPE_CHECKING:
    from syncd.store.outbox import OutboxRow
    from syncd.uplink.suspects import Suspects
    from syncd.uplink.window_size import WindowSize

UNDURABLE_BATCHES = 8  # beyond the window: answered, and not yet on our disk
MAX_BYTES_IN_FLIGHT = 1024 * 1024  # of rows, beyond `START_BATCHES`: what a lost line costs at most


class Window:
    """Counts batches.

    Attributes:
        size: how many may be in flight.
        in_flight: sent, and not answered yet.
        undurable: taken from the queue, and not yet both answered and durable; those in flight included.
        closing: nothing more is taken, since the daemon ends.
        paused: nothing more is taken, since a person wants it so for a while.
    """

    def __init__(self, size: WindowSize) -> None:
        self.size = size
        self.in_flight = 0
        self._bytes = 0
        self.undurable = 0
        self.closing = False
        self.paused = False

    def has_room(self, *, serial: bool) -> bool:
        """Whether one more may be sent.

        Args:
            serial: with nothing else in flight.
        """
        batches = 1 if serial else self.size.batches
        stopped = self.closing or self.paused or (self.in_flight >= START_BATCHES and self._bytes >= MAX_BYTES_IN_FLIGHT)
        return not stopped and self.in_flight < batches and self.undurable < batches + UNDURABLE_BATCHES

    def sent(self, size: int) -> None:
        """A batch of so many bytes is sent."""
        self.in_flight += 1
        self.undurable += 1
        self._bytes += size

    def back(self, size: int) -> None:
        """It is answered, or will not be."""
        self.in_flight -= 1
        self._bytes -= size

    def answered(self, seconds: float) -> None:
        """One message was answered, after so long."""
        self.size.answered(seconds, self.in_flight)


class MessageRoom:
    """Puts one message together: rows up to the hub's limit, and suspected rows never with others.

    Attributes:
        together: how many suspected rows may be in this message; None where its first row is not suspected.
    """

    def __init__(self, suspects: Suspects, budget_bytes: int) -> None:
        self._suspects = suspects
        self._budget_bytes = budget_bytes
        self._bytes = 0
        self._rows = 0
        self.together: int | None = None

    def fits(self, row: OutboxRow) -> bool:
        """Whether this row goes into the message, too; asked once a row, in order. The first always does."""
        self._bytes += len(row.encoded) + 1
        self._rows += 1
        together = self._suspects.rows_together(row)
        if self._rows == 1:
            self.together = together
            return True
        if self._bytes > self._budget_bytes or (together is None) != (self.together is None):
            return False
        return together is None or self.together is None or self._rows <= min(self.together, together)
