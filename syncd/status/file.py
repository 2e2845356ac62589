"""The status file: whole at any moment, written when something changed, a few times a second at most."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from syncd.errors import StorageError
from syncd.own_files import replace_own
from syncd.status.progress import ProgressMeter
from syncd.status.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.status.report import Report

SHORTEST_INTERVAL_SECONDS = 0.25
FILE_MODE = 0o644
"""Anybody on the PC may look; there is no secret in it."""


def write_status(path: Path, document: dict[str, Any]) -> None:
    """Replace the file at once: a reader sees the old document or the new one, never half of one.

    Raises:
        StorageError: the disk is full, a permission is missing, the folder cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_own(path, _encode(document), FILE_MODE)
    except OSError as error:
        raise StorageError(f"the status file {path} cannot be written: {error.strerror or error}") from error


def _encode(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # HQ may send half a surrogate pair, or a number beyond 64 bits; orjson refuses both
        return json.dumps(document, indent=2).encode() + b"\n"


class StatusWriter:
    """Keeps the file in step with the report.

    Args:
        refresh: brings the report up to date; called before each write.
        also: what else is written from the same report.
    """

    def __init__(
        self,
        report: Report,
        settings: Settings,
        clock: Clock,
        log: FilteringBoundLogger,
        refresh: Callable[[], None] = lambda: None,
        also: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._report = report
        self._clock = clock
        self._log = log
        self._refresh = refresh
        self._also = also
        self._meter = ProgressMeter(settings.sync.batch_size)
        self._last_error: str | None = None

    async def run(self) -> NoReturn:
        """Write now, then after every change (not more often than four times a second) and at least at every heartbeat."""
        while True:
            self.write()
            await self._clock.sleep(SHORTEST_INTERVAL_SECONDS)
            await self._changed_or_due()

    def write(self) -> None:
        """Write the report as it stands; once more at the very end. A failure is logged once; the next write tries again."""
        report = self._report
        self._refresh()
        report.changed.clear()
        report.progress = self._meter.measure(
            pending=report.outbox.pending_total,
            sent=report.outbox.sent_total,
            failed=report.outbox.failed,
            current_item=report.outbox.current_item,
            now=self._clock.monotonic(),
        )
        try:
            write_status(self.settings.status.path, snapshot(report, self.settings, self._clock.now()))
        except StorageError as error:
            if str(error) != self._last_error:
                self._log.error("status_file_not_written", error=str(error))
            self._last_error = str(error)
        else:
            if self._last_error is not None:
                self._log.info("status_file_written_again", path=str(self.settings.status.path))
            self._last_error = None
        self._also(report)

    async def _changed_or_due(self) -> None:
        due = asyncio.ensure_future(self._clock.sleep(self.settings.heartbeat.interval_seconds))
        changed = asyncio.ensure_future(self._report.changed.wait())
        try:
            await asyncio.wait((due, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (due, changed):
                task.cancel()
            await asyncio.gather(due, changed, return_exceptions=True)
