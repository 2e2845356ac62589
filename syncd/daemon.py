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
from functools import partial
from typing import TYPE_CHECKING

import structlog

from syncd import __version__
from syncd.clock import SystemClock
from syncd.config.settings import load_settings
from syncd.errors import ExitCode, SyncdError, ToldToStop
from syncd.log import set_up_logging
from syncd.own_files import shared_folders
from syncd.signals import StopSignals
from syncd.status.report import Report
from syncd.store.catalog import catalog_of
from syncd.store.lock import StoreLock
from syncd.store.opening import open_store, require_possible_in
from syncd.systemd import Notifier
from syncd.wiring import Parts

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.store.opening import StoreFiles

STEP_SECONDS = 120.0  # for a part of a long upgrade, before systemd takes the start for stuck
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
    gc.freeze()  # what is loaded stays; looking through it again and again would hold the loop for 11 ms each time
    gc.enable()
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
        self._upgrade_told = False
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
            catalog, on_progress = catalog_of(self.settings.entities), partial(self._upgrade_goes_on, stop)
            files = await open_store(self.settings.database, self._clock, self.log, catalog, on_progress)
            try:
                await self._live(files, lock, stop, config_file)
            finally:
                await files.close()
        except ToldToStop:
            self.log.info("upgrade_interrupted", hint="the next start goes on with it")
        finally:
            lock.release()

    def _upgrade_goes_on(self, stop: StopSignals) -> None:
        """Rows are being copied at the till's pace.

        Raises:
            ToldToStop: the next start goes on with it.
        """
        if stop.stop.is_set():
            raise ToldToStop
        if not self._upgrade_told:
            self._upgrade_told = True
            self.log.info("upgrade_copying", hint="a long table is built anew beside the till, which may take minutes; then sending begins")
        self._notifier.extend_timeout(STEP_SECONDS)

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

    async def _live(self, files: StoreFiles, lock: StoreLock, stop: StopSignals, config_file: Path | None) -> None:
        parts = Parts(
            self.settings, files, lock, self.report,
            clock=self._clock, random=self._random, log=self.log, notifier=self._notifier,
        )  # fmt: skip
        self.log.info(
            "started", version=__version__, database=str(self.settings.database.path), hub=self.report.connection.hub_url,
            event_loop=type(asyncio.get_running_loop()).__module__,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop, name=name) for name, loop in parts.loops().items()]
                self._notifier.ready()
                await self._until_told(files, stop, config_file)
                await self._leave(stop, parts, tasks)
        except* SyncdError as errors:
            raise first_of(errors) from errors
        finally:
            self.report.state = "stopped"
            parts.status.write()
            self.log.info(
                "stopped", pending=self.report.outbox.pending_total, till_lock_held_seconds=round(files.outbox.held_seconds_total, 3),
                till_lock_longest_seconds=round(files.outbox.longest_hold_seconds, 4),
            )  # fmt: skip

    async def _until_told(self, files: StoreFiles, stop: StopSignals, config_file: Path | None) -> None:
        """Until we are told to stop, or to go on with another configuration; a bad one changes nothing."""
        while True:
            await stop.any()
            if stop.stop.is_set():
                return
            stop.reload.clear()
            try:
                settings = load_settings(config_file)
                await require_possible_in(files, self.settings.database, settings.database, catalog_of(settings.entities))
            except SyncdError as error:
                self.log.error("configuration_refused", error=str(error), hint="the one before it stays in use")
                self.report.configuration_error = str(error)
                self.report.touch()
            else:
                self.log.info("configuration_reloaded")
                self.next_settings = settings
                return

    async def _leave(self, stop: StopSignals, parts: Parts, tasks: list[asyncio.Task[object]]) -> None:
        """Finish what is in flight, within bounds; a second signal cuts that short."""
        if self.next_settings is None:
            self._notifier.stopping()
        else:
            self._notifier.reloading()
        self.report.state = "stopping"
        self.report.touch()
        drain = asyncio.ensure_future(parts.drain(DRAIN_SECONDS))
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
