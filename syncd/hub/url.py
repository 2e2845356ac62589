"""What a hub URL may be, and what of it may be shown."""

from __future__ import annotations

import ipaddress
from hashlib import sha256
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

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
    """Whether a host means this machine. Not `*.localhost`: those go to the name server where the system does not know better."""
    name = host.lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """The URL without user info, fragment and the values of unknown query parameters: fit for logs and the status file."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]
    hidden = [(name, value if name.lower() in HARMLESS_PARAMETERS else "***") for name, value in query]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(hidden, safe="*"), ""))


def place(url: str) -> str:
    """Host and port, as a technician would say them: `hq.example.com:443`."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{port_of(parts)}"


def origin(url: str) -> tuple[bool, str, int]:
    """Whom a URL talks to: whether by TLS, the host, the port. A token for one origin is not for another (RFC 6454)."""
    parts = urlsplit(url)
    return is_secure(url), (parts.hostname or "").rstrip("."), port_of(parts)


def port_of(parts: SplitResult) -> int:
    """The port, named or not."""
    return parts.port or (443 if parts.scheme in SECURE_SCHEMES else 80)


def identity(url: str) -> str:
    """The same text for the same hub, however its URL is written; of the query only a digest, since it may hold a key."""
    parts = urlsplit(url)
    query = f"?{sha256(parts.query.encode()).hexdigest()[:12]}" if parts.query else ""
    return f"{'https' if is_secure(url) else 'http'}://{place(url)}{parts.path.rstrip('/')}{query}"


def is_secure(url: str) -> bool:
    """Whether the URL asks for TLS."""
    return urlsplit(url).scheme in SECURE_SCHEMES


def with_scheme(url: str, kind: str) -> str:
    """The same URL for HTTP (`kind="http"`) or for a WebSocket (`kind="ws"`), as secure as it was."""
    return urlunsplit(urlsplit(url)._replace(scheme=kind + "s" * is_secure(url), fragment=""))


def with_parameter(url: str, name: str, value: str) -> str:
    """Append a query parameter; what was there stays byte for byte."""
    parts = urlsplit(url)
    added = f"{name}={quote(value, safe='')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def has_parameter(url: str, name: str) -> bool:
    """Whether the query names this parameter, in whatever case."""
    return any(known.lower() == name.lower() for known, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))


def negotiate_url(url: str) -> str:
    """Where to negotiate for this hub: its path and `/negotiate`; asks for version 1 unless the query says otherwise."""
    parts = urlsplit(with_scheme(url, "http"))
    at = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/negotiate"))
    return at if has_parameter(at, "negotiateVersion") else with_parameter(at, "negotiateVersion", "1")
