"""How many updates a page may have, where a whole page is too large to get through, or takes HQ too long to answer."""

from __future__ import annotations

GROW_AFTER_PAGES = 5  # at first; a size that fails again is tried ever more seldom, since that costs a whole transfer
MOST_WAITED_PAGES = 320
LEAST_ITEMS_IN_TIME = 10  # where HQ has not answered even these in time, it is not the page's size
"""No page is smaller because of a time-out."""


class PageSize:
    """Halved where pages do not come, and doubled again after some that did; kept while we run.

    HQ may hang for once, whatever it is asked for: a size that it has just answered is given up only where two pages
    running are not answered in time. Twice as many pages have to come after each doubling that fails, until one holds.

    Attributes:
        items: how many updates to ask for.
    """

    def __init__(self, most: int) -> None:
        self.items = most
        self._most = most
        self._wait = GROW_AFTER_PAGES
        self._arrived = 0  # pages of this size
        self._is_answered = False  # in time, when HQ was last asked for this size
        self._has_grown = False  # to this size, and it has not held yet

    def halve(self) -> bool:
        """A page was too large; returns whether a smaller one can be asked for."""
        return self._halve(1)

    def timed_out(self) -> bool:
        """HQ did not answer in time; returns whether a smaller page is asked for next."""
        if self._is_answered:
            self._is_answered = False
            return False
        return self._halve(LEAST_ITEMS_IN_TIME)

    def _halve(self, least: int) -> bool:
        if self._has_grown:
            self._wait = min(2 * self._wait, MOST_WAITED_PAGES)
        was = self.items
        self._take(max(min(least, was), was // 2), has_grown=False)
        return self.items < was

    def arrived(self) -> None:
        """A page came."""
        self._arrived += 1
        self._is_answered = True
        if self._arrived < self._wait:
            return
        if self._has_grown:
            self._wait, self._has_grown = GROW_AFTER_PAGES, False
        if self.items < self._most:
            self._take(min(self._most, 2 * self.items), has_grown=True)

    def _take(self, items: int, *, has_grown: bool) -> None:
        self.items, self._has_grown = items, has_grown
        self._arrived, self._is_answered = 0, False
