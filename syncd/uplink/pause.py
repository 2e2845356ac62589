"""Where the hub answers and decides on no row, sending pauses, ever longer, at no row's cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.uplink.retry import PAUSE_SECONDS

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.status.report import OutboxStatus


class Pause:
    """Until when nothing is sent.

    Attributes:
        not_before: monotonic; nothing is sent until then.
    """

    def __init__(self, clock: Clock, log: FilteringBoundLogger, status: OutboxStatus) -> None:
        self._clock = clock
        self._log = log
        self._status = status
        self._pauses = 0  # in a row
        self.not_before = 0.0

    def begin(self, reason: str) -> None:
        """The hub decides nothing: ask again later."""
        now = self._clock.monotonic()
        self._status.undecided = (reason, self._status.undecided[1] if self._status.undecided else self._clock.now())
        if now < self.not_before:  # several batches were in flight: that is one step
            return
        seconds = PAUSE_SECONDS[min(self._pauses, len(PAUSE_SECONDS) - 1)]
        self._pauses += 1
        self.not_before = now + seconds
        self._log.warning("send_backoff_started", reason=reason, retry_in_seconds=seconds)

    def hub_has_decided(self) -> None:
        """It accepted or refused a row: the next pause is a short one."""
        self._pauses = 0
        self._status.undecided = None
