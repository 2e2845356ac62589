"""Calls of the hub that there was no room for: counted and logged once a flood, and made up for by a catch-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.hub.status import ConnectionStatus


class Shedding:
    """From the first call that is not taken until there is room again.

    Attributes:
        on_end: called with the number of calls that were not taken.
    """

    def __init__(self, status: ConnectionStatus, log: FilteringBoundLogger) -> None:
        self._status = status
        self._log = log
        self._calls = 0
        self.on_end: list[Callable[[int], None]] = []

    def shed(self) -> None:
        """One more call was not taken."""
        self._status.shed_total += 1
        if self._calls == 0:
            self._status.is_shedding = True
            self._status.changed()
            self._log.warning("hub_calls_shed", reason="more comes from HQ than can be applied; a catch-up fetches what was left out")
        self._calls += 1

    def end(self) -> None:
        """There is room again, or the connection is over and the next one begins with a catch-up."""
        if self._calls == 0:
            return
        calls, self._calls = self._calls, 0
        self._status.is_shedding = False
        self._status.changed()
        self._log.info("hub_calls_taken_again", shed=calls)
        for callback in self.on_end:
            callback(calls)
