"""Tells HQ that this store is there: right after every connect, and from then on at an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd import __version__
from syncd.clock import iso_ms
from syncd.errors import HubError, InvocationFailure, invocation_failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub

HEARTBEAT = "Heartbeat"


class HeartbeatLoop:
    """Sends heartbeats and notes the answers.

    Args:
        describe: what the store is doing: `pendingSyncCount`, `failedCount`, `cursor` and `state`.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        store_id: int | str,
        interval_seconds: float,
        clock: Clock,
        log: FilteringBoundLogger,
        describe: Callable[[], dict[str, object]],
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._store_id = store_id
        self._interval = interval_seconds
        self._clock = clock
        self._log = log
        self._describe = describe
        self._on_change = on_change
        self.last_sent_at: datetime | None = None
        self.last_response_at: datetime | None = None
        self.round_trip_milliseconds: float | None = None
        hub.on("HeartbeatResponse", self._responded)

    async def run(self) -> None:
        """Send at the interval; for ever."""
        while True:
            await self._clock.sleep(self._interval)
            session = await self._hub.session()
            try:
                await self.beat(session)
            except HubError as error:
                if invocation_failure(error) is InvocationFailure.RETRY:  # the connection is gone, which the supervisor logs
                    self._log.debug("heartbeat_lost", error=str(error))
                else:  # a hub without heartbeats is a hub all the same
                    self._log.warning("heartbeat_refused", error=str(error))
            self._on_change()

    async def beat(self, session: HubSession) -> None:
        """Send one.

        Raises:
            HubError: it did not arrive.
        """
        if session.lacks(HEARTBEAT):
            return
        message: dict[str, object] = {"timestamp": iso_ms(self._clock.now()), "storeId": self._store_id, "clientVersion": __version__}
        message.update((name, value) for name, value in self._describe().items() if value is not None)
        began = self._clock.monotonic()
        self.last_sent_at = self._clock.now()
        await session.invoke(HEARTBEAT, message)
        self.round_trip_milliseconds = round((self._clock.monotonic() - began) * 1000, 1)

    async def _responded(self, arguments: list[Any], wants_result: bool) -> object:  # noqa: ARG002 - the hub may send what it likes
        self.last_response_at = self._clock.now()
        self._on_change()
        return None
