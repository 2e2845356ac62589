"""What was sent, in the log: every batch at `debug`, and at `info` one line every few seconds with sums, however long the backlog is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock

INTERVAL_SECONDS = 5.0


class SentLog:
    """Sums up between two lines."""

    def __init__(self, clock: Clock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._sums: dict[str, float] = {}

    def add(self, *, first_id: int, last_id: int, **figures: float) -> None:
        """One message was answered: its rows, bytes, verdicts and milliseconds."""
        self._log.debug("batch_sent", first_id=first_id, last_id=last_id, **figures)
        for name, figure in {"batches": 1, **figures}.items():
            self._sums[name] = self._sums.get(name, 0) + figure

    async def run(self) -> None:
        """Write the sums, for ever; cancelled, the last ones."""
        try:
            while True:
                await self._clock.sleep(INTERVAL_SECONDS)
                self._write()
        finally:
            self._write()

    def _write(self) -> None:
        if self._sums:
            sums, self._sums = self._sums, {}
            self._log.info("batches_sent", **{name: round(figure, 1) for name, figure in sums.items()})
