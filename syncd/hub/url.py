"""Takes URLs of a hub apart, and makes those of its negotiation and of its WebSocket."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit, urlunsplit

from syncd.config.hub_url import SECURE_SCHEMES, is_secure


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
    """The same text for the same hub, however its URL is written.

    Of the query only a digest, since it may hold a key.
    """
    parts = urlsplit(url)
    query = f"?{sha256(parts.query.encode()).hexdigest()[:12]}" if parts.query else ""
    return f"{'https' if is_secure(url) else 'http'}://{place(url)}{parts.path.rstrip('/')}{query}"


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
    """Where to negotiate for this hub: its path and `/negotiate`.

    Asks for version 1 unless the query says otherwise.
    """
    parts = urlsplit(with_scheme(url, "http"))
    at = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/negotiate"))
    return at if has_parameter(at, "negotiateVersion") else with_parameter(at, "negotiateVersion", "1")
