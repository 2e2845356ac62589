"""Keeps a connection to HQ: one attempt at a time, one connection at a time, for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from syncd.config.hub_url import shown
from syncd.errors import ConnectionLost, HubError
from syncd.hub.access_token import access_token
from syncd.hub.calls import ClientMethod
from syncd.hub.negotiate import negotiate, without_negotiation
from syncd.hub.proxy import proxy_for
from syncd.hub.reconnects import Reconnects
from syncd.hub.session import HubSession
from syncd.hub.shedding import Shedding
from syncd.hub.status import ConnectionStatus
from syncd.hub.tls import tls_context

if TYPE_CHECKING:
    import random as random_module
    import ssl
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import HubSettings
    from syncd.hub.calls import BurstHandler, Handler
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
            read_token: the bearer token, read in a thread before every attempt; `hub.access_token_file` is read where
                it is None.
            log: bound logger.
            status: kept up to date from now on; a new one where it is None.
        """
        self.status = status or ConnectionStatus(hub_url=shown(settings.url))
        self._settings = settings
        self._store_id = store_id
        self._clock = clock
        self._read_token = read_token
        self._log = log
        self._reconnects = Reconnects(settings, self.status, clock=clock, random=random, log=log)
        self._shedding = Shedding(self.status, log)
        self._methods: dict[str, ClientMethod] = {}
        self._on_unreadable: list[Callable[[Unreadable], None]] = []
        self._on_connected: list[Callable[[HubSession], Awaitable[None]]] = []
        self._session: HubSession | None = None
        self._handed_out = asyncio.Event()
        self._was_useful = False

    def on(self, method: str, handler: Handler, burst: BurstHandler | None = None) -> None:
        """Handle a client method, in whatever case the hub writes it; see `ClientMethod`."""
        self._methods[method.lower()] = ClientMethod(handler, burst)

    def on_unreadable(self, callback: Callable[[Unreadable], None]) -> None:
        """Call this with every message that could not be read, and every call of a method that nobody handles."""
        self._on_unreadable.append(callback)

    def on_shed(self, callback: Callable[[int], None]) -> None:
        """Call this after a flood, once there is room again, with the number of calls that were not taken."""
        self._shedding.on_end.append(callback)

    def on_connected(self, callback: Callable[[HubSession], Awaitable[None]]) -> None:
        """Run this on every new connection before its session is handed out; a `HubError` from it is logged."""
        self._on_connected.append(callback)

    async def run(self) -> NoReturn:
        """Connect and reconnect for ever; ends by cancellation, and then closes the connection."""
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self._reconnects.begin()
        try:
            while True:
                reason = await self._live()
                if task.cancelling() > cancellations:
                    # A task group that ends for an error of its own swallows a cancellation that comes meanwhile.
                    raise asyncio.CancelledError
                await self._reconnects.wait(reason, was_useful=self._was_useful)
        finally:
            self._reconnects.end()

    async def session(self) -> HubSession:
        """The live session; waits until there is one."""
        while self._session is None or self._session.loss is not None:
            self._handed_out.clear()
            await self._handed_out.wait()
        return self._session

    def retry_soon(self, reason: str) -> None:
        """Make the next delay a short one, without regard to the backoff.

        At most 20 times without a stable connection between.
        """
        self._reconnects.retry_soon(reason)

    async def try_once(self) -> Probe:
        """Connect once, close the connection, and say what was seen; not while `run` runs.

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
        self._was_useful = False
        self._reconnects.attempt()
        try:
            endpoint, tls = await self._negotiate()
            session = self._new_session(endpoint, tls)
            try:
                await session.run(partial(self._opened, session))
            finally:
                self._was_useful = session.useful
        except HubError as reason:
            return reason
        finally:
            self._session = None
            self._shedding.end()
            self._reconnects.disconnected()

    async def _negotiate(self) -> tuple[Endpoint, ssl.SSLContext]:
        token = await access_token(self._settings, self._clock, self._read_token)
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
            methods=self._methods,
            on_unreadable=self._unreadable,
            on_shed=self._shedding.shed,
            on_room=self._shedding.end,
            log=self._log,
        )

    def _unreadable(self, message: Unreadable) -> None:
        for callback in self._on_unreadable:
            callback(message)

    async def _opened(self, session: HubSession) -> None:
        """A connection is open: note it, run the callbacks, and only then hand the session out."""
        self._reconnects.connected(session.connection_id)
        for callback in self._on_connected:
            try:
                async with self._clock.timeout(self._settings.invocation_timeout_seconds):
                    await callback(session)
            except TimeoutError:  # rows go to a hub that answers no heartbeat, too
                self._log.warning("first_heartbeat_failed", reason="no answer in time")
            except ConnectionLost:
                return
            except HubError as error:
                self._log.warning("first_heartbeat_failed", reason=str(error))
        if session.loss is None:
            self._session = session
            self._handed_out.set()
