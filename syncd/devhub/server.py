"""The development hub as a server: negotiate, the WebSocket's door, start and stop."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from syncd.devhub import binding, exact
from syncd.devhub.connection import Connection, Limits
from syncd.devhub.control import Control
from syncd.devhub.headquarters import Headquarters
from syncd.devhub.hub import SyncHub, Watcher

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from syncd.devhub.faults import Faults

HOST = "127.0.0.1"  # nothing here asks who is calling
HUB_PATH = "/hubs/sync"
CLOSE_TIMEOUT_SECONDS = 5.0  # for the client's half of the WebSocket's close, as Kestrel
TRANSPORTS = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
CAPTIVE_PORTAL = "<html><body>Please accept the terms of use of this network.</body></html>"


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
        self._limits = limits or Limits()
        self._hub = SyncHub(self.headquarters, watcher or Watcher())
        self._unconnected: dict[str, tuple[str, float]] = {}  # token: connection id, and when it expires
        self._connected: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
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
        app = web.Application(middlewares=[self._with_faults], client_max_size=2**30)
        app.add_routes(
            [
                web.post(f"{HUB_PATH}/negotiate", self._negotiate),
                web.get(HUB_PATH, self._connect, allow_head=False),
                *Control(self).routes(),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Cuts every line without a word, as ASP.NET Core's graceful shutdown does. Harmless when stopped."""
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
            for connection in list(self._connected.values()):
                connection.drop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._runner.cleanup()
        self.stopped.set()

    def state(self) -> dict[str, object]:
        """Everything counted so far."""
        return self.headquarters.state()

    async def push(self, method: str, *args: object, store: str | None = None) -> int:
        """Invokes a client method on all connections, or one store's, and asks for no answer; how many were reached."""
        reached = [connection for connection in self.connections if not store or store in connection.stores]
        for connection in reached:
            await connection.send({"type": 1, "target": method, "arguments": list(args)})
        return len(reached)

    async def invoke(self, method: str, *args: object, timeout_seconds: float = 10) -> object:
        """Invokes a client method on the newest connection and waits for its result.

        Raises:
            LookupError: nobody is connected.
            ClientResultError: the client answered with an error, not in time, or left.
        """
        if not self._hub.connections:
            raise LookupError("no store is connected")
        return await self._hub.connections[-1].invoke(method, list(args), timeout_seconds)

    def publish(self, items: list[dict[str, Any]]) -> None:
        """Adds SyncItems to the feed that `RequestBatchSync` reads.

        Raises:
            InvocationError: one of them has a value of the wrong type; none was added.
        """
        self.headquarters.publish(binding.sync_items(items))

    async def cut(self) -> int:
        """Ends every connection as `Context.Abort()` does; how many."""
        connections = self.connections
        for connection in connections:
            connection.abort()
        return len(connections)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @web.middleware
    async def _with_faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not request.path.startswith("/hubs/"):
            return await handler(request)  # type: ignore[no-any-return]
        faults, negotiate = self.faults, request.path.endswith("/negotiate")
        if negotiate:
            self.headquarters.negotiated()
        if negotiate and faults.captive_portal:
            return web.Response(text=CAPTIVE_PORTAL, content_type="text/html")
        if status := faults.negotiate_status if negotiate else faults.upgrade_status:
            if not negotiate:
                self.headquarters.upgraded(accepted=False)
            headers = {"Retry-After": str(faults.retry_after_seconds)} if faults.retry_after_seconds else None
            return web.Response(status=status, headers=headers)
        return await handler(request)  # type: ignore[no-any-return]

    async def _negotiate(self, request: web.Request) -> web.Response:
        asked = request.query.get("negotiateVersion", "0")
        try:
            version = min(int(asked), 1)
        except ValueError:
            return _json({"error": "The client requested a non-integer protocol version."})
        if version < 0:
            return _json({"error": f"The client requested version '{asked}', but the server does not support this version."})
        now = asyncio.get_running_loop().time()
        self._unconnected = {token: entry for token, entry in self._unconnected.items() if entry[1] > now}
        connection_id = _new_id()
        token = connection_id if version == 0 else _new_id()
        self._unconnected[token] = (connection_id, now + self._limits.unconnected_id_seconds)
        answer: dict[str, object] = {"negotiateVersion": version, "connectionId": connection_id}
        if version > 0:
            answer["connectionToken"] = token
        return _json({**answer, "availableTransports": TRANSPORTS})

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_SECONDS, max_msg_size=0, compress=False)
        try:
            token, connection_id = self._admitted(request, upgrade=socket.can_prepare(request).ok)
        except web.HTTPException:
            self.headquarters.upgraded(accepted=False)
            raise
        store = request.query.get("storeId")
        connection = Connection(
            socket,
            transport=request.transport,
            hub=self._hub,
            limits=self._limits,
            connection_id=connection_id,
            store=store,
            spawn=self._spawn,
        )
        self._connected[token] = connection
        try:
            await socket.prepare(request)
            self.headquarters.upgraded(accepted=True)
            await connection.run()
        finally:
            del self._connected[token]
        return socket

    def _admitted(self, request: web.Request, *, upgrade: bool) -> tuple[str, str]:
        """The token and connection id of a request for a WebSocket. An id is good for one connection."""
        token = request.query.get("id")
        if token is None:
            if not upgrade:
                raise web.HTTPBadRequest(text="Connection ID required")
            return (fresh := _new_id()), fresh  # a client that skips negotiation
        if token in self._connected:
            raise web.HTTPConflict
        connection_id, expires_at = self._unconnected.get(token, ("", 0.0))
        if expires_at <= asyncio.get_running_loop().time():
            raise web.HTTPNotFound(text="No Connection with that ID")
        if not upgrade:
            raise web.HTTPBadRequest(text="this hub offers WebSockets only")
        del self._unconnected[token]
        return token, connection_id


def _new_id() -> str:
    return secrets.token_urlsafe(16)


def _json(value: object) -> web.Response:
    return web.Response(body=exact.dumps(value), content_type="application/json")
