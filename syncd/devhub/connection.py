"""One client's WebSocket, from the handshake to the end, with the timers and the order of a real SignalR server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import ClientConnectionError, WSMsgType

from syncd.devhub import protocol
from syncd.devhub.client_results import ClientResults
from syncd.devhub.protocol import HandshakeError, InvocationError, ProtocolError, Type
from syncd.devhub.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiohttp import web

    from syncd.devhub.limits import Limits

logger = logging.getLogger(__name__)


class Hub(Protocol):
    """What a connection asks of the hub behind it."""

    def connected(self, connection: Connection) -> None:
        """The handshake is done."""

    def disconnected(self, connection: Connection) -> None:
        """The end of what `connected` began."""

    def method_name(self, target: str) -> str | None:
        """The method's own name for whatever case the client wrote it in; None if there is none."""

    async def call(self, connection: Connection, method: str, arguments: list[Any]) -> object:
        """Runs a method that exists; its result. Raises InvocationError."""


class Connection:
    """One client.

    Attributes:
        connection_id: the public name.
        store: the store id of its url's query, or of its first heartbeat.
        stores: every store id it has named; what is pushed to one of these reaches it.
        gone: set as soon as nobody listens any more.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        *,
        transport: asyncio.Transport | None,
        hub: Hub,
        limits: Limits,
        connection_id: str,
        store: str | None,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.connection_id = connection_id
        self.stores: set[str] = set()
        self.store: str | None = None
        self.gone = asyncio.Event()
        if store:
            self.add_store(store)
        self._socket = socket
        self._transport = transport
        self._hub = hub
        self._limits = limits
        self._spawn = spawn
        self._records = Records(limits.max_message_bytes)
        self._results = ClientResults()
        self._turn = asyncio.Lock()  # ASP.NET Core runs one invocation of a connection at a time
        self._reading: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._clock = asyncio.get_running_loop().time
        self._sent_at = self._heard_at = self._clock()
        self._client_pings = False

    def add_store(self, store: str) -> None:
        """The client has said which store it is."""
        self.stores.add(store)
        self.store = self.store or store

    async def run(self) -> None:
        """Serves the client until one side ends it."""
        serving = asyncio.create_task(self._serve_client())
        self._reading = asyncio.create_task(self._read_frames())
        try:
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.result()
        finally:
            self._reading.cancel()
            self.gone.set()
            self._records.end()
            self._results.fail_all(self.connection_id)
            await serving
            if self._closing is not None:
                await self._closing

    async def send(self, message: dict[str, Any]) -> None:
        """Sends a message; nothing once the end has begun."""
        if self._closing is None:
            await self._write(protocol.encode(message))

    async def invoke(self, method: str, arguments: list[object], timeout_seconds: float) -> object:
        """Asks the client for a result.

        Raises:
            ClientResultError: as `ClientResults.invoke`.
        """
        return await self._results.invoke(self.send, method, arguments, timeout_seconds)

    def abort(self) -> None:
        """Ends the connection as `Context.Abort()` does: a close message that does not invite back."""
        self._end(protocol.CLOSE)

    def drop(self) -> None:
        """Ends the TCP connection without a close message, as a server that stops does."""
        self.gone.set()
        if self._transport is not None:
            self._transport.abort()

    def _end(self, message: dict[str, Any]) -> None:
        if self._closing is None:
            self.gone.set()
            self._closing = asyncio.create_task(self._close(protocol.encode(message)))

    async def _close(self, data: bytes) -> None:
        await self._write(data)
        if self._reading is not None:  # who closes reads the client's answer, and there may be one reader
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._socket.close(code=1000)

    async def _write(self, data: bytes) -> None:
        self._sent_at = self._clock()
        try:
            await self._socket.send_str(data.decode())
        except (ConnectionError, ClientConnectionError):
            logger.debug("connection %s is gone; its reader will see it", self.connection_id)

    async def _read_frames(self) -> None:
        """Reads on while a method runs, since this is how the client's leaving is seen."""
        async for frame in self._socket:
            if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._records.add_frame(frame.data.encode() if isinstance(frame.data, str) else frame.data)

    async def _serve_client(self) -> None:
        if not await self._handshake():
            return
        self._hub.connected(self)
        timers = asyncio.create_task(self._run_timers())
        try:
            await self._read_messages()
        except ProtocolError as error:
            logger.debug("connection %s: %s", self.connection_id, error)
            self._end(protocol.CLOSE_WITH_ERROR)
        finally:
            timers.cancel()
            await asyncio.wait([timers])
            self._hub.disconnected(self)

    async def _handshake(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.handshake_timeout_seconds):
                while (record := self._records.take()) is None:
                    if not await self._wait_for_frame():
                        return False
            protocol.read_handshake(record)
        except (TimeoutError, ProtocolError):
            self._end({"error": "Handshake was canceled."})
        except HandshakeError as error:
            self._end({"error": str(error)})
        else:
            await self.send({})
            return True
        return False

    async def _read_messages(self) -> None:
        while True:
            while self._closing is None and (record := self._records.take()) is not None:
                message = protocol.read_message(record)
                if message is None:
                    self._records.put_back(record)  # as ASP.NET Core does with a type that it does not know
                    break
                await self._dispatch(message)
            if self._closing is not None or not await self._wait_for_frame():
                return

    async def _dispatch(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case Type.INVOCATION | Type.STREAM_INVOCATION:
                await self._turn.acquire()
                self._spawn(self._run_invocation(message))
                await asyncio.sleep(0)  # as in .NET, a method that waits for nothing has answered before the next message is read
            case Type.COMPLETION:
                self._results.complete(message)
            case Type.PING:
                self._client_pings = True
            case Type.CLOSE:
                self._end(protocol.CLOSE)

    async def _run_invocation(self, message: dict[str, Any]) -> None:
        """Runs one invocation and answers it, if it wants an answer."""
        try:
            completion = await self._completion(message)
            if number := message.get("invocationId"):
                await self.send({"type": Type.COMPLETION.value, "invocationId": number, **completion})
        finally:
            self._heard_at = self._clock()  # the client's time-out stands still while its method runs
            self._turn.release()

    async def _completion(self, message: dict[str, Any]) -> dict[str, Any]:
        method = self._hub.method_name(message["target"])
        if method is None:
            return {"error": InvocationError("Method does not exist.", before=True).text(message["target"])}
        if message["type"] == Type.STREAM_INVOCATION:
            return {"error": f"The client attempted to invoke the non-streaming '{method}' method with a streaming invocation."}
        if streams := message.get("streamIds"):
            return {"error": InvocationError(f"Client sent {len(streams)} stream(s), Hub method expects 0.").text(method)}
        try:
            return {"result": await self._hub.call(self, method, message["arguments"])}
        except InvocationError as error:
            return {"error": error.text(method)}
        except Exception:  # as ASP.NET Core: a bug in a method is logged, told to its caller, and costs nobody else anything
            logger.exception("hub method %s", method)
            return {"error": InvocationError().text(method)}

    async def _run_timers(self) -> None:
        """Pings a client that has heard nothing for a while, and closes on one that pinged once and fell silent."""
        limits = self._limits
        tick = min(1.0, limits.keep_alive_seconds / 4, limits.client_timeout_seconds / 4)
        while True:
            await asyncio.sleep(tick)
            now = self._clock()
            if now - self._sent_at >= limits.keep_alive_seconds:
                await self.send(protocol.PING)
            if self._client_pings and not self._turn.locked() and now - self._heard_at > limits.client_timeout_seconds:
                self._end(protocol.CLOSE_WITH_ERROR)

    async def _wait_for_frame(self) -> bool:
        """False when there is none to come."""
        if not await self._records.wait_for_frame():
            return False
        self._heard_at = self._clock()
        return True
