"""A hub of a few lines for what a real one never does: odd answers, odd frames, odd silences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from ssl import SSLContext
    from types import TracebackType

    Negotiated = Callable[[web.Request], web.Response | Awaitable[web.Response]]

TEXT_TRANSPORTS = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]


class Wire:
    """The hub's end of a connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []

    async def say(self, *messages: dict[str, Any] | str) -> None:
        """All in one frame."""
        texts = [message if isinstance(message, str) else json.dumps(message) for message in messages]
        await self.socket.send_str("".join(text + "\x1e" for text in texts))

    async def listen(self) -> dict[str, Any] | None:
        """The next message; None at the end."""
        while not self.received:
            frame = await self.socket.receive()
            if frame.type is not WSMsgType.TEXT:
                return None
            self.received += [json.loads(record) for record in frame.data.split("\x1e") if record]
        return self.received.pop(0)

    async def until_gone(self) -> list[dict[str, Any]]:
        """Everything that still comes."""
        rest = []
        while (message := await self.listen()) is not None:
            rest.append(message)
        return rest


class ScriptedHub:
    """`async with ScriptedHub(script) as hub`: answers negotiate and handshake, then runs the script.

    Attributes:
        requests: all requests, in order.
        negotiated: what negotiate answers; called with the request.
    """

    def __init__(
        self,
        script: Callable[[Wire], Awaitable[None]] | None = None,
        *,
        negotiated: Negotiated | None = None,
        handshake: str | None = "{}\x1e",
        tls: SSLContext | None = None,
    ) -> None:
        self.requests: list[web.Request] = []
        self.url = ""
        self.port = 0
        self._script = script or (lambda wire: _ignore(wire.until_gone()))
        self.negotiated: Negotiated = negotiated or self.normally
        self._handshake = handshake
        self._tls = tls
        self._runner: web.AppRunner | None = None

    def normally(self, _: web.Request) -> web.Response:
        number = len(self.requests)
        identity = {"connectionId": f"public-{number}", "connectionToken": f"secret-{number}"}
        return web.json_response({"negotiateVersion": 1, **identity, "availableTransports": TEXT_TRANSPORTS})

    @property
    def upgrades(self) -> list[web.Request]:
        return [request for request in self.requests if request.method == "GET"]

    @property
    def negotiates(self) -> list[web.Request]:
        return [request for request in self.requests if request.method == "POST"]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._on_negotiate)
        app.router.add_get("/{tail:.*}", self._on_upgrade)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/hub"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _on_negotiate(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        answer = self.negotiated(request)
        return answer if isinstance(answer, web.Response) else await answer

    async def _on_upgrade(self, request: web.Request) -> web.WebSocketResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        wire = Wire(socket)
        await wire.listen()
        if self._handshake is not None:
            await socket.send_str(self._handshake)
        await self._script(wire)
        return socket


async def _ignore(coroutine: Awaitable[object]) -> None:
    await coroutine


def sending_hub(answer: Callable[[str, list[Any]], dict[str, Any] | None]) -> ScriptedHub:
    """A hub that answers what a store sends.

    Args:
        answer: the completion for this method and these items, in the wire's words; None drops the connection.
    """

    async def script(wire: Wire) -> None:
        while (message := await wire.listen()) is not None:
            method, identity = message.get("target", ""), message.get("invocationId")
            completion: dict[str, Any] | None = {"result": None}
            if method.startswith("SendSync"):
                items = message["arguments"][0]
                completion = answer(method, items if isinstance(items, list) else [items])
            elif method == "RequestBatchSync":
                completion = {"result": {"success": True, "totalItems": 0, "processedItems": 0, "items": [], "hasMore": False}}
            if completion is None:
                return
            if identity is not None:
                await wire.say({"type": 3, "invocationId": identity, **completion})

    return ScriptedHub(script)
