"""What `hub.url` may be, and what of a URL may be shown."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

SCHEMES = frozenset({"http", "https", "ws", "wss"})
SECURE_SCHEMES = frozenset({"https", "wss"})
ALLOWED = (
    "allowed are https:// and wss:// URLs with a host, such as https://hq.example.com/hubs/sync; http:// and ws:// only to this "
    "machine itself (localhost, 127.0.0.1, [::1]) or with hub.allow_insecure = true"
)
HARMLESS_PARAMETERS = frozenset({"storeid", "negotiateversion"})
"""Query parameters whose values may be shown; any other value might be a key that somebody put there."""


def check_url(url: str, *, allow_insecure: bool) -> None:
    """Accept a hub URL, or say in plain words why not.

    Raises:
        ValueError: names the key, the value (its secrets hidden) and what is allowed.
    """
    reason = _why_malformed(url) or _why_unsafe(urlsplit(url), allow_insecure=allow_insecure)
    if reason:
        raise ValueError(f"hub.url = {shown(url)!r}: {reason}; {ALLOWED}")


def _why_malformed(url: str) -> str | None:  # noqa: PLR0911 - one return a reason
    if any(character.isspace() or not character.isprintable() for character in url):
        return "it holds a blank or a control character"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"it is not a URL ({error})"
    if parts.scheme not in SCHEMES:
        return f"the scheme {parts.scheme!r} cannot carry SignalR" if parts.scheme else "it has no scheme"
    if not parts.hostname:
        return "it has no host"
    if port == 0:
        return "there is no port 0"
    if "#" in url:
        return "a fragment (#…) is never sent"
    return None


def _why_unsafe(parts: SplitResult, *, allow_insecure: bool) -> str | None:
    if "@" in parts.netloc:
        return "a user name or password in a URL ends up in logs; use hub.access_token_file"
    if any(name.lower() == "access_token" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        return "a token in a URL ends up in logs; use hub.access_token_file"
    if parts.scheme not in SECURE_SCHEMES and not allow_insecure and not is_loopback(parts.hostname or ""):
        return f"{parts.scheme}:// would send the shop's data and its token in clear text"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host means this machine.

    Not `*.localhost`: those go to the name server where the system does not know better.
    """
    name = host.lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """The URL without user info, fragment and the values of unknown query parameters.

    Fit for logs and the status file.
    """
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]
    hidden = [(name, value if name.lower() in HARMLESS_PARAMETERS else "***") for name, value in query]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(hidden, safe="*"), ""))


def is_secure(url: str) -> bool:
    """Whether the URL asks for TLS."""
    return urlsplit(url).scheme in SECURE_SCHEMES
