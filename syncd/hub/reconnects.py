"""What became of each attempt and connection, in the status and the log; and how long it is until the next attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.errors import AuthenticationRejected, HubError
from syncd.hub.backoff import Backoff

if TYPE_CHECKING:
    import random as random_module

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock, Timeout
    from syncd.config.settings import HubSettings
    from syncd.hub.status import ConnectionStatus


class Reconnects:
    """Told of the connection's beginning and end, it keeps the status and waits for the next attempt."""

    def __init__(
        self,
        settings: HubSettings,
        status: ConnectionStatus,
        *,
        clock: Clock,
        random: random_module.Random,
        log: FilteringBoundLogger,
    ) -> None:
        self._status = status
        self._clock = clock
        self._log = log
        self._max_attempts = settings.max_reconnect_attempts
        self._backoff = Backoff(
            first_seconds=settings.reconnect_delay_seconds, longest_seconds=settings.reconnect_max_delay_seconds, random=random
        )
        self._connected_at: float | None = None
        self._quick_seconds: float | None = None  # the next delay, where somebody has asked for a quick one
        self._delay: Timeout | None = None  # while it passes

    def begin(self) -> None:
        """There are attempts from now on."""
        self._status.state = "connecting"
        self._status.changed()

    def attempt(self) -> None:
        """One is being made."""
        status = self._status
        status.next_attempt_at = None
        status.changed()
        self._log.debug("hub_connecting", hub=status.hub_url, attempt=status.reconnect_attempts + 1)

    def connected(self, connection_id: str | None) -> None:
        """It succeeded: there is a connection."""
        self._backoff.accepted()
        self._connected_at = self._clock.monotonic()
        status = self._status
        status.state = "connected"
        status.connection_id = connection_id
        status.last_connected_at = self._clock.now()
        status.disconnected_at = None
        attempts, status.reconnect_attempts = status.reconnect_attempts + 1, 0
        status.auth_rejected = False
        status.changed()
        self._log.info("hub_connected", hub=status.hub_url, connection_id=connection_id, attempt=attempts)

    def disconnected(self) -> None:
        """The connection, if there was one, is over."""
        if self._connected_at is not None:
            self._status.connection_id = None
            self._status.disconnected_at = self._clock.now()

    def end(self) -> None:
        """There are no more attempts."""
        self._connected_at = None
        self._status.state = "disconnected"
        self._status.next_attempt_at = None
        self._status.changed()

    def retry_soon(self, reason: str) -> None:
        """Make the next delay a short one; one that is passing already is cut short."""
        if self._quick_seconds is not None:
            return
        self._quick_seconds = self._backoff.quick_seconds()
        self._log.info("hub_retry_soon", reason=reason, granted=self._quick_seconds is not None)
        if self._quick_seconds is not None and self._delay is not None:
            self._delay.reschedule(self._clock.monotonic())

    async def wait(self, reason: HubError, *, was_useful: bool) -> None:
        """Say why there is no connection, and let the time until the next attempt pass.

        Args:
            was_useful: the connection that was lost had got work done.
        """
        self._note(reason)
        is_quick = self._quick_seconds is not None
        is_slow = self._status.state == "offline"
        delay = self._quick_seconds or self._backoff.next_seconds(reason, is_slow=is_slow, was_useful=was_useful)
        self._schedule(delay)
        self._report(reason, delay)
        self._connected_at = None
        if not is_quick and not await self._sleep(delay):
            delay = self._quick_seconds or 0.0
            self._schedule(delay)
            is_quick = True
        if is_quick:
            self._quick_seconds = None
            await self._clock.sleep(delay)

    def _note(self, reason: HubError) -> None:
        """A lost connection or a failed attempt, in the status."""
        status = self._status
        status.last_error = str(reason)
        if self._connected_at is not None:
            self._backoff.lived(self._clock.monotonic() - self._connected_at)
            status.state = "reconnecting"
            return
        status.reconnect_attempts += 1
        if isinstance(reason, AuthenticationRejected) and not status.auth_rejected:
            status.auth_rejected = True
            self._log.error("token_rejected", hub=status.hub_url, reason=status.last_error)
        if status.reconnect_attempts >= self._max_attempts and status.state != "offline":
            status.state = "offline"
            self._log.error("hub_offline", hub=status.hub_url, attempts=status.reconnect_attempts, reason=status.last_error)

    def _schedule(self, delay: float) -> None:
        self._status.next_attempt_at = self._clock.now() + timedelta(seconds=delay)
        self._status.changed()

    def _report(self, reason: HubError, delay: float) -> None:
        facts = {"reason": str(reason), "retry_in_seconds": round(delay, 1)}
        if self._connected_at is not None:
            lived = round(self._clock.monotonic() - self._connected_at, 1)
            self._log.warning("hub_connection_lost", lived_seconds=lived, **facts)
        elif self._status.reconnect_attempts > self._max_attempts:
            self._log.debug("hub_connect_failed", attempt=self._status.reconnect_attempts, **facts)
        else:
            self._log.warning("hub_connect_failed", attempt=self._status.reconnect_attempts, **facts)

    async def _sleep(self, seconds: float) -> bool:
        """Whether the whole delay passed; `retry_soon` ends it early."""
        try:
            async with self._clock.timeout(None) as self._delay:
                await self._clock.sleep(seconds)
        except TimeoutError:
            return False
        finally:
            self._delay = None
        return True
