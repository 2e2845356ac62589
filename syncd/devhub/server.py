"""The development hub as a server on loopback: start, stop, and what a test or a command does with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from syncd.devhub import binding
from syncd.devhub.control import Control
from syncd.devhub.endpoint import CLOSE_TIMEOUT_SECONDS, HUB_PATH, Endpoint
from syncd.devhub.headquarters import Headquarters
from syncd.devhub.hub import SyncHub, Watcher
from syncd.devhub.limits import Limits

if TYPE_CHECKING:
    from types import TracebackType

    from syncd.devhub.connection import Connection
    from syncd.devhub.faults import Faults

HOST = "127.0.0.1"  # nothing here asks who is calling
CONTROL_BODY_BYTES = 2**30


class DevHub:
    """`async with DevHub() as hub:` serves on a free port of the loopback interface until the block ends.

    Attributes:
        headquarters: what has been received, and the feed.
        stopped: set when it no longer serves, be it by `/control/stop`.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        faults: Faults | None = None,
        limits: Limits | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.headquarters = Headquarters(faults)
        self.stopped = asyncio.Event()
        self._port = port
        self._hub = SyncHub(self.headquarters, watcher or Watcher())
        self._endpoint = Endpoint(self._hub, self.headquarters, limits or Limits())
        self._control = Control(self._hub, self.headquarters, self.request_stop)
        self._runner: web.AppRunner | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The hub's address, for a client."""
        return f"http://{HOST}:{self._port}{HUB_PATH}"

    @property
    def connections(self) -> list[Connection]:
        """Those that have shaken hands, oldest first."""
        return list(self._hub.connections)

    @property
    def faults(self) -> Faults:
        """Those in force; change them or set others at any time."""
        return self.headquarters.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.headquarters.faults = faults

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: the port is taken, or may not be used.
        """
        app = web.Application(middlewares=[self._endpoint.with_faults, self._control.with_mistakes], client_max_size=CONTROL_BODY_BYTES)
        app.add_routes([*self._endpoint.routes(), *self._control.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Ends every connection without a close message, as ASP.NET Core's graceful shutdown does. Harmless when stopped."""
        self.request_stop()
        assert self._stopping is not None
        await self._stopping

    def request_stop(self) -> None:
        """Begins to stop, and returns at once."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
            await self._endpoint.drop_all()
            await self._runner.cleanup()
        self.stopped.set()

    def state(self) -> dict[str, object]:
        """Everything counted so far."""
        return self.headquarters.state()

    async def push(self, method: str, *args: object, store: str | None = None) -> int:
        """Invokes a client method on all connections, or one store's, and asks for no answer; how many were reached."""
        return await self._hub.push(method, [list(args)], store)

    async def invoke(self, method: str, *args: object, timeout_seconds: float = 10, store: str | None = None) -> object:
        """Invokes a client method on the newest connection, or one store's newest, and waits for its result.

        Raises:
            LookupError: nobody is connected.
            ClientResultError: the client answered with an error, not in time, or left.
        """
        return await self._hub.invoke(method, list(args), timeout_seconds, store)

    def publish(self, items: list[dict[str, Any]]) -> None:
        """Adds SyncItems to the feed that `RequestBatchSync` reads.

        Raises:
            InvocationError: one of them has a value of the wrong type; none was added.
        """
        self.headquarters.publish(binding.sync_items(items))

    async def cut(self) -> int:
        """Ends every connection as `Context.Abort()` does; how many."""
        return self._hub.cut()
