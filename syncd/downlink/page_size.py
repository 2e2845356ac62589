"""How many updates a page may have, where HQ's are so large that a whole page of them does not get through."""

from __future__ import annotations

GROW_AFTER_PAGES = 20  # a page that is too large costs its whole transfer, so it is tried at most this seldom


class PageSize:
    """Halved by each page that is too large, and doubled again after `GROW_AFTER_PAGES`; kept while we run.

    Attributes:
        items: how many updates to ask for.
    """

    def __init__(self, most: int) -> None:
        self.items = most
        self._most = most
        self._arrived = 0

    def halve(self) -> bool:
        """A page was too large; returns whether a smaller one can be asked for."""
        was, self.items, self._arrived = self.items, max(1, self.items // 2), 0
        return self.items < was

    def arrived(self) -> None:
        """A page was not too large."""
        self._arrived += 1
        if self._arrived >= GROW_AFTER_PAGES:
            self.items, self._arrived = min(self._most, 2 * self.items), 0
