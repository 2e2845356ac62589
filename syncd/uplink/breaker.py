"""Where HQ accepts nothing, only a few rows are tried every ten seconds, so that not the whole backlog loses its attempts.

It opens after `OPEN_AFTER_ROWS` refused rows without an accepted one among them: a long run of bad rows at the front of a backlog must not
keep the good ones behind it. The rows that are tried then are of all priorities, for the same reason; the first that is accepted ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.uplink.retry import NOTHING_ACCEPTED_SECONDS, PROBE_SECONDS

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock

OPEN_AFTER_ROWS = 5000
PROBE_ROWS = 7  # every `PROBE_SECONDS`: 2,520 an hour lose an attempt


class Breaker:
    """Counts what HQ refuses between two acceptances.

    Attributes:
        open: only a few rows are tried now.
        not_before: monotonic; nothing is sent until then.
    """

    def __init__(self, clock: Clock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._refused = 0
        self._probes = 0
        self._since: tuple[float, datetime] | None = None  # the first that was not accepted
        self._words = ""
        self.open = False
        self.not_before = 0.0

    def answered(self, accepted: int, refused: int, words: str | None) -> None:
        """HQ has answered a batch.

        Args:
            refused: rows that it refused, or threw for.
            words: its first ones on those, or why its answer decides nothing.
        """
        if accepted:
            if self.open:
                self._log.info("hub_accepts_again", refused=self._refused)
            self._close()
            return
        if words is None:
            return
        now = self._clock.monotonic()
        if self._since is None:
            self._since, self._words = (now, self._clock.now()), words
        self._refused += refused
        if not self.open and self._refused >= OPEN_AFTER_ROWS:
            self.open = True
            self._log.warning("hub_accepts_nothing", refused=self._refused, error=self._words)
        if self.open and refused and now >= self.not_before:  # several batches may have been in flight: that is one step
            self.not_before = now + PROBE_SECONDS[min(self._probes, len(PROBE_SECONDS) - 1)]
            self._probes += 1

    def nothing_waits(self) -> None:
        """No row is left that HQ could accept."""
        self._close()

    def _close(self) -> None:
        self._refused, self._probes, self._since, self.open, self.not_before = 0, 0, None, False, 0.0

    def finding(self) -> str | None:
        """What a person should know, once it has opened or nothing was accepted for a minute."""
        if self._since is None or (not self.open and self._clock.monotonic() - self._since[0] < NOTHING_ACCEPTED_SECONDS):
            return None
        rows = f"{self._refused:,} refused, " if self._refused else ""
        tried = "; a few rows are tried until it accepts one" if self.open else ""
        return f"HQ has accepted no row since {iso_ms(self._since[1])}: {rows}first words: {self._words}{tried}"
