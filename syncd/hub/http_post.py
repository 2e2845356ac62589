"""One HTTP POST without a body, on a connection of its own that websockets opens and whose answer it reads.

A second HTTP library for the one request of an attempt would cost a seventh of our memory and a fifth of the start.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.headers import build_host
from websockets.http11 import Response, read_body
from websockets.streams import StreamReader
from websockets.uri import parse_uri

from syncd.hub.url import with_scheme
from syncd.hub.way import way_to

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Mapping

OK = 200


async def post(
    url: str, headers: Mapping[str, str], *, user_agent: str, tls: ssl.SSLContext, find_proxy: Callable[[str], str | None]
) -> Response:
    """Post nothing there; redirects are not followed, and only an answer of status 200 has its body.

    Args:
        url: http or https.
        find_proxy: see `way_to`.

    Raises:
        OSError, WebSocketException, EOFError, LookupError, ValueError, NotImplementedError: no answer, or none of HTTP's.
        SecurityError: an answer of more than 1 MiB; it is a `WebSocketException`.
    """
    at = parse_uri(with_scheme(url, "ws"))
    all_headers = Headers(headers, host=build_host(at.host, at.port, at.secure), content_length="0", connection="close")
    all_headers["User-Agent"] = user_agent
    request = f"POST {at.resource_name} HTTP/1.1\r\n".encode("ascii") + all_headers.serialize()
    async with way_to(url, tls, find_proxy) as way:
        connector = connect(with_scheme(url, "ws"), user_agent_header=user_agent, **way)
        connector.factory = lambda uri: cast("ClientConnection", _Exchange(request))  # noqa: ARG005 - any protocol of asyncio's will do
        exchange = cast("_Exchange", await connector.open_tcp_connection())
    try:
        return await exchange.response
    finally:
        exchange.close()


class _Exchange(asyncio.Protocol):
    """Sends a request as soon as it is connected, and reads what is answered."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._reader = StreamReader()
        self._parser = self._read()
        self._transport: asyncio.Transport | None = None
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Nothing more is read."""
        self.response.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self.response.done():
            self._reader.feed_data(data)
            self._go_on()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self.response.done():
            return
        if error is not None:
            self.response.set_exception(error)
        else:
            self._reader.feed_eof()
            self._go_on()

    def _go_on(self) -> None:
        try:
            next(self._parser)
        except StopIteration as end:
            self.response.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the answer is told to whoever waits for it
            self.response.set_exception(error)

    def _read(self) -> Generator[None, None, Response]:
        read = self._reader.read_line, self._reader.read_exact, self._reader.read_to_eof
        response = yield from Response.parse(*read, proxy=True)  # without its body, and HTTP/1.0 too, as old routers have it
        if response.status_code == OK:
            response.body = yield from read_body(OK, response.headers, *read)
        return response
