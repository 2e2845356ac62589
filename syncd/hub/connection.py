"""One WebSocket connection, on pysignalr's transport: opened once, every wait bounded, left politely, never opened again.

Of pysignalr's `WebsocketTransport` its callbacks are used; its loop, which reconnects with a used-up id and never gives up waiting, its
reading, which takes a frame's messages in one go, and its keepalive, which sleeps without our clock, are not.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import aclosing
from typing import TYPE_CHECKING, NoReturn, cast
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from pysignalr.messages import CloseMessage, Message, PingMessage
from pysignalr.transport.abstract import ConnectionState
from pysignalr.transport.websocket import WebsocketTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from syncd.config.hub_url import is_secure
from syncd.errors import ConnectionFailed, ConnectionLost, HubError
from syncd.hub.connect_errors import explain, status_error
from syncd.hub.incoming import oversized, read_message
from syncd.hub.negotiate import USER_AGENT, retry_after_seconds
from syncd.hub.protocol import MAX_HANDSHAKE_BYTES, MAX_INBOUND_BYTES, SEPARATOR, HubProtocol, Oversized, check_handshake
from syncd.hub.proxy import proxy_for
from syncd.hub.url import place, port_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from syncd.clock import Clock
    from syncd.config.settings import HubSettings
    from syncd.hub.negotiate import Endpoint

GOODBYE_SECONDS = 0.7
"""Bound of a polite leave, so that SIGTERM is answered within a second; the hub is told by the socket's end anyway."""
HAPPY_EYEBALLS_SECONDS = 0.25
"""The next address is tried after this long (RFC 8305): a dead IPv6 way must not cost the whole time-out."""
LARGEST_CONTROL_FRAME_BYTES = 131
"""A WebSocket ping or pong is no sign that the hub lives: its process may hang while its web server answers those."""
FRAMES_AHEAD = 1
"""Frames that websockets reads before we ask for them: a frame may be large, and it counts frames only."""
TURN_BYTES = 64 * 1024
MESSAGE_COST_BYTES = 500
"""A message's own cost, in bytes read: after `TURN_BYTES`, some milliseconds, the loop gets a turn."""
SILENCE_TICKS = 8
"""Silence is counted in ticks of an eighth of the time-out."""

_websockets_log = logging.getLogger("syncd.hub.websockets")
_websockets_log.setLevel(logging.WARNING)  # at DEBUG websockets would log the request with its token


class Line(ClientConnection):
    """A WebSocket that notices parts of a message before it is whole: a large one on a slow line is no silence.

    Attributes:
        heard: counts the arrivals that are too large for a ping or a pong.
    """

    heard = 0

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`."""
        if len(data) > LARGEST_CONTROL_FRAME_BYTES:
            self.heard += 1
        super().data_received(data)


class HubConnection(WebsocketTransport):
    """`run` opens the connection, serves it until it ends, and always ends with an error that says why."""

    def __init__(
        self,
        endpoint: Endpoint,
        protocol: HubProtocol,
        callback: Callable[[Message], Awaitable[None]],
        *,
        settings: HubSettings,
        tls: ssl.SSLContext,
        clock: Clock,
    ) -> None:
        headers = {}
        if endpoint.token is not None:
            headers["Authorization"] = f"Bearer {endpoint.token}"
        if endpoint.cookies is not None:
            headers["Cookie"] = endpoint.cookies
        super().__init__(
            endpoint.url,
            protocol,
            callback,
            headers=headers,
            skip_negotiation=True,
        )
        self._hub_protocol = protocol
        self._settings = settings
        self._clock = clock
        self._tls = tls
        self._place = place(endpoint.url)
        self._with_token = endpoint.token is not None
        self._was_negotiated = endpoint.version is not None
        self._reading = False
        self._heard = 0
        self._read_bytes = 0

    async def run(self) -> NoReturn:
        """Serve one connection.

        Raises:
            ConnectionFailed: it did not come to be.
            ConnectionLost: it was there; the reason, or that of the callback.
        """
        line = await self._open()
        polite = False
        pieces = _pieces(line)
        try:
            early = await self._introduce(line, pieces)
            self._ws, self._state = line, ConnectionState.connected
            self._connected.set()
            if self._open_callback is not None:
                await self._open_callback()
            await self._serve(line, early, pieces)
        except asyncio.CancelledError:
            polite = True
            raise
        finally:
            self._state = ConnectionState.disconnected
            self._connected.clear()
            self._ws = None
            await pieces.aclose()
            await self._hang_up(line, polite=polite)

    async def send(self, message: Message) -> None:
        """Send a message; returns when the socket has taken it.

        Raises:
            ConnectionLost: there is no connection, or no more.
            MessageTooLarge, ValueError, TypeError: see `HubProtocol.dump`; nothing was sent.
        """
        data = self._hub_protocol.dump(message)
        if self._ws is None:
            raise ConnectionLost("there is no connection to the hub")
        try:
            await self._ws.send(data, text=True)
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def _open(self) -> Line:
        """The upgrade, over the same proxy as negotiate."""
        where = f"WebSocket to {self._place}"
        timeout_seconds = self._settings.connect_timeout_seconds
        sock: socket.socket | None = None
        try:
            async with self._clock.timeout(timeout_seconds):
                proxy = await asyncio.to_thread(proxy_for, self._url, self._settings.proxy_file)
                if proxy is None:
                    sock = await _open_socket(self._url)
                line = await connect(
                    self._url,
                    additional_headers=self._headers,
                    user_agent_header=USER_AGENT,
                    proxy=proxy,
                    sock=sock,
                    ssl=self._tls if is_secure(self._url) else None,
                    compression=None,
                    open_timeout=None,
                    ping_interval=None,
                    close_timeout=GOODBYE_SECONDS,
                    max_size=(None, MAX_INBOUND_BYTES),
                    max_queue=FRAMES_AHEAD,
                    create_connection=Line,
                    logger=_websockets_log,
                )
        except BaseException as error:
            if sock is not None:
                sock.close()
            match error:
                case InvalidStatus(response=response):
                    headers = {name.title(): value for name, value in response.headers.raw_items()}
                    raise status_error(
                        response.status_code,
                        where,
                        with_token=self._with_token,
                        retry_after_seconds=retry_after_seconds(headers, self._clock.now()),
                        was_negotiated=self._was_negotiated,
                    ) from error
                case TimeoutError():
                    raise ConnectionFailed(f"{where}: no answer within {timeout_seconds:g} s") from None
                case OSError() | WebSocketException() | ValueError() | EOFError():
                    raise ConnectionFailed(explain(error, self._place)) from error
                case _:
                    raise
        assert isinstance(line, Line)
        return line

    async def _introduce(self, line: Line, pieces: AsyncGenerator[bytes, None]) -> bytes:
        """SignalR's handshake; what came along behind the hub's answer."""
        seconds = self._settings.connect_timeout_seconds
        try:
            async with self._clock.timeout(seconds):
                await line.send(self._hub_protocol.dump(self._hub_protocol.handshake_message()), text=True)
                answer = b""
                async for piece in pieces:
                    end = piece.find(SEPARATOR, 0, MAX_HANDSHAKE_BYTES - len(answer))
                    if end >= 0:
                        check_handshake(answer + piece[:end])
                        return piece[end + len(SEPARATOR) :]
                    if len(answer) + len(piece) >= MAX_HANDSHAKE_BYTES:
                        break
                    answer += piece
                raise ConnectionFailed(f"what {self._place} sent is no SignalR handshake: {MAX_HANDSHAKE_BYTES:,} bytes without its end")
        except TimeoutError:
            raise ConnectionFailed(f"{self._place} took the connection but not the SignalR handshake within {seconds:g} s") from None
        except ConnectionLost as lost:
            raise ConnectionFailed(f"{self._place} closed the connection during the SignalR handshake: {lost}") from None
        except ConnectionClosed as closed:
            raise ConnectionFailed(f"{self._place} closed the connection during the SignalR handshake: {_lost(closed)}") from None

    async def _serve(self, line: Line, early: bytes, pieces: AsyncGenerator[bytes, None]) -> NoReturn:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keepalive(line), name="hub: keepalive")
                group.create_task(self._listen_for_silence(line), name="hub: silence")
                await self._take(early)
                self._reading = True
                async for piece in pieces:
                    self._reading = False
                    self._heard += 1
                    await self._take(piece)
                    self._reading = True
        except BaseExceptionGroup as errors:
            raise root_cause(errors) from None
        finally:
            self._reading = False
        raise AssertionError("a reader only ends with an error")

    async def _take(self, piece: bytes) -> None:
        """Read the messages that this piece completes; the loop gets its turn between them, and between copies of a large piece."""
        if len(piece) > TURN_BYTES:
            await asyncio.sleep(0)
        for record in self._hub_protocol.records(piece):
            message = None
            if isinstance(record, Oversized):
                message = await oversized(record.beginning, MAX_INBOUND_BYTES).read()
            elif record:
                if len(record) > TURN_BYTES:
                    await asyncio.sleep(0)
                message = await read_message(record)
                self._read_bytes += len(record)
            if message is not None:
                await self._on_message(message)
            self._read_bytes += MESSAGE_COST_BYTES
            if self._read_bytes >= TURN_BYTES:
                self._read_bytes = 0
                await asyncio.sleep(0)

    async def _keepalive(self, conn: ClientConnection) -> None:
        """Ping the hub, for ever. That the connection is closed is the reader's to say: it still has to read why."""
        try:
            while True:
                await self._clock.sleep(self._settings.keep_alive_interval_seconds)
                await conn.send(self._hub_protocol.dump(PingMessage()), text=True)
        except ConnectionClosed:
            return

    async def _listen_for_silence(self, line: Line) -> NoReturn:
        """Give up a hub that says nothing while we listen.

        Ticks are counted, not time: a process that was stopped, or a loop that was busy, slept itself and heard nothing for that.
        """
        limit = self._settings.server_timeout_seconds
        silent_ticks = 0
        while silent_ticks < SILENCE_TICKS:
            heard = self._heard, line.heard
            await self._clock.sleep(limit / SILENCE_TICKS)
            silent = self._reading and heard == (self._heard, line.heard)
            silent_ticks = silent_ticks + 1 if silent else 0
        line.transport.abort()  # there is nobody to say goodbye to
        raise ConnectionLost(f"nothing was heard from the hub for {limit:g} s")

    async def _hang_up(self, line: Line, *, polite: bool) -> None:
        """Close within `GOODBYE_SECONDS`, whatever the other side does; where we leave of our own will, say so first."""
        try:
            async with self._clock.timeout(GOODBYE_SECONDS):
                if polite:
                    await line.send(self._hub_protocol.dump(CloseMessage()), text=True)
                await line.close()
        except (TimeoutError, ConnectionClosed):
            pass
        finally:
            line.transport.abort()
        await line.wait_closed()


async def _pieces(line: Line) -> AsyncGenerator[bytes, None]:
    """What comes, frame by frame: ASP.NET Core sends a message in fragments of 4 KiB and websockets takes at most 4096 of them a message.

    Raises:
        ConnectionLost: it is over.
    """
    try:
        while True:
            async with aclosing(cast("AsyncGenerator[bytes, None]", line.recv_streaming(decode=False))) as fragments:
                async for fragment in fragments:
                    yield fragment
    except ConnectionClosed as closed:
        raise _lost(closed) from None


async def _open_socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(parts.hostname, port_of(parts), type=socket.SOCK_STREAM)
    return await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)


def _lost(closed: ConnectionClosed) -> ConnectionLost:
    if closed.rcvd is not None:
        return ConnectionLost(f"the hub closed the connection: {closed.rcvd}", close_code=closed.rcvd.code)
    if closed.sent is not None:
        return ConnectionLost(f"the connection had to be closed: {closed.sent}", close_code=closed.sent.code)
    return ConnectionLost("the line to the hub was cut")


def root_cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that a group of tasks ended with: a bug goes before what the line did, else the first."""
    leaves = [root_cause(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, HubError)), leaves[0])
