"""The WebSocket: its upgrade, over a proxy or the first address that answers, and its messages' fragments."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from syncd.errors import ConnectionFailed, ConnectionLost
from syncd.hub.connect_errors import explain, status_error
from syncd.hub.negotiate import USER_AGENT, retry_after_seconds
from syncd.hub.protocol import MAX_INBOUND_BYTES
from syncd.hub.proxy import proxy_for
from syncd.hub.url import place
from syncd.hub.way import way_to

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from syncd.clock import Clock
    from syncd.config.settings import HubSettings
    from syncd.hub.negotiate import Endpoint

CLOSE_SECONDS = 0.7
"""Bound of the closing handshake, so that SIGTERM is answered within a second; the hub is told by the socket's end
anyway."""
LARGEST_CONTROL_FRAME_BYTES = 131
"""A WebSocket ping or pong is no sign that the hub lives: its process may hang while its web server answers those."""
FRAMES_AHEAD = 1
"""Frames that websockets reads before we ask for them: a frame may be large, and it counts frames only."""

_websockets_log = logging.getLogger("syncd.hub.websockets")
_websockets_log.setLevel(logging.WARNING)  # at DEBUG websockets would log the request with its token


class WebSocket(ClientConnection):
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


async def open_websocket(endpoint: Endpoint, settings: HubSettings, tls: ssl.SSLContext, clock: Clock) -> WebSocket:
    """The upgrade, over the same proxy as negotiate.

    Raises:
        ConnectionFailed: it did not come to be, in plain words.
    """
    at = place(endpoint.url)
    headers = {}
    if endpoint.token is not None:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    if endpoint.cookies is not None:
        headers["Cookie"] = endpoint.cookies
    where = f"WebSocket to {at}"
    timeout_seconds = settings.connect_timeout_seconds
    try:
        async with (
            clock.timeout(timeout_seconds),
            way_to(endpoint.url, tls, lambda url: proxy_for(url, settings.proxy_file)) as way,
        ):
            websocket = await connect(
                endpoint.url,
                additional_headers=headers,
                user_agent_header=USER_AGENT,
                compression=None,
                open_timeout=None,
                ping_interval=None,
                close_timeout=CLOSE_SECONDS,
                max_size=(None, MAX_INBOUND_BYTES),
                max_queue=FRAMES_AHEAD,
                create_connection=WebSocket,
                logger=_websockets_log,
                **way,
            )
    except BaseException as error:
        match error:
            case InvalidStatus(response=response):
                answered = {name.title(): value for name, value in response.headers.raw_items()}
                raise status_error(
                    response.status_code,
                    where,
                    with_token=endpoint.token is not None,
                    retry_after_seconds=retry_after_seconds(answered, clock.now()),
                    was_negotiated=endpoint.version is not None,
                ) from error
            case TimeoutError():
                raise ConnectionFailed(f"{where}: no answer within {timeout_seconds:g} s") from None
            case OSError() | WebSocketException() | ValueError() | EOFError():
                raise ConnectionFailed(explain(error, at)) from error
            case _:
                raise
    assert isinstance(websocket, WebSocket)
    return websocket


async def fragments_of(websocket: WebSocket) -> AsyncGenerator[bytes, None]:
    """What comes, as it comes: ASP.NET Core sends a message in fragments of 4 KiB and websockets takes at most 4096 of them a message.

    Raises:
        ConnectionLost: it is over.
    """
    try:
        while True:
            async with aclosing(cast("AsyncGenerator[bytes, None]", websocket.recv_streaming(decode=False))) as message:
                async for fragment in message:
                    yield fragment
    except ConnectionClosed as closed:
        raise lost(closed) from None


def lost(closed: ConnectionClosed) -> ConnectionLost:
    """How the WebSocket ended, in plain words."""
    if closed.rcvd is not None:
        return ConnectionLost(f"the hub closed the connection: {closed.rcvd}", close_code=closed.rcvd.code)
    if closed.sent is not None:
        return ConnectionLost(f"the connection had to be closed: {closed.sent}", close_code=closed.sent.code)
    return ConnectionLost("the line to the hub was cut")
