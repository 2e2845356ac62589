"""How many acks go into one message: fewer after the connection ended while some were in flight, more again with time.

A hub closes the connection for a message that is too large or that it cannot read, and the line may fail at the same moment:
only a second end in a row counts against a number of acks that has passed before.
"""

from __future__ import annotations

ACKS_A_MESSAGE = 100  # about 15 kB, below ASP.NET Core's default limit
GROW_SECONDS = 300.0  # after the connection last ended so
LONE_LOSSES = 3  # with the same ack alone in flight, until it is dropped


class AckLimit:
    """Learns from what passes and from what is lost.

    Attributes:
        most: acks in the next message.
        lone_losses: how often the connection has ended in a row with the same ack alone in flight.
    """

    def __init__(self) -> None:
        self.most = ACKS_A_MESSAGE
        self._passed = 0
        self._lost_at = 0.0
        self._alone: bytes | None = None
        self.lone_losses = 0

    def passed(self, count: int, now: float) -> None:
        """So many were answered, on one connection."""
        self._passed = max(self._passed, count)
        self._alone, self.lone_losses = None, 0
        if count >= self.most and now - self._lost_at >= GROW_SECONDS:
            self.most = min(ACKS_A_MESSAGE, self.most * 2)

    def lost(self, acks: list[bytes], now: float) -> bool:
        """The connection ended while these were in flight.

        Returns:
            True where it is one alone, which has had its chances.
        """
        count, passed, self._passed = len(acks), self._passed, 0
        self._lost_at = now
        if count > 1:
            if count > passed:
                self.most = max(1, count // 2)
            return False
        self.lone_losses = self.lone_losses + 1 if acks[0] == self._alone else 1
        self._alone = acks[0]
        if self.lone_losses > 1:
            self.most = 1
        return self.lone_losses >= LONE_LOSSES
