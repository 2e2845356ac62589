"""Between a store and its hub: hands on every frame as it is, and keeps the invocations with their results."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from aiohttp import ClientSession, WSMsgType, web

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import ClientWebSocketResponse

SEPARATOR = b"\x1e"
INVOCATION, COMPLETION = 1, 3


@dataclass
class Exchange:
    """One invocation, as `config/contract/methods.schema.json` describes it.

    Attributes:
        from_store: the store invoked it; else HQ.
        message: `target`, `arguments`, and `result` or `error` once that has come.
    """

    from_store: bool
    message: dict[str, Any]

    @property
    def target(self) -> str:
        """The method."""
        return str(self.message["target"])


@dataclass
class _Side:
    buffer: bytearray = field(default_factory=bytearray)
    waiting: dict[str, Exchange] = field(default_factory=dict)


class WireTap:
    """`async with WireTap(hub.url()) as tap:` and the store connects to `tap.url`.

    Attributes:
        exchanges: in the order in which they were begun.
    """

    def __init__(self, hub_url: str) -> None:
        parts = urlsplit(hub_url)
        self._base, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self.exchanges: list[Exchange] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post(f"{self._path}/negotiate", self._negotiate)
        app.router.add_get(self._path, self._connect)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{self._path}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _negotiate(self, request: web.Request) -> web.Response:
        async with ClientSession() as http, http.post(self._base + request.path_qs) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        async with ClientSession() as http, http.ws_connect(self._base + request.path_qs, max_msg_size=0) as hub:
            store = web.WebSocketResponse(max_msg_size=0, compress=False)
            await store.prepare(request)
            from_store, from_hub = _Side(), _Side()
            ways = [
                asyncio.create_task(self._hand_on(store, hub, from_store, from_hub, from_store=True)),
                asyncio.create_task(self._hand_on(hub, store, from_hub, from_store, from_store=False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            await store.close()
            return store

    async def _hand_on(
        self,
        source: web.WebSocketResponse | ClientWebSocketResponse,
        sink: web.WebSocketResponse | ClientWebSocketResponse,
        side: _Side,
        other: _Side,
        *,
        from_store: bool,
    ) -> None:
        async for frame in source:
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            side.buffer += frame.data.encode() if isinstance(frame.data, str) else frame.data
            *records, rest = bytes(side.buffer).split(SEPARATOR)
            side.buffer[:] = rest
            for record in records:
                self._keep(json.loads(record), side, other, from_store=from_store)
            await (sink.send_str(frame.data) if isinstance(frame.data, str) else sink.send_bytes(frame.data))

    def _keep(self, message: dict[str, Any], side: _Side, other: _Side, *, from_store: bool) -> None:
        if message.get("type") == INVOCATION:
            exchange = Exchange(from_store, {name: message[name] for name in ("target", "arguments")})
            self.exchanges.append(exchange)
            if "invocationId" in message:
                side.waiting[message["invocationId"]] = exchange
        elif message.get("type") == COMPLETION:
            exchange = other.waiting.pop(message["invocationId"])
            exchange.message |= {name: message[name] for name in ("result", "error") if name in message}
