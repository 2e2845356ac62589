"""One SignalR connection on one WebSocket, opened once: handshake, keepalive, silence, reading, closing.

It is a `Transport` of pysignalr's, but not its `WebsocketTransport`: that one's loop reconnects with a used-up id and never
gives up waiting, its reading takes a frame's messages in one go, and its keepalive sleeps without our clock.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from pysignalr.messages import CloseMessage, Message, PingMessage
from pysignalr.transport.abstract import ConnectionState, Transport
from websockets.exceptions import ConnectionClosed

from syncd.errors import ConnectionFailed, ConnectionLost, HubError
from syncd.hub.incoming import oversized, read_message
from syncd.hub.protocol import MAX_HANDSHAKE_BYTES, MAX_INBOUND_BYTES, SEPARATOR, HubProtocol, Oversized, check_handshake
from syncd.hub.url import place
from syncd.hub.websocket import CLOSE_SECONDS, WebSocket, fragments_of, lost, open_websocket

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from websockets.asyncio.client import ClientConnection

    from syncd.clock import Clock
    from syncd.config.settings import HubSettings
    from syncd.hub.negotiate import Endpoint

TURN_BYTES = 64 * 1024
MESSAGE_COST_BYTES = 500
"""A message's own cost, in bytes read: after `TURN_BYTES`, some milliseconds, the loop gets a turn."""
SILENCE_TICKS = 8
"""Silence is counted in ticks of an eighth of the time-out."""


class HubConnection(Transport):
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
        self.protocol: HubProtocol = protocol
        self.state = ConnectionState.disconnected
        self._callback = callback
        self._opened: Callable[[], Awaitable[None]] | None = None
        self._websocket: WebSocket | None = None
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._tls = tls
        self._place = place(endpoint.url)
        self._reading = False
        self._heard = 0
        self._read_bytes = 0

    def on_open(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this once, when invocations may be sent."""
        self._opened = callback

    async def run(self) -> NoReturn:
        """Serve one connection.

        Raises:
            ConnectionFailed: it did not come to be.
            ConnectionLost: it was there; the reason, or that of the callback.
        """
        websocket = await open_websocket(self._endpoint, self._settings, self._tls, self._clock)
        on_purpose = False
        fragments = fragments_of(websocket)
        try:
            early = await self._signalr_handshake(websocket, fragments)
            self._websocket, self.state = websocket, ConnectionState.connected
            if self._opened is not None:
                await self._opened()
            await self._serve(websocket, early, fragments)
        except asyncio.CancelledError:
            on_purpose = True
            raise
        finally:
            self._websocket, self.state = None, ConnectionState.disconnected
            await fragments.aclose()
            await self._close_websocket(websocket, on_purpose=on_purpose)

    async def send(self, message: Message) -> None:
        """Send a message; returns when the socket has taken it.

        Raises:
            ConnectionLost: there is no connection, or no more.
            MessageTooLarge, ValueError, TypeError: see `HubProtocol.dump`; nothing was sent.
        """
        data = self.protocol.dump(message)
        if self._websocket is None:
            raise ConnectionLost("there is no connection to the hub")
        try:
            await self._websocket.send(data, text=True)
        except ConnectionClosed as closed:
            raise lost(closed) from None

    async def _signalr_handshake(self, websocket: WebSocket, fragments: AsyncGenerator[bytes, None]) -> bytes:
        """What came along behind the hub's answer to our handshake."""
        seconds = self._settings.connect_timeout_seconds
        try:
            async with self._clock.timeout(seconds):
                await websocket.send(self.protocol.dump(self.protocol.handshake_message()), text=True)
                answer = b""
                async for fragment in fragments:
                    end = fragment.find(SEPARATOR, 0, MAX_HANDSHAKE_BYTES - len(answer))
                    if end >= 0:
                        check_handshake(answer + fragment[:end])
                        return fragment[end + len(SEPARATOR) :]
                    if len(answer) + len(fragment) >= MAX_HANDSHAKE_BYTES:
                        break
                    answer += fragment
                raise ConnectionFailed(f"what {self._place} sent is no SignalR handshake: {MAX_HANDSHAKE_BYTES:,} bytes without its end")
        except TimeoutError:
            raise ConnectionFailed(f"{self._place} took the connection but not the SignalR handshake within {seconds:g} s") from None
        except ConnectionLost as loss:
            raise ConnectionFailed(f"{self._place} closed the connection during the SignalR handshake: {loss}") from None
        except ConnectionClosed as closed:
            raise ConnectionFailed(f"{self._place} closed the connection during the SignalR handshake: {lost(closed)}") from None

    async def _serve(self, websocket: WebSocket, early: bytes, fragments: AsyncGenerator[bytes, None]) -> NoReturn:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keepalive(websocket), name="hub: keepalive")
                group.create_task(self._watch_silence(websocket), name="hub: silence")
                await self._take(early)
                self._reading = True
                async for fragment in fragments:
                    self._reading = False
                    self._heard += 1
                    await self._take(fragment)
                    self._reading = True
        except BaseExceptionGroup as errors:
            raise root_cause(errors) from None
        finally:
            self._reading = False
        raise AssertionError("a reader only ends with an error")

    async def _take(self, fragment: bytes) -> None:
        """Read the messages that this fragment completes.

        The loop gets its turn between them, and between copies of a large fragment.
        """
        if len(fragment) > TURN_BYTES:
            await asyncio.sleep(0)
        for record in self.protocol.records(fragment):
            message = None
            if isinstance(record, Oversized):
                message = await oversized(record.beginning, MAX_INBOUND_BYTES).read()
            elif record:
                if len(record) > TURN_BYTES:
                    await asyncio.sleep(0)
                message = await read_message(record)
                self._read_bytes += len(record)
            if message is not None:
                await self._callback(message)
            self._read_bytes += MESSAGE_COST_BYTES
            if self._read_bytes >= TURN_BYTES:
                self._read_bytes = 0
                await asyncio.sleep(0)

    async def _keepalive(self, conn: ClientConnection) -> None:
        """Ping the hub, for ever; a closed connection is left to the reader, which still has to read why."""
        try:
            while True:
                await self._clock.sleep(self._settings.keep_alive_interval_seconds)
                await conn.send(self.protocol.dump(PingMessage()), text=True)
        except ConnectionClosed:
            return

    async def _watch_silence(self, websocket: WebSocket) -> NoReturn:
        """Give up a hub that says nothing while we listen.

        Ticks are counted, not time: a process that was stopped, or a loop that was busy, slept itself and heard nothing
        for that.
        """
        limit = self._settings.server_timeout_seconds
        silent_ticks = 0
        while silent_ticks < SILENCE_TICKS:
            heard = self._heard, websocket.heard
            await self._clock.sleep(limit / SILENCE_TICKS)
            silent = self._reading and heard == (self._heard, websocket.heard)
            silent_ticks = silent_ticks + 1 if silent else 0
        websocket.transport.abort()  # a closing handshake would have no answer
        raise ConnectionLost(f"nothing was heard from the hub for {limit:g} s")

    async def _close_websocket(self, websocket: WebSocket, *, on_purpose: bool) -> None:
        """Close within `CLOSE_SECONDS`, whatever the other side does; where we end it, a close message goes first."""
        try:
            async with self._clock.timeout(CLOSE_SECONDS):
                if on_purpose:
                    await websocket.send(self.protocol.dump(CloseMessage()), text=True)
                await websocket.close()
        except (TimeoutError, ConnectionClosed):
            pass
        finally:
            websocket.transport.abort()
        await websocket.wait_closed()


def root_cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that a group of tasks ended with: a bug goes before a lost connection, else the first."""
    leaves = [root_cause(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, HubError)), leaves[0])
