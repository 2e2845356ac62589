"""The way to the hub, the same for negotiate and for the WebSocket: over the proxy, or to the first address that answers."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from websockets.exceptions import ProxyError

from syncd.config.hub_url import is_secure
from syncd.hub.url import port_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

HAPPY_EYEBALLS_SECONDS = 0.25
"""The next address is tried after this long (RFC 8305): an IPv6 address that leads nowhere must not cost the whole
time-out."""
UNREACHABLE = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT})


@asynccontextmanager
async def way_to(url: str, tls: ssl.SSLContext, find_proxy: Callable[[str], str | None]) -> AsyncIterator[dict[str, Any]]:
    """What `websockets.connect` needs to get there; a socket that was opened for it is closed where it is not used in the end.

    Args:
        find_proxy: the proxy for a URL, or None; called in a thread, since it may read a file.

    Raises:
        OSError: no address answers.
        ProxyError: the proxy cannot be reached.
    """
    proxy = await asyncio.to_thread(find_proxy, url)
    sock = await _open_socket(url) if proxy is None else None
    inode = os.fstat(sock.fileno()).st_ino if sock is not None else 0
    try:
        yield {"proxy": proxy, "sock": sock, "ssl": tls if is_secure(url) else None}
        if sock is not None:
            _let_go(sock, inode)
    except BaseException as error:
        if sock is not None:
            _let_go(sock, inode)
            sock.close()
        if proxy is not None and isinstance(error, OSError) and (isinstance(error, socket.gaierror) or error.errno in UNREACHABLE):
            raise ProxyError(f"it cannot be reached ({error.strerror or error})") from error
        raise


def _let_go(sock: socket.socket, inode: int) -> None:
    """Makes the socket object forget a descriptor that is closed already.

    A connection that is lost before `create_connection` has returned is closed by uvloop (0.23) without a word to the socket object, which
    would close the descriptor once more, when it is collected: by then the number may be another file's, a database's or the event loop's.
    """
    if (descriptor := sock.fileno()) == -1:
        return
    try:
        is_ours = os.fstat(descriptor).st_ino == inode
    except OSError:
        is_ours = False
    if not is_ours:
        sock.detach()


async def _open_socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(parts.hostname, port_of(parts), type=socket.SOCK_STREAM)
    return await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)
