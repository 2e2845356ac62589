"""How many updates a page may have, where a whole page is too large to get through, or takes HQ too long to answer."""

from __future__ import annotations

GROW_AFTER_PAGES = 20  # a page that is too large costs its whole transfer, so it is tried at most this seldom
LEAST_ITEMS_IN_TIME = 10  # where HQ has not answered even these in time, it is not the page's size
"""No page is smaller because of a time-out."""
PROMPT_PART = 0.25  # of the time-out: one of twice the size would still be answered in half of it


class PageSize:
    """Halved by each page that does not come, and doubled again after `GROW_AFTER_PAGES` that came; kept while we run.

    Attributes:
        items: how many updates to ask for.
    """

    def __init__(self, most: int) -> None:
        self.items = most
        self._most = most
        self._arrived = 0

    def halve(self) -> bool:
        """A page was too large; returns whether a smaller one can be asked for."""
        return self._halve(1)

    def timed_out(self) -> bool:
        """HQ did not answer in time; returns whether a smaller page can be asked for."""
        return self._halve(LEAST_ITEMS_IN_TIME)

    def _halve(self, least: int) -> bool:
        was, self.items, self._arrived = self.items, max(min(least, self.items), self.items // 2), 0
        return self.items < was

    def arrived(self, time_out_part: float = 0.0) -> None:
        """A page came, after this part of the time that there was for it."""
        self._arrived += time_out_part <= PROMPT_PART
        if self._arrived >= GROW_AFTER_PAGES:
            self.items, self._arrived = min(self._most, 2 * self.items), 0
