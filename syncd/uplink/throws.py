"""Whether a row or the hub is at fault where the hub threw for a row that stood alone, across all deliveries.

A throw is the row's own once HQ has accepted another row since the first throw for it, and has not begun to throw for others meanwhile.
Until then it may be the hub's (its database may be down), which costs the row no attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

REMEMBERED_ROWS = 10_000  # for which the hub threw


class Throws:
    """Which rows the hub threw for, and what it has accepted in between."""

    def __init__(self) -> None:
        self._acceptances = 0
        self._rows: dict[int, tuple[int, int]] = {}  # by row id: the acceptances at its first throw, and its throws
        self._since_acceptance: set[int] = set()  # rows that threw first since the last acceptance

    @property
    def for_everything(self) -> bool:
        """The hub threw for several rows, and has accepted none since."""
        return len(self._since_acceptance) > 1

    def take(self, thrown: Collection[int], *, accepted: bool) -> set[int]:
        """A delivery is over.

        Args:
            thrown: ids of the rows for which the hub threw.
            accepted: it has accepted others of the same delivery.

        Returns:
            Those of them that are at fault themselves.
        """
        before, suspected = self._acceptances, bool(self._since_acceptance)
        if accepted:
            self._acceptances += 1
            self._since_acceptance.clear()
        # A row may have thrown just before the hub was well again.
        first, passed = (self._acceptances, before) if suspected else (before, self._acceptances)
        for row_id in thrown:
            first_throw, times = self._rows.get(row_id, (first, 0))
            self._rows[row_id] = first_throw, times + 1
            if first_throw == self._acceptances and len(self._since_acceptance) < REMEMBERED_ROWS:
                self._since_acceptance.add(row_id)
        fresh = self._since_acceptance
        own = {row_id for row_id in thrown if self._rows[row_id][0] < passed and len(fresh) == (row_id in fresh)}
        while len(self._rows) > REMEMBERED_ROWS:
            del self._rows[next(iter(self._rows))]
        return own

    def decided(self) -> None:
        """HQ gave a verdict, be it a refusal: it does not throw for everything."""
        self._since_acceptance.clear()

    def times(self, row_id: int) -> int:
        """How often the hub threw for this row."""
        return self._rows.get(row_id, (0, 1))[1]

    def forget(self, row_id: int) -> None:
        """The row is sent or failed."""
        self._rows.pop(row_id, None)
