"""Looks after the loops: brings the report up to date, feeds the watchdog only while all of them make progress, notices a replaced file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.errors import StorageError
from syncd.status.health import assess
from syncd.systemd import watchdog_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.downlink.downlink import Downlink
    from syncd.heartbeat import HeartbeatLoop
    from syncd.hub.supervisor import Hub
    from syncd.status.report import Report, State
    from syncd.store.journal import Journal
    from syncd.store.opening import StoreFiles
    from syncd.store.status import DatabaseStatus
    from syncd.store.troubles import Troubles
    from syncd.systemd import Notifier
    from syncd.uplink.uplink import Uplink

INTERVAL_SECONDS = 5.0
STALLED_SECONDS = 180.0  # three invocations without an answer, each of which ends its connection
DATABASE_ANSWERS_SECONDS = 30.0
RECOUNT_SECONDS = 60.0


@dataclass(slots=True)
class _Pulse:
    """A loop that must move while it has something to do."""

    name: str
    busy: Callable[[], bool]
    beats: Callable[[], int]
    patience_seconds: float
    last: int = -1
    since: float = 0.0

    def stalled(self, now: float) -> bool:
        if not self.busy() or self.beats() != self.last:
            self.last, self.since = self.beats(), now
        return now - self.since > self.patience_seconds


class Watchdog:
    """Everything that is asked of all the loops together.

    Attributes:
        stopped: the loops have ended; the report's state is final.
    """

    def __init__(
        self,
        report: Report,
        hub: Hub,
        uplink: Uplink,
        downlink: Downlink,
        heartbeat: HeartbeatLoop,
        journal: Journal,
        files: StoreFiles,
        notifier: Notifier,
        clock: Clock,
        log: FilteringBoundLogger,
        troubles: Troubles,
        invocation_timeout_seconds: float,
    ) -> None:
        self._report = report
        self._hub = hub
        self._uplink = uplink
        self._downlink = downlink
        self._heartbeat = heartbeat
        self._journal = journal
        self._files = files
        self._notifier = notifier
        self._clock = clock
        self._log = log
        self._troubles = troubles
        patience = max(STALLED_SECONDS, 3 * invocation_timeout_seconds)
        self._pulses = [
            _Pulse("uplink", lambda: uplink.should_move and not troubles, lambda: uplink.answers, patience),
            _Pulse("downlink", lambda: not downlink.idle and not troubles, lambda: downlink.progress_count, patience),
        ]
        self._state: State | None = None
        self._recounted_at = clock.monotonic()
        self.stopped = False

    async def run(self) -> None:
        """Look at every loop, every few seconds; for ever.

        Raises:
            StorageError: a database was replaced under us.
        """
        watchdog = watchdog_interval()
        interval = min(INTERVAL_SECONDS, watchdog / 2) if watchdog else INTERVAL_SECONDS
        while True:
            for database in self._files.each_once:
                database.file.require_same()
            now = self._clock.monotonic()
            stalled = [pulse.name for pulse in self._pulses if pulse.stalled(now)]
            if not await self._databases_answer():
                stalled.append("database")
            if stalled != self._report.stalled_loops:
                self._report.stalled_loops = stalled
                self._report.touch()
                if stalled:
                    self._log.error("loops_stalled", loops=stalled)
            if not stalled:
                self._notifier.watchdog()
                await self._recount(now)
            await self._clock.sleep(interval)

    async def _recount(self, now: float) -> None:
        if now - self._recounted_at >= RECOUNT_SECONDS:
            self._recounted_at = now
            with suppress(StorageError):  # whoever needs the file says so
                await self._downlink.recount()
            self._report.touch()

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

    # ── the report ────────────────────────────────────────────────────────────────────────────────────────────────
    def collect(self) -> None:
        """Bring the report up to date with what the loops know."""
        report, status, uplink, downlink = self._report, self._hub.status, self._uplink, self._downlink
        report.connection = status
        uplink.refresh_status()
        report.inbound.missing_methods = {"RequestBatchSync"} if downlink.catch_up.lacks_method else set()
        report.inbound.catch_up_error = None if downlink.catch_up.lacks_method else downlink.catch_up.error
        report.inbound.applied_total = downlink.applied_total
        report.inbound.stale = downlink.stale
        report.inbound.quarantined = downlink.quarantined
        report.inbound.unreadable = downlink.unreadable.total
        report.inbound.unreadable_reason = downlink.unreadable.reason()
        report.inbound.cursor = downlink.catch_up.cursor
        report.inbound.last_applied_at = downlink.last_applied_at
        report.inbound.caught_up = downlink.catch_up.caught_up
        report.inbound.full_pull_types = downlink.catch_up.feed.full_pull_types
        report.inbound.fully_pulled_at = downlink.catch_up.feed.fully_pulled_at
        report.heartbeat.last_sent_at = self._heartbeat.last_sent_at
        report.heartbeat.last_response_at = self._heartbeat.last_response_at
        report.heartbeat.round_trip_ms = self._heartbeat.round_trip_milliseconds
        error = self._troubles.error
        report.database.error = None if error is None else str(error)
        self._describe_files(report.database)
        if not self.stopped and report.state != "stopping":
            report.state = self._live_state()
        if report.state != self._state:
            self._state = report.state
            self._log.info("state", state=report.state, health=assess(report)[0], pending=report.outbox.pending_total)
        self._notifier.status(self._sentence())

    def _describe_files(self, shown: DatabaseStatus) -> None:
        lock = self._troubles.held_lock
        shown.write_lock_file, shown.write_lock_holder = (lock.file, lock.holder) if lock else (None, None)
        shown.write_lock_held_seconds = lock.seconds if lock else 0.0
        shown.write_lock_held_since = self._clock.now() - timedelta(seconds=lock.seconds) if lock else None
        largest = max((database.file for database in self._files.each_once), key=lambda file: (bool(file.wal_large_since), file.wal_bytes))
        shown.wal_file, shown.wal_bytes = str(largest.path), largest.wal_bytes
        shown.wal_large_since, shown.wal_readers = largest.wal_large_since, largest.wal_readers

    def _live_state(self) -> State:
        match self._hub.status.state:
            case "connected":
                return "syncing" if self._report.outbox.pending_total or self._downlink.catch_up.active else "online"
            case "disconnected":
                return "starting"
            case "connecting":
                return "connecting"
            case "reconnecting":
                return "reconnecting"
            case _:
                return "offline"

    def _sentence(self) -> str:
        pending = self._report.outbox.pending_total
        refused = (
            f"; the new configuration was refused, the old one is in use: {error}" if (error := self._report.configuration_error) else ""
        )
        return f"{self._report.state}; {pending} rows wait for HQ, {self._report.outbox.failed} failed{refused}"
