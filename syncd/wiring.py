"""The parts of one run of the daemon, each given what it needs, and their loops by name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncd.downlink.downlink import Downlink
from syncd.downlink.notifications import Notifications
from syncd.heartbeat import HeartbeatLoop
from syncd.hub.supervisor import Hub
from syncd.status.file import StatusWriter
from syncd.status.state import OverallState, sentence
from syncd.store.checkpoint import Checkpoints
from syncd.store.commit_signal import CommitSignal
from syncd.store.file_watch import FileWatch
from syncd.store.fill import Fill
from syncd.store.inbox import Inbox
from syncd.store.inbox_log import InboxLog
from syncd.store.journal import Journal
from syncd.store.outbox_reader import OutboxReader
from syncd.store.replay import ReplayRequests
from syncd.store.retention import Retention
from syncd.store.status_marks import StatusMarks
from syncd.store.troubles import Troubles
from syncd.uplink.pausing import Pausing
from syncd.uplink.uplink import Uplink
from syncd.watchdog import Pulse, Watchdog

if TYPE_CHECKING:
    import random as random_module
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession
    from syncd.status.report import Report
    from syncd.store.lock import StoreLock
    from syncd.store.opening import StoreFiles
    from syncd.systemd import Notifier

    Loop = Coroutine[Any, Any, object]


class Parts:
    """All parts of one run of the daemon; each keeps its own section of the report.

    Attributes:
        uplink: to be drained before the loops are cancelled.
        status: to be written once more after that.
    """

    def __init__(
        self,
        settings: Settings,
        files: StoreFiles,
        lock: StoreLock,
        report: Report,
        *,
        clock: Clock,
        random: random_module.Random,
        log: FilteringBoundLogger,
        notifier: Notifier,
    ) -> None:
        self._settings = settings
        self._files = files
        self._lock = lock
        self._report = report
        self._clock = clock
        self._random = random
        self._log = log
        self._notifier = notifier
        self._troubles = Troubles(files.each_once, clock, log, report.database, report.touch)
        self._hub = Hub(settings.hub, store_id=settings.store.id, clock=clock, random=random, log=log, status=report.connection)
        self._journal = Journal(files.journal, clock, self._troubles.part("journal"))
        self.uplink = self._make_uplink()
        self._downlink = self._make_downlink()
        self._pausing = Pausing(settings.database.state_path, report, self.uplink.pause, clock, log)
        self._pausing.look()  # before the first row is sent
        self._heartbeat = HeartbeatLoop(
            hub=self._hub, report=report, interval_seconds=settings.heartbeat.interval_seconds, clock=clock, log=log
        )
        self._state = OverallState(report, settings.sync.batch_size, log)
        self.status = StatusWriter(report, settings, clock, log, self._refresh_report, self._write_metrics())
        Notifications(self._hub, report, clock, log)
        self._hub.on_connected(self._greet)
        report.connection.on_change.append(report.touch)

    def loops(self) -> dict[str, Loop]:
        """What runs as long as the daemon lives, by name."""
        files, clock, part = self._files, self._clock, self._troubles.part
        return {
            "journal": self._journal.run(),
            "status_marks": StatusMarks(files.outbox, self._journal, clock, part("status marks")).run(),
            "retention": Retention(files, self._settings.sync.retention_days, clock, part("retention")).run(),
            "fill": Fill(files, files.catalog, clock, self._log, part("fill")).run(),
            "commit_signal": CommitSignal(files.reader, clock, self.uplink.changed, part("commit signal")).run(),
            "uplink": self.uplink.run(),
            "pausing": self._pausing.run(),
            "downlink": self._downlink.run(),
            "heartbeat": self._heartbeat.run(),
            "hub": self._hub.run(),
            "status": self.status.run(),
            "watch": self._watchdog().run(),
            "troubles": self._troubles.run(),
            **dict(self._checkpoints()),
            **dict(self._file_watches()),
            **dict(self._metrics_push()),
        }

    def _make_uplink(self) -> Uplink:
        return Uplink(
            hub=self._hub,
            reader=OutboxReader(self._files.reader, self._clock.now, self._settings.store.id),
            journal=self._journal,
            settings=self._settings,
            clock=self._clock,
            random=self._random,
            log=self._log,
            status=self._report.outbox,
            on_trouble=self._troubles.part("outbox"),
            on_change=self._report.touch,
        )

    def _make_downlink(self) -> Downlink:
        return Downlink(
            hub=self._hub,
            inbox=Inbox(self._files.store, self._clock, self._files.catalog),
            inbox_log=InboxLog(self._files.journal, self._clock),
            replay_requests=ReplayRequests(self._files.journal_maintenance, self._clock),
            catalog=self._files.catalog,
            settings=self._settings,
            clock=self._clock,
            log=self._log,
            status=self._report.inbound,
            on_trouble=self._troubles.part("store"),
            on_change=self._report.touch,
        )

    async def drain(self, seconds: float) -> None:
        """Take nothing more, and wait so long at most until what is in flight is durable, and HQ has the acks of what is applied."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.uplink.drain(seconds))
            group.create_task(self._downlink.drain(seconds))

    async def _greet(self, session: HubSession) -> None:
        self._downlink.catch_up.connected()  # the catch-up begins as soon as the session is handed out
        await self._heartbeat.beat(session)

    def _refresh_report(self) -> None:
        """Before the status is written: what changes with the time alone, and what all parts together amount to."""
        self.uplink.refresh_status()
        self._downlink.refresh_status()
        self._troubles.refresh_status()
        self._state.update()
        self._notifier.status(sentence(self._report))

    def _write_metrics(self) -> Callable[[Report], None]:
        """Where no metrics file is asked for, what makes one is not even loaded: it is some megabytes."""
        settings = self._settings
        if settings.metrics.file is None:
            return lambda _: None
        from syncd.status.metrics_file import MetricsFile  # noqa: PLC0415

        return MetricsFile(settings.metrics.file, settings.store.name, self._clock, self._log).write

    def _metrics_push(self) -> Iterator[tuple[str, Loop]]:
        if self._settings.metrics.otlp_endpoint is not None:
            from syncd.status.otlp import OtlpPush  # noqa: PLC0415  (the same, and an extra)

            yield "otlp", OtlpPush(self._settings, self._report, self._clock, self._log).run()

    def _watchdog(self) -> Watchdog:
        uplink, downlink, troubles = self.uplink, self._downlink, self._troubles
        return Watchdog(
            report=self._report,
            pulses=[
                Pulse("uplink", lambda: uplink.should_move and not troubles, lambda: uplink.answers),
                Pulse("downlink", lambda: not downlink.idle and not troubles, lambda: downlink.progress_count),
            ],
            files=self._files,
            lock=self._lock,
            notifier=self._notifier,
            clock=self._clock,
            log=self._log,
            invocation_timeout_seconds=self._settings.hub.invocation_timeout_seconds,
        )

    def _checkpoints(self) -> Iterator[tuple[str, Loop]]:
        for number, (database, writer) in enumerate(zip(self._files.maintenance, (self._files.outbox, self._files.store), strict=False)):
            name = f"checkpoint.{number}"
            yield name, Checkpoints(database, self._clock, writer.look, self._troubles.part(name)).run()

    def _file_watches(self) -> Iterator[tuple[str, Loop]]:
        files, report = self._files, self._report

        def ids_used_up(words: str | None) -> None:
            report.outbox.ids_used_up = words
            report.touch()

        one_file = files.store is files.outbox
        tills = [(files.outbox, ("outbox", "store"))] if one_file else [(files.outbox, ("outbox",)), (files.store, ("store",))]
        for number, (database, (till, components)) in enumerate(zip(files.maintenance, tills, strict=True)):
            on_trouble = self._troubles.part(f"schema of {components[0]}")
            watch = FileWatch(database, till.database, components, self._clock, self._log, on_trouble, ids_used_up, files.catalog)
            yield f"files.{number}", watch.run()
