"""Log lines that a hub could make us write without end: one a minute for each subject, with the count of those left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock

INTERVAL_SECONDS = 60.0
MAX_SUBJECTS = 100
"""Beyond these (a hub may invent any number of method names) subjects share one count."""


class SeldomLog:
    """Warnings, at most one in `INTERVAL_SECONDS` for each event and subject."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def warning(self, event: str, *, subject: str = "", **fields: object) -> None:
        """Log it, unless the same was logged less than a minute ago."""
        key = (event, subject)
        if key not in self._last and len(self._last) >= MAX_SUBJECTS:
            key = (event, "")
        now = self._clock.monotonic()
        if key in self._last and now - self._last[key] < INTERVAL_SECONDS:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return
        self._last[key] = now
        if subject:
            fields["subject"] = subject
        if left_out := self._left_out.pop(key, 0):
            fields["repeats_left_out"] = left_out
        self._log.warning(event, **fields)
