"""Where the hub answers and decides on no row, sending backs off, ever longer, at no row's cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.uplink.retry import SEND_BACKOFF_SECONDS

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.status.report import OutboxStatus


class SendBackoff:
    """Until when nothing is sent.

    Attributes:
        not_before: monotonic; nothing is sent until then.
    """

    def __init__(self, clock: Clock, log: FilteringBoundLogger, status: OutboxStatus) -> None:
        self._clock = clock
        self._log = log
        self._status = status
        self._waits = 0  # in a row
        self.not_before = 0.0

    def begin(self, reason: str) -> None:
        """The hub decides nothing: ask again later."""
        now = self._clock.monotonic()
        self._status.undecided = (reason, self._status.undecided[1] if self._status.undecided else self._clock.now())
        if now < self.not_before:  # several batches were in flight: that is one step
            return
        seconds = SEND_BACKOFF_SECONDS[min(self._waits, len(SEND_BACKOFF_SECONDS) - 1)]
        self._waits += 1
        self.not_before = now + seconds
        self._log.warning("send_backoff_started", reason=reason, retry_in_seconds=seconds)

    def hub_has_decided(self) -> None:
        """It accepted or refused a row: the next wait is a short one."""
        self._waits = 0
        self._status.undecided = None
