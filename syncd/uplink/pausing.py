"""Sees a pause come and go, and keeps the sending in step with it. HQ's updates are applied all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from syncd.clock import iso_ms
from syncd.errors import SyncdError
from syncd.store.pause import pause_file, read_pause, remove_pause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.status.report import Report
    from syncd.store.pause import Pause

LOOK_SECONDS = 0.5


class Pausing:
    """Looks at the file all the time, from the daemon's start on.

    Args:
        state_path: syncd's own database.
        tell: told whether sending is paused, whenever that changes.
    """

    def __init__(self, state_path: Path, report: Report, tell: Callable[[bool], None], clock: Clock, log: FilteringBoundLogger) -> None:
        self._path = pause_file(state_path)
        self._report = report
        self._tell = tell
        self._clock = clock
        self._log = log
        self._pause: Pause | None = None
        self._found: Pause | None = None
        self._ends_at = 0.0  # monotonic, so that a clock that is set back makes no pause longer
        self._error: str | None = None

    async def run(self) -> NoReturn:
        """Look; for ever."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Look once; a pause whose time is up is removed."""
        try:
            found = read_pause(self._path)
            self._error = None
        except SyncdError as error:
            if str(error) != self._error:
                self._log.warning("pause_ignored", error=str(error))
            self._error, found = str(error), None
        if found is not None and found != self._found:
            left = min(found.until - self._clock.now(), found.length)
            self._ends_at = self._clock.monotonic() + left.total_seconds()
        self._found = found
        is_over = found is not None and self._clock.monotonic() >= self._ends_at
        if is_over:
            self._remove()
        self._take(None if is_over else found, why="its time is up" if is_over else "syncd resume")

    def _remove(self) -> None:
        try:
            remove_pause(self._path)
        except SyncdError as error:  # a read-only disk: it is over all the same
            self._log.debug("pause_not_removed", error=str(error))

    def _take(self, pause: Pause | None, *, why: str) -> None:
        if pause == self._pause:
            return
        before, self._pause = self._pause, pause
        self._report.outbox.paused = pause
        if pause is not None:
            self._log.info("sending_paused", since=iso_ms(pause.since), until=iso_ms(pause.until), by=pause.by)
        elif before is not None:
            self._log.info("sending_resumed", since=iso_ms(before.since), reason=why)
        self._tell(pause is not None)
        self._report.touch()
