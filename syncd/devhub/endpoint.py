"""The hub's two HTTP requests: negotiate, and the WebSocket's upgrade; with the faults in force on them."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web

from syncd.devhub import exact
from syncd.devhub.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from syncd.devhub.headquarters import Headquarters
    from syncd.devhub.hub import SyncHub
    from syncd.devhub.limits import Limits

HUB_PATH = "/hubs/sync"
CLOSE_TIMEOUT_SECONDS = 5.0  # for the client's half of the WebSocket's close, as Kestrel
TRANSPORTS = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
CAPTIVE_PORTAL = "<html><body>Please accept the terms of use of this network.</body></html>"


class Endpoint:
    """The hub's path for one server."""

    def __init__(self, hub: SyncHub, headquarters: Headquarters, limits: Limits) -> None:
        self._hub = hub
        self._headquarters = headquarters
        self._limits = limits
        self._unconnected: dict[str, tuple[str, float]] = {}  # token: connection id, and when it expires
        self._connected: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Both of them."""
        return [web.post(f"{HUB_PATH}/negotiate", self._negotiate), web.get(HUB_PATH, self._connect, allow_head=False)]

    async def drop_all(self) -> None:
        """Ends every connection without a close message, and every method that runs."""
        for connection in list(self._connected.values()):
            connection.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @web.middleware
    async def with_faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Answers as the faults in force say; hands on what they leave alone."""
        if not request.path.startswith("/hubs/"):
            return await handler(request)  # type: ignore[no-any-return]
        faults, negotiate = self._headquarters.faults, request.path.endswith("/negotiate")
        if negotiate:
            self._headquarters.negotiated()
        if negotiate and faults.captive_portal:
            return web.Response(text=CAPTIVE_PORTAL, content_type="text/html")
        if status := faults.negotiate_status if negotiate else faults.upgrade_status:
            if not negotiate:
                self._headquarters.upgraded(accepted=False)
            headers = {"Retry-After": str(faults.retry_after_seconds)} if faults.retry_after_seconds else None
            return web.Response(status=status, headers=headers)
        return await handler(request)  # type: ignore[no-any-return]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
            self._headquarters.upgraded(accepted=False)
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
            self._headquarters.upgraded(accepted=True)
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
