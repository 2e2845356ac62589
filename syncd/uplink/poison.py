"""Which row closes the connection by what is in it: found by sending fewer rows a message, down to the row that is alone.

A row that closes the connection twice when it is sent alone is poison, if other messages passed in between. Where nothing else passes the
hub itself may be ill: such closes count less, only for one row at a time (there may be nothing else to send), and only where its message
may be too large for the hub. A line that breaks
without the hub's word counts still less, and not at all while nothing passes.
"""

from __future__ import annotations

POISON_SCORE = 2.0  # of a row's closes when it was sent alone
CLOSE_SCORE = 1.0  # a close by the hub, after another message has passed
SOLE_SUSPECT_SCORE = 0.5  # a close by the hub while nothing else has passed
LINE_LOSS_SCORE = 0.25  # a line that broke without a word, after another message has passed
UNLIMITED_ABOVE_ROWS = 1000  # a message; no batch has more


class PoisonSearch:
    """How many rows may be in a message, and which rows are suspected.

    Attributes:
        max_rows: in a message; None where that does not matter.
    """

    def __init__(self) -> None:
        self.max_rows: int | None = None
        self._passes = 0
        self._scores: dict[int, tuple[float, int]] = {}  # by row id: the score, and how many messages had passed at its last close
        self._sole_suspect: int | None = None  # the row whose closes count although nothing else has passed since

    def passed(self, rows: int) -> None:
        """A message with so many rows was answered."""
        self._passes += 1
        self._sole_suspect = None
        if self.max_rows is not None and rows >= self.max_rows:
            self.max_rows = None if self.max_rows > UNLIMITED_ABOVE_ROWS else self.max_rows * 2

    def bisect(self, rows: int) -> None:
        """The connection went with a message of so many rows, and its size is not the reason."""
        self.max_rows = max(1, rows // 2)

    def closed_alone(self, row_id: int, *, by_hub: bool, small: bool) -> None:
        """The connection went with this row alone in the only message in flight.

        Args:
            small: any hub takes a message of this size, so that its close says nothing of the row while nothing else passes.
        """
        score, passes = self._scores.get(row_id, (0.0, -1))
        if passes != self._passes:  # others got through meanwhile, and this one did not
            score += CLOSE_SCORE if by_hub else LINE_LOSS_SCORE
        elif by_hub and not small and self._sole_suspect in (None, row_id):
            self._sole_suspect = row_id
            score += SOLE_SUSPECT_SCORE
        self._scores[row_id] = (score, self._passes)

    @property
    def suspects_any(self) -> bool:
        """Some rows have closed the connection."""
        return bool(self._scores)

    def is_poison(self, row_id: int) -> bool:
        """Whether this row, alone in its message, has closed the connection too often."""
        return self._scores.get(row_id, (0.0, 0))[0] >= POISON_SCORE

    def is_suspect(self, row_id: int) -> bool:
        """Whether the connection went with this row alone: others go first, and show whether it is the row or the hub."""
        return 0 < self._scores.get(row_id, (0.0, 0))[0] < POISON_SCORE

    def forget(self, row_id: int) -> None:
        """The row has its outcome."""
        self._scores.pop(row_id, None)
