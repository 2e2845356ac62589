"""Tells HQ that this store is there: right after every connect, and from then on at an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd import __version__
from syncd.clock import iso_ms
from syncd.errors import HubError, InvocationFailure, invocation_failure

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import Report

HEARTBEAT = "Heartbeat"


class HeartbeatLoop:
    """Sends heartbeats, which tell what the report says, and notes the answers in it."""

    def __init__(
        self,
        *,
        hub: Hub,
        report: Report,
        interval_seconds: float,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._hub = hub
        self._report = report
        self._status = report.heartbeat
        self._interval = interval_seconds
        self._clock = clock
        self._log = log
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
            self._report.touch()

    async def beat(self, session: HubSession) -> None:
        """Send one.

        Raises:
            HubError: it did not arrive.
        """
        if session.lacks(HEARTBEAT):
            return
        began = self._clock.monotonic()
        self._status.last_sent_at = self._clock.now()
        await session.invoke(HEARTBEAT, self._message())
        self._status.round_trip_ms = round((self._clock.monotonic() - began) * 1000, 1)

    def _message(self) -> dict[str, object]:
        report = self._report
        message: dict[str, object] = {
            "timestamp": iso_ms(self._clock.now()),
            "storeId": report.store_id,
            "clientVersion": __version__,
            "pendingSyncCount": report.outbox.pending_total,
            "failedCount": report.outbox.failed,
            "state": report.state,
        }
        if report.inbound.cursor is not None:
            message["cursor"] = report.inbound.cursor
        return message

    async def _responded(self, arguments: list[Any], wants_result: bool) -> object:  # noqa: ARG002 - the hub may send what it likes
        self._status.last_response_at = self._clock.now()
        self._report.touch()
        return None
