"""Which proxy leads to the hub: one answer for negotiate and WebSocket alike.

Left to itself websockets prefers HTTPS_PROXY for ws:// too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from syncd.config.hub_url import is_loopback, is_secure
from syncd.errors import ConnectionFailed
from syncd.hub.url import place
from syncd.redaction import known_secrets

if TYPE_CHECKING:
    from pathlib import Path


def proxy_for(url: str, proxy_file: Path | None = None) -> str | None:
    """The proxy's URL: from `hub.proxy_file`, else by HTTPS_PROXY (https, wss) or HTTP_PROXY (http, ws).

    None where NO_PROXY names the host or it is this machine: a proxy cannot reach our own loopback, whatever the
    environment of a company's PCs says. Its user and password are hidden from then on, wherever somebody repeats them.

    Raises:
        ConnectionFailed: the file or the variable names something that is no HTTP proxy; says which, and shows no
            password.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host) or proxy_bypass(place(url)):
        return None
    variable = "https" if is_secure(url) else "http"
    if proxy_file is not None:
        return checked_proxy(_read(proxy_file), f"hub.proxy_file ({proxy_file})")
    proxy = getproxies().get(variable)
    return checked_proxy(proxy, f"{variable.upper()}_PROXY") if proxy else None


def checked_proxy(proxy: str, source: str) -> str:
    """The proxy's URL, with a scheme.

    Args:
        proxy: as somebody wrote it, with or without `http://`.
        source: where it stands, for the error.

    Raises:
        ConnectionFailed: it is no HTTP proxy.
    """
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    scheme, _, rest = proxy.partition("://")
    user_info, at, where = rest.rpartition("@")
    user, _, password = user_info.partition(":")
    known_secrets.add(user_info, user, password, unquote(user), unquote(password))
    try:
        parts = urlsplit(proxy)
        is_proxy = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        reason = "" if is_proxy else "it must be http://host:port"
    except ValueError:
        reason = "it must be http://host:port"
    if any(character in user_info for character in "/?#@"):
        reason = "a / ? # or @ in its user name or password is written as %2F %3F %23 or %40"
    if reason:
        raise ConnectionFailed(f"{source} names no HTTP proxy ({scheme}://{'***@' if at else ''}{where.partition('?')[0]}): {reason}")
    return proxy


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise ConnectionFailed(f"hub.proxy_file: {file} cannot be read: {why}") from error
