"""How many batches are in flight: as many as the line's round trip and the hub's pace take, reckoned as TCP Vegas does.

What an answer takes longer than the line's round trip, its message has waited behind others at the hub or on the line. So of `batches` in
flight `batches * round_trip / seconds` are on their way, which is what keeps the line full; a few more that wait are enough, and an urgent
row waits behind no more than these. A single slow answer changes nothing: a round of answers is known by its quickest. The round trip is
the quickest answer on this connection; where its line becomes a longer one, few are in flight, until the next connection.
"""

from __future__ import annotations

import math

START_BATCHES = 4  # and never fewer, unless `sync.batches_in_flight` is lower
WAITING_BATCHES = 3  # at the hub: it never runs dry


class WindowSize:
    """Follows the line.

    Args:
        ceiling: batches at most.

    Attributes:
        batches: that may be in flight now.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self.connected()

    def connected(self) -> None:
        """A new connection: nothing is known of its line."""
        self.batches = min(START_BATCHES, self._ceiling)
        self._round_trip = math.inf  # seconds
        self._begin_round()

    def _begin_round(self) -> None:
        self._answers = 0
        self._most_in_flight = 0
        self._quickest_of_round = math.inf

    def answered(self, seconds: float, in_flight: int) -> None:
        """A message was answered.

        Args:
            in_flight: how many were, this one included.
        """
        self._round_trip = min(seconds, self._round_trip)
        self._quickest_of_round = min(seconds, self._quickest_of_round)
        self._most_in_flight = max(in_flight, self._most_in_flight)
        self._answers += 1
        if self._answers >= self.batches:
            self._fit()
            self._begin_round()

    def _fit(self) -> None:
        on_their_way = self.batches * self._round_trip / self._quickest_of_round if self._quickest_of_round else self.batches
        wanted = round(on_their_way) + WAITING_BATCHES
        if wanted < self.batches or self._most_in_flight >= self.batches:  # else it is not the window that holds anything back
            self.batches = min(self._ceiling, max(START_BATCHES, wanted))
