"""Feeds the service manager's watchdog, but only while every loop makes progress and every database answers; notices a replaced file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.systemd import watchdog_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.status.report import Report
    from syncd.store.lock import StoreLock
    from syncd.store.opening import StoreFiles
    from syncd.systemd import Notifier

INTERVAL_SECONDS = 5.0
STALLED_SECONDS = 180.0  # three invocations without an answer, each of which ends its connection
DATABASE_ANSWERS_SECONDS = 30.0


@dataclass(slots=True)
class Pulse:
    """A loop that must move while it has something to do.

    Attributes:
        busy: whether it has.
        beats: a counter of what it has done.
    """

    name: str
    busy: Callable[[], bool]
    beats: Callable[[], int]
    _last: int = -1
    _since: float = 0.0

    def stalled(self, now: float, patience_seconds: float) -> bool:
        """Whether it has not moved for so long."""
        if not self.busy() or self.beats() != self._last:
            self._last, self._since = self.beats(), now
        return now - self._since > patience_seconds


class Watchdog:
    """Looks at the loops and the databases; `report.stalled_loops` says what it found."""

    def __init__(
        self,
        *,
        report: Report,
        pulses: Sequence[Pulse],
        files: StoreFiles,
        lock: StoreLock,
        notifier: Notifier,
        clock: Clock,
        log: FilteringBoundLogger,
        invocation_timeout_seconds: float,
    ) -> None:
        self._report = report
        self._pulses = pulses
        self._files = files
        self._lock = lock
        self._notifier = notifier
        self._clock = clock
        self._log = log
        self._patience_seconds = max(STALLED_SECONDS, 3 * invocation_timeout_seconds)

    async def run(self) -> None:
        """Look every few seconds; for ever.

        Raises:
            StorageError: a database, or the lock file, was replaced under us.
        """
        fed_every = watchdog_interval()
        interval = min(INTERVAL_SECONDS, fed_every / 2) if fed_every else INTERVAL_SECONDS
        while True:
            self._lock.require_same()
            for database in self._files.each_once:
                database.file.require_same()
            now = self._clock.monotonic()
            stalled = [pulse.name for pulse in self._pulses if pulse.stalled(now, self._patience_seconds)]
            if not await self._databases_answer():
                stalled.append("database")
            if stalled != self._report.stalled_loops:
                self._report.stalled_loops = stalled
                self._report.touch()
                if stalled:
                    self._log.error("loops_stalled", loops=stalled)
            if not stalled:
                self._notifier.watchdog()
            await self._clock.sleep(interval)

    async def _databases_answer(self) -> bool:
        try:
            async with self._clock.timeout(DATABASE_ANSWERS_SECONDS):
                for database in (
                    self._files.reader,
                    self._files.journal,
                    self._files.outbox.database,
                    self._files.store.database,
                ):
                    await database.run(lambda c: c.execute("SELECT 1").fetchone())
        except (TimeoutError, StorageError):
            return False
        return True
