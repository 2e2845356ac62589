"""HQ's messages that cannot be read are counted; some are kept in the quarantine as they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.redaction import foreign
from syncd.store.quarantine import Quarantined

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.clock import Clock
    from syncd.hub.incoming import Unreadable
    from syncd.status.report import InboundStatus

KEPT_A_DAY = 10
"""Of each method; more of them would tell nothing new."""
MAX_METHODS = 100
"""Beyond these (a hub may invent any number of names) methods share one allowance."""
MAX_QUARANTINED = 1_000
"""With so many entries in the quarantine, nothing unreadable is added; at 64 KiB each they are 64 MB."""
DAY_SECONDS = 86_400.0
RECENT_SECONDS = 600.0
NO_METHOD = "(unknown)"


class UnreadableMessages:
    """Keeps some of them, counts them all.

    Args:
        keep: puts one into the quarantine.
        status: the section of the report in which they are counted, and which says how many entries the quarantine has.
    """

    def __init__(self, clock: Clock, keep: Callable[[Quarantined], None], status: InboundStatus) -> None:
        self._clock = clock
        self._keep = keep
        self._status = status
        self._kept: dict[str, int] = {}
        self._day_began = clock.monotonic()
        self._last = ("", "")
        self._last_at = 0.0

    def take(self, message: Unreadable) -> None:
        """Count it, and keep it where it may tell something new."""
        method = (message.target or NO_METHOD)[:100]
        self._status.unreadable += 1
        self._last = method, message.reason
        self._last_at = self._clock.monotonic()
        if self._is_worth_keeping(method):
            self._keep(Quarantined(method, None, message.reason, message.raw))

    def reason(self) -> str | None:
        """For the status, as long as the last one came within `RECENT_SECONDS`; else None."""
        if self._status.unreadable == 0 or self._clock.monotonic() - self._last_at > RECENT_SECONDS:
            return None
        method, why = map(foreign, self._last)
        return f"HQ sends what cannot be read ({self._status.unreadable:,} since the start), the last: {method}: {why}"

    def _is_worth_keeping(self, method: str) -> bool:
        if self._clock.monotonic() - self._day_began > DAY_SECONDS:
            self._day_began = self._clock.monotonic()
            self._kept.clear()
        if method not in self._kept and len(self._kept) >= MAX_METHODS:
            method = NO_METHOD
        kept = self._kept.get(method, 0)
        if kept >= KEPT_A_DAY or self._status.quarantined >= MAX_QUARANTINED:
            return False
        self._kept[method] = kept + 1
        return True
