"""The whole life of the daemon on one screen: lock, open, TaskGroup, READY, stop, drain.

    run(settings, config_file) -> exit code

One task group holds every loop; a crash in any of them ends the daemon with its error, and the service manager starts it again. There is
nothing whose loss or repetition matters: killed between any two lines and started again, it loses nothing and doubles nothing.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from typing import TYPE_CHECKING

import structlog

from syncd import __version__
from syncd.clock import SystemClock
from syncd.config.settings import load_settings
from syncd.downlink.downlink import Downlink
from syncd.downlink.notifications import Notifications
from syncd.errors import ExitCode, SyncdError
from syncd.heartbeat import HeartbeatLoop
from syncd.hub.supervisor import Hub
from syncd.log import set_up_logging
from syncd.own_files import shared_folders
from syncd.signals import StopSignals
from syncd.status.file import StatusWriter
from syncd.status.report import Report
from syncd.store.checkpoint import Checkpoints
from syncd.store.commit_signal import CommitSignal
from syncd.store.file_watch import FileWatch
from syncd.store.inbox import Inbox
from syncd.store.inbox_log import InboxLog
from syncd.store.journal import Journal
from syncd.store.lock import StoreLock
from syncd.store.opening import StoreFiles, open_store
from syncd.store.outbox_reader import OutboxReader
from syncd.store.retention import Retention
from syncd.store.status_marks import StatusMarks
from syncd.store.troubles import Troubles
from syncd.systemd import Notifier
from syncd.uplink.uplink import Uplink
from syncd.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.hub.session import HubSession

DRAIN_SECONDS = 10.0  # for what is in flight when we are told to stop; systemd's own patience is 30 s


async def run(settings: Settings, config_file: Path | None) -> int:
    """Run until a signal says otherwise; SIGHUP begins anew with the configuration as it is then.

    Raises:
        SyncdError: why it cannot start, or go on.
    """
    stop = StopSignals()
    stop.install()
    notifier = Notifier()
    clock = SystemClock()
    gc.collect()
    gc.freeze()  # what is loaded stays; looking through it again and again would hold the loop for 11 ms each time
    while True:
        daemon = Daemon(settings, clock, random.Random(), notifier)  # noqa: S311 - jitter
        await daemon.run(stop, config_file)
        if daemon.next_settings is None:
            return ExitCode.OK
        settings = daemon.next_settings
        set_up_logging(settings.log, clock)


class Daemon:
    """One life with one configuration."""

    def __init__(self, settings: Settings, clock: Clock, chance: random.Random, notifier: Notifier) -> None:
        self.settings = settings
        self.log: FilteringBoundLogger = structlog.get_logger().bind(store_id=settings.store.id)
        self._clock = clock
        self._random = chance
        self._notifier = notifier
        self.next_settings: Settings | None = None
        self.report = Report(store_id=settings.store.id, hub_url=settings.hub.url, started_at=clock.now())

    async def run(self, stop: StopSignals, config_file: Path | None) -> None:
        """Live; `next_settings` says whether there is to be another life.

        Raises:
            SyncdError: why it cannot start, or go on.
        """
        self._warn_root()
        lock = StoreLock(self.settings.database.outbox_path)
        lock.acquire()
        try:
            files = await open_store(self.settings.database, self._clock, self.log)
            try:
                await self._live(files, stop, config_file)
            finally:
                await files.close()
        finally:
            lock.release()

    def _warn_root(self) -> None:
        """Root by hand, in a folder of the till's or the service's: it works, and the files that it makes are not theirs."""
        database = self.settings.database
        paths = (database.path, database.outbox_path, database.state_path, self.settings.status.path)
        shared = shared_folders({path.parent for path in paths}) if os.geteuid() == 0 else []
        if shared:
            self.log.warning(
                "root_in_shared_folder", folders=[str(folder) for folder in shared],
                hint="others may write there: run it as the service's user (`systemctl start syncd`, or `sudo -u syncd syncd run`)",
            )  # fmt: skip

    async def _live(self, files: StoreFiles, stop: StopSignals, config_file: Path | None) -> None:
        settings, clock, log = self.settings, self._clock, self.log
        troubles = Troubles(files.each_once, clock, log, self.report.touch)
        hub = Hub(settings.hub, store_id=settings.store.id, clock=clock, random=self._random, log=log)
        reader = OutboxReader(files.reader, clock.now, settings.store.id)
        journal = Journal(files.journal, clock, troubles.part("journal"))
        inbox = Inbox(files.store, clock)
        touch = self.report.touch
        uplink = Uplink(
            hub=hub, reader=reader, journal=journal, settings=settings, clock=clock, random=self._random, log=log,
            status=self.report.outbox, on_trouble=troubles.part("outbox"), on_change=touch,
        )  # fmt: skip
        downlink = Downlink(
            hub=hub, inbox=inbox, inbox_log=InboxLog(files.journal, clock), settings=settings, clock=clock, log=log,
            on_trouble=troubles.part("store"), on_change=touch,
        )  # fmt: skip
        heartbeat = HeartbeatLoop(
            hub=hub, store_id=settings.store.id, interval_seconds=settings.heartbeat.interval_seconds, clock=clock, log=log,
            describe=lambda: {
                "pendingSyncCount": self.report.outbox.pending_total, "failedCount": self.report.outbox.failed,
                "cursor": downlink.catch_up.cursor, "state": self.report.state,
            },
            on_change=touch,
        )  # fmt: skip
        Notifications(hub, self.report, clock, log)

        async def greet(session: HubSession) -> None:
            downlink.catch_up.connected()  # the catch-up begins as soon as the session is handed out
            await heartbeat.beat(session)

        hub.on_connected(greet)
        hub.status.on_change.append(touch)
        watch = Watchdog(
            self.report, hub, uplink, downlink, heartbeat, journal, files, self._notifier, clock, log, troubles,
            settings.hub.invocation_timeout_seconds,
        )  # fmt: skip
        status = StatusWriter(self.report, settings, clock, log, watch.collect)
        status_marks = StatusMarks(files.outbox, journal, clock, troubles.part("status marks"))
        retention = Retention(files, settings.sync.retention_days, clock, troubles.part("retention"))
        commit_signal = CommitSignal(files.reader, clock, uplink.changed, troubles.part("commit signal"))
        loops: dict[str, Coroutine[Any, Any, object]] = {
            "journal": journal.run(), "status_marks": status_marks.run(), "retention": retention.run(),
            "commit_signal": commit_signal.run(), "uplink": uplink.run(),
            "downlink": downlink.run(), "heartbeat": heartbeat.run(), "hub": hub.run(), "status": status.run(), "watch": watch.run(),
            "troubles": troubles.run(),
        }  # fmt: skip
        for number, (database, writer) in enumerate(zip(files.maintenance, (files.outbox, files.store), strict=False)):
            name = f"checkpoint.{number}"
            loops[name] = Checkpoints(database, clock, writer.look, troubles.part(name)).run()
        for watched in self._file_watches(files, troubles):
            loops[f"files.{len(loops)}"] = watched.run()
        log.info(
            "started", version=__version__, database=str(settings.database.path), hub=hub.status.hub_url,
            event_loop=type(asyncio.get_running_loop()).__module__,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop, name=name) for name, loop in loops.items()]
                self._notifier.ready()
                await self._until_told(stop, config_file)
                await self._leave(stop, uplink, tasks)
        except* SyncdError as errors:
            raise first_of(errors) from errors
        finally:
            self.report.state = "stopped"
            watch.stopped = True
            status.write()
            log.info(
                "stopped", pending=self.report.outbox.pending_total, till_lock_held_seconds=round(files.outbox.held_seconds_total, 3),
                till_lock_longest_seconds=round(files.outbox.longest_hold_seconds, 4),
            )  # fmt: skip

    def _file_watches(self, files: StoreFiles, troubles: Troubles) -> list[FileWatch]:
        def ids(used_up: str | None) -> None:
            self.report.outbox.ids_used_up = used_up
            self.report.touch()

        parts = (
            [(files.outbox, ("outbox", "store"))]
            if files.store is files.outbox
            else [(files.outbox, ("outbox",)), (files.store, ("store",))]
        )
        return [
            FileWatch(database, till.database, components, self._clock, self.log, troubles.part(f"schema of {components[0]}"), ids)
            for database, (till, components) in zip(files.maintenance, parts, strict=True)
        ]

    async def _until_told(self, stop: StopSignals, config_file: Path | None) -> None:
        """Until we are told to stop, or to go on with another configuration; a bad one changes nothing."""
        while True:
            await stop.any()
            if stop.stop.is_set():
                return
            stop.reload.clear()
            try:
                self.next_settings = load_settings(config_file)
            except SyncdError as error:
                self.log.error("configuration_refused", error=str(error), hint="the one before it stays in use")
                self.report.configuration_error = str(error)
                self.report.touch()
            else:
                self.log.info("configuration_reloaded")
                return

    async def _leave(self, stop: StopSignals, uplink: Uplink, tasks: list[asyncio.Task[object]]) -> None:
        """Finish what is in flight, within bounds; a second signal cuts that short."""
        if self.next_settings is None:
            self._notifier.stopping()
        else:
            self._notifier.reloading()
        self.report.state = "stopping"
        self.report.touch()
        drain = asyncio.ensure_future(uplink.drain(DRAIN_SECONDS))
        second_signal = asyncio.ensure_future(stop.now.wait())
        await asyncio.wait((drain, second_signal), return_when=asyncio.FIRST_COMPLETED)
        for task in (drain, second_signal, *tasks):
            task.cancel()


def first_of(errors: BaseExceptionGroup[SyncdError]) -> SyncdError:
    """The first error of a group, however deeply it is nested."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, SyncdError)
    return error
