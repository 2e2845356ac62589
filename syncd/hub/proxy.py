"""Which proxy the environment asks for: one answer for negotiate and WebSocket alike.

Left to themselves aiohttp ignores the environment and websockets prefers HTTPS_PROXY for ws:// too, so that one of the two would
go direct and the other not.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from syncd.errors import ConnectionFailed
from syncd.hub.url import is_loopback, is_secure, place, shown


def proxy_for(url: str) -> str | None:
    """The proxy's URL by HTTPS_PROXY (https, wss) or HTTP_PROXY (http, ws), unless NO_PROXY names the host or it is this machine.

    A proxy cannot reach our own loopback, whatever the environment of a company's PCs says.

    Raises:
        ConnectionFailed: the variable names something that is no HTTP proxy.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host) or proxy_bypass(place(url)):
        return None
    variable = "https" if is_secure(url) else "http"
    proxy = getproxies().get(variable)
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConnectionFailed(f"{variable.upper()}_PROXY = {shown(proxy)!r} is no HTTP proxy; it must be http://host:port")
    return proxy
