"""The connection that survives everything: one attempt at a time, one connection at a time, for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from syncd.config.hub_url import shown
from syncd.errors import AuthenticationRejected, ConnectionFailed, ConnectionLost, HubError, SyncdError
from syncd.hub.backoff import Backoff
from syncd.hub.negotiate import checked_token, negotiate, without_negotiation
from syncd.hub.proxy import proxy_for
from syncd.hub.session import Handler, HubSession
from syncd.hub.status import ConnectionStatus
from syncd.hub.tls import tls_context
from syncd.redaction import known_secrets

if TYPE_CHECKING:
    import random as random_module
    import ssl
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock, Timeout
    from syncd.config.settings import HubSettings
    from syncd.hub.incoming import Unreadable
    from syncd.hub.negotiate import Endpoint


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What one successful attempt has shown.

    Attributes:
        hub_url: without secrets.
        connection_id: public name; None without negotiation.
        negotiate_version: 0 or 1; None without negotiation.
        redirects: how often negotiate sent us on.
        seconds: from the start to the open connection.
    """

    hub_url: str
    connection_id: str | None
    negotiate_version: int | None
    redirects: int
    seconds: float


class Hub:
    """Keeps a connection to HQ, whatever happens to it; hands out its sessions.

    Attributes:
        status: what is known about the connection.
    """

    def __init__(
        self,
        settings: HubSettings,
        *,
        store_id: int | str,
        clock: Clock,
        random: random_module.Random,
        read_token: Callable[[], str | None] | None = None,
        log: FilteringBoundLogger,
        status: ConnectionStatus | None = None,
    ) -> None:
        """Nothing is opened before `run` or `try_once`.

        Args:
            settings: the configuration's `hub` section.
            store_id: who we are, in the query of every request.
            clock: for the delays and the status.
            random: for the jitter.
            read_token: the bearer token, read in a thread before every attempt; `hub.access_token_file` is read where it is None.
            log: bound logger.
            status: kept up to date from now on; a new one where it is None.
        """
        self.status = status or ConnectionStatus(hub_url=shown(settings.url))
        self._settings = settings
        self._store_id = store_id
        self._clock = clock
        self._read_token = read_token or partial(_read_token_file, settings)
        self._log = log
        self._backoff = Backoff(
            first_seconds=settings.reconnect_delay_seconds, longest_seconds=settings.reconnect_max_delay_seconds, random=random
        )
        self._handlers: dict[str, Handler] = {}
        self._on_unreadable: list[Callable[[Unreadable], None]] = []
        self._on_shed: list[Callable[[int], None]] = []
        self._shed = 0
        self._greetings: list[Callable[[HubSession], Awaitable[None]]] = []
        self._session: HubSession | None = None
        self._handed_out = asyncio.Event()
        self._connected_at: float | None = None
        self._was_useful = False
        self._hurry_seconds: float | None = None
        self._nap: Timeout | None = None

    def on(self, method: str, handler: Handler) -> None:
        """Handle a client method, in whatever case the hub writes it."""
        self._handlers[method.lower()] = handler

    def on_unreadable(self, callback: Callable[[Unreadable], None]) -> None:
        """Call this with every message that could not be read, and every call of a method that nobody handles."""
        self._on_unreadable.append(callback)

    def on_shed(self, callback: Callable[[int], None]) -> None:
        """Call this after a flood, once there is room again, with the number of calls that were not taken."""
        self._on_shed.append(callback)

    def on_connected(self, callback: Callable[[HubSession], Awaitable[None]]) -> None:
        """Run this on every new connection before its session is handed out; a `HubError` from it is logged."""
        self._greetings.append(callback)

    async def run(self) -> NoReturn:
        """Connect and reconnect for ever; ends by cancellation, and then takes leave of the hub."""
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self.status.state = "connecting"
        self.status.changed()
        try:
            while True:
                reason = await self._live()
                if task.cancelling() > cancellations:
                    # A task group that ends for an error of its own swallows a cancellation that comes meanwhile.
                    raise asyncio.CancelledError
                await self._pause(reason)
        finally:
            self._connected_at = None
            self.status.state = "disconnected"
            self.status.next_attempt_at = None
            self.status.changed()

    async def session(self) -> HubSession:
        """The live session; waits until there is one."""
        while self._session is None or self._session.loss is not None:
            self._handed_out.clear()
            await self._handed_out.wait()
        return self._session

    def retry_soon(self, reason: str) -> None:
        """Make the next reconnect quick, whatever the backoff says; at most 20 times without a stable connection between."""
        if self._hurry_seconds is not None:
            return
        self._hurry_seconds = self._backoff.hurry_seconds()
        self._log.info("hub_retry_soon", reason=reason, granted=self._hurry_seconds is not None)
        if self._hurry_seconds is not None and self._nap is not None:
            self._nap.reschedule(self._clock.monotonic())

    async def try_once(self) -> Probe:
        """Connect once, take leave, and say how it was; not while `run` runs.

        Raises:
            HubError: why there is no connection, in plain words.
        """
        started = self._clock.monotonic()
        endpoint, tls = await self._negotiate()
        session = self._new_session(endpoint, tls)
        probes: list[Probe] = []

        async def opened() -> None:
            probes.append(
                Probe(
                    hub_url=self.status.hub_url,
                    connection_id=endpoint.connection_id,
                    negotiate_version=endpoint.version,
                    redirects=endpoint.redirects,
                    seconds=self._clock.monotonic() - started,
                )
            )
            session.drop("the check is over")

        try:
            await session.run(opened)
        except HubError:
            if not probes:
                raise
        return probes[0]

    async def _live(self) -> HubError:
        """One attempt, and the whole life of the connection that comes of it; why it is over."""
        self.status.next_attempt_at = None
        self.status.changed()
        self._was_useful = False
        self._log.debug("hub_connecting", hub=self.status.hub_url, attempt=self.status.reconnect_attempts + 1)
        try:
            endpoint, tls = await self._negotiate()
            session = self._new_session(endpoint, tls)
            try:
                await session.run(partial(self._welcome, session))
            finally:
                self._was_useful = session.useful
        except HubError as reason:
            return reason
        finally:
            self._part()

    async def _negotiate(self) -> tuple[Endpoint, ssl.SSLContext]:
        token = await self._token()
        tls = await asyncio.to_thread(tls_context, self._settings)
        if self._settings.skip_negotiation:
            return without_negotiation(self._settings.url, store_id=self._store_id, token=token), tls
        endpoint = await negotiate(
            self._settings.url,
            store_id=self._store_id,
            token=token,
            tls=tls,
            timeout_seconds=self._settings.connect_timeout_seconds,
            allow_insecure=self._settings.allow_insecure,
            find_proxy=lambda url: proxy_for(url, self._settings.proxy_file),
            clock=self._clock,
        )
        return endpoint, tls

    def _new_session(self, endpoint: Endpoint, tls: ssl.SSLContext) -> HubSession:
        return HubSession(
            endpoint,
            settings=self._settings,
            tls=tls,
            clock=self._clock,
            handlers=self._handlers,
            on_unreadable=self._unreadable,
            on_shed=self._shed_one,
            on_room=self._has_room,
            log=self._log,
        )

    def _unreadable(self, message: Unreadable) -> None:
        for callback in self._on_unreadable:
            callback(message)

    def _shed_one(self) -> None:
        self.status.shed_total += 1
        if self._shed == 0:
            self.status.is_shedding = True
            self.status.changed()
            self._log.warning("hub_calls_shed", reason="more comes from HQ than can be applied; a catch-up fetches what was left out")
        self._shed += 1

    def _has_room(self) -> None:
        """There is room again, or the connection is over and the next one begins with a catch-up."""
        if self._shed == 0:
            return
        shed, self._shed = self._shed, 0
        self.status.is_shedding = False
        self.status.changed()
        self._log.info("hub_calls_taken_again", shed=shed)
        for callback in self._on_shed:
            callback(shed)

    async def _token(self) -> str | None:
        """The bearer token as it is now."""
        seconds = self._settings.connect_timeout_seconds
        try:
            async with self._clock.timeout(seconds):
                token = await asyncio.to_thread(self._read_token)
        except TimeoutError:
            raise ConnectionFailed(f"the access token could not be read within {seconds:g} s") from None
        except SyncdError as error:
            raise ConnectionFailed(f"the access token cannot be read: {error}") from error
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
            raise ConnectionFailed(f"the access token cannot be read from {self._settings.access_token_file}: {why}") from error
        if token is None:
            return None
        token = checked_token(token)
        known_secrets.add(token)
        return token

    async def _welcome(self, session: HubSession) -> None:
        """A connection is open: say so, greet the hub, hand the session out."""
        self._backoff.accepted()
        self._connected_at = self._clock.monotonic()
        status = self.status
        status.state = "connected"
        status.connection_id = session.connection_id
        status.last_connected_at = self._clock.now()
        status.disconnected_at = None
        attempts, status.reconnect_attempts = status.reconnect_attempts + 1, 0
        status.auth_rejected = False
        status.changed()
        self._log.info("hub_connected", hub=status.hub_url, connection_id=session.connection_id, attempt=attempts)
        for greeting in self._greetings:
            try:
                async with self._clock.timeout(self._settings.invocation_timeout_seconds):
                    await greeting(session)
            except TimeoutError:  # rows go to a hub that answers no heartbeat, too
                self._log.warning("hub_greeting_failed", reason="no answer in time")
            except ConnectionLost:
                return
            except HubError as error:
                self._log.warning("hub_greeting_failed", reason=str(error))
        if session.loss is None:
            self._session = session
            self._handed_out.set()

    def _part(self) -> None:
        """Whatever connection there was is over."""
        self._has_room()
        self._session = None
        if self._connected_at is None:
            return
        self.status.connection_id = None
        self.status.disconnected_at = self._clock.now()

    async def _pause(self, reason: HubError) -> None:
        """Say what happened, and let the time until the next attempt pass."""
        self._take_note(reason)
        is_hurried = self._hurry_seconds is not None
        is_slow = self.status.state == "offline"
        delay = self._hurry_seconds or self._backoff.next_seconds(reason, is_slow=is_slow, was_useful=self._was_useful)
        self._schedule(delay)
        self._report(reason, delay)
        self._connected_at = None
        if not is_hurried and not await self._sleep_through(delay):
            delay = self._hurry_seconds or 0.0
            self._schedule(delay)
            is_hurried = True
        if is_hurried:
            self._hurry_seconds = None
            await self._clock.sleep(delay)

    def _take_note(self, reason: HubError) -> None:
        """A lost connection or a failed attempt, in the status."""
        status = self.status
        status.last_error = str(reason)
        if self._connected_at is not None:
            self._backoff.lived(self._clock.monotonic() - self._connected_at)
            status.state = "reconnecting"
            return
        status.reconnect_attempts += 1
        status.auth_rejected = status.auth_rejected or isinstance(reason, AuthenticationRejected)
        if status.reconnect_attempts >= self._settings.max_reconnect_attempts and status.state != "offline":
            status.state = "offline"
            self._log.error("hub_offline", hub=status.hub_url, attempts=status.reconnect_attempts, reason=status.last_error)

    def _schedule(self, delay: float) -> None:
        self.status.next_attempt_at = self._clock.now() + timedelta(seconds=delay)
        self.status.changed()

    def _report(self, reason: HubError, delay: float) -> None:
        facts = {"reason": str(reason), "retry_in_seconds": round(delay, 1)}
        if self._connected_at is not None:
            lived = round(self._clock.monotonic() - self._connected_at, 1)
            self._log.warning("hub_connection_lost", lived_seconds=lived, **facts)
        elif self.status.reconnect_attempts > self._settings.max_reconnect_attempts:
            self._log.debug("hub_connect_failed", attempt=self.status.reconnect_attempts, **facts)
        else:
            self._log.warning("hub_connect_failed", attempt=self.status.reconnect_attempts, **facts)

    async def _sleep_through(self, seconds: float) -> bool:
        """Whether the whole delay passed; `retry_soon` ends it early."""
        try:
            async with self._clock.timeout(None) as self._nap:
                await self._clock.sleep(seconds)
        except TimeoutError:
            return False
        finally:
            self._nap = None
        return True


def _read_token_file(settings: HubSettings) -> str | None:
    """The file's text; None where no file is configured.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return None if settings.access_token_file is None else settings.access_token_file.read_text(encoding="utf-8")
