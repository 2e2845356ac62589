"""One client's WebSocket, from the handshake to the end, with the timers and the order of a real SignalR server."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import ClientConnectionError, WSMsgType

from syncd.devhub import protocol
from syncd.devhub.protocol import HandshakeError, InvocationError, ProtocolError, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiohttp import web

logger = logging.getLogger(__name__)
_result_numbers = itertools.count(1)


@dataclass(frozen=True)
class Limits:
    """ASP.NET Core's own defaults."""

    max_message_bytes: int = 32 * 1024
    keep_alive_seconds: float = 15
    client_timeout_seconds: float = 30
    handshake_timeout_seconds: float = 15
    unconnected_id_seconds: float = 15


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


class ClientResultError(Exception):
    """A client asked for a result gave none; the message has the .NET exception's name before the reason."""


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
            self.named(store)
        self._socket = socket
        self._transport = transport
        self._hub = hub
        self._limits = limits
        self._spawn = spawn
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._buffer = bytearray()
        self._turn = asyncio.Lock()  # ASP.NET Core runs one invocation of a connection at a time
        self._results: dict[str, asyncio.Future[object]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._clock = asyncio.get_running_loop().time
        self._sent_at = self._heard_at = self._clock()
        self._client_pings = False

    def named(self, store: str) -> None:
        """The client has said which store it is."""
        self.stores.add(store)
        self.store = self.store or store

    async def run(self) -> None:
        """Serves the client until one side ends it."""
        conversation = asyncio.create_task(self._converse())
        self._reading = asyncio.create_task(self._read_frames())
        try:
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.result()
        finally:
            self._reading.cancel()
            self.gone.set()
            self._frames.put_nowait(None)
            for waiting in self._results.values():
                if not waiting.done():
                    waiting.set_exception(ClientResultError(f"IOException: Connection '{self.connection_id}' disconnected."))
            await conversation
            if self._closing is not None:
                await self._closing

    async def send(self, message: dict[str, Any]) -> None:
        """Sends a message; nothing once the end has begun."""
        if self._closing is None:
            await self._write(protocol.encode(message))

    async def invoke(self, method: str, arguments: list[object], timeout_seconds: float) -> object:
        """Asks the client for a result.

        Raises:
            ClientResultError: it answered with an error, not in time, or left.
        """
        number = f"s{next(_result_numbers)}"
        self._results[number] = result = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.send({"type": 1, "invocationId": number, "target": method, "arguments": arguments})
                return await result
        except TimeoutError:
            raise ClientResultError("HubException: Invocation canceled by the server.") from None
        finally:
            del self._results[number]

    def abort(self) -> None:
        """Ends the connection as `Context.Abort()` does: a close message that does not invite back."""
        self._end(protocol.CLOSE)

    def drop(self) -> None:
        """Cuts the line without a word, as a server that stops does."""
        self.gone.set()
        if self._transport is not None:
            self._transport.abort()

    def _end(self, message: dict[str, Any]) -> None:
        if self._closing is None:
            self.gone.set()
            self._closing = asyncio.create_task(self._say_goodbye(protocol.encode(message)))

    async def _say_goodbye(self, data: bytes) -> None:
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
                self._frames.put_nowait(frame.data.encode() if isinstance(frame.data, str) else frame.data)

    async def _converse(self) -> None:
        if not await self._shake_hands():
            return
        self._hub.connected(self)
        timers = asyncio.create_task(self._keep_time())
        try:
            await self._read_messages()
        except ProtocolError as error:
            logger.debug("connection %s: %s", self.connection_id, error)
            self._end(protocol.CLOSE_WITH_ERROR)
        finally:
            timers.cancel()
            await asyncio.wait([timers])
            self._hub.disconnected(self)

    async def _shake_hands(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.handshake_timeout_seconds):
                while (record := self._record()) is None:
                    if not await self._more():
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
            while self._closing is None and (record := self._record()) is not None:
                message = protocol.read_message(record)
                if message is None:
                    self._stay_deaf(record)
                    break
                await self._take(message)
            if self._closing is not None or not await self._more():
                return

    def _stay_deaf(self, record: bytes) -> None:
        """Leaves a message of unknown type where it is, as ASP.NET Core does: nothing behind it is ever read.

        Raises:
            ProtocolError: what has piled up is above the limit.
        """
        self._buffer[:0] = record + protocol.SEPARATOR
        if len(self._buffer) > self._limits.max_message_bytes:
            raise ProtocolError("an unknown message type, and too much behind it")

    async def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case Type.INVOCATION | Type.STREAM_INVOCATION:
                await self._turn.acquire()
                self._spawn(self._serve(message))
                await asyncio.sleep(0)  # as in .NET, a method that waits for nothing has answered before the next message is read
            case Type.COMPLETION:
                self._resolve(message)
            case Type.PING:
                self._client_pings = True
            case Type.CLOSE:
                self._end(protocol.CLOSE)

    async def _serve(self, message: dict[str, Any]) -> None:
        """Runs one invocation and answers it, if it wants an answer."""
        try:
            outcome = await self._outcome(message)
            if number := message.get("invocationId"):
                await self.send({"type": Type.COMPLETION.value, "invocationId": number, **outcome})
        finally:
            self._heard_at = self._clock()  # the client's time-out stands still while its method runs
            self._turn.release()

    async def _outcome(self, message: dict[str, Any]) -> dict[str, Any]:
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
        except Exception:
            logger.exception("hub method %s", method)
            return {"error": InvocationError().text(method)}

    def _resolve(self, message: dict[str, Any]) -> None:
        waiting = self._results.get(message["invocationId"])
        if waiting is None or waiting.done():
            return
        if "result" in message:
            waiting.set_result(message["result"])
        else:
            waiting.set_exception(ClientResultError(f"HubException: {message.get('error', 'the client gave no result')}"))

    async def _keep_time(self) -> None:
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

    async def _more(self) -> bool:
        """Waits for the next frame; False when there is none to come."""
        frame = await self._frames.get()
        if frame is None:
            return False
        self._heard_at = self._clock()
        self._buffer += frame
        return True

    def _record(self) -> bytes | None:
        """Cuts one message off what has arrived; None if none is complete.

        Raises:
            ProtocolError: it is above the limit, which counts the separator.
        """
        limit = self._limits.max_message_bytes
        end = self._buffer.find(protocol.SEPARATOR, 0, limit)
        if end >= 0:
            record = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            return record
        if len(self._buffer) > limit:
            raise ProtocolError(f"a message above {limit} bytes")
        return None
