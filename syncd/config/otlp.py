"""What `metrics.otlp_endpoint` may be."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

from syncd.config.hub_url import is_loopback, shown

ALLOWED = (
    "allowed is the whole https:// address of an OTLP receiver for metrics, such as https://otel.example.com/v1/metrics; http:// only to "
    "this machine itself (localhost, 127.0.0.1, [::1]) or with metrics.otlp_allow_insecure = true"
)
PACKAGE = "opentelemetry.exporter.otlp.proto.http"


def check_endpoint(url: str, *, allow_insecure: bool) -> None:
    """Accept an endpoint, or say in plain words why not.

    Raises:
        ValueError: names the key, the value (its secrets hidden) and what is allowed.
    """
    if reason := _why_not(url, allow_insecure=allow_insecure):
        raise ValueError(f"metrics.otlp_endpoint = {shown(url)!r}: {reason}; {ALLOWED}")


def _why_not(url: str, *, allow_insecure: bool) -> str | None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError as error:
        return f"it is not a URL ({error})"
    if not is_address:
        return "it is no http(s) address with a host"
    if "@" in parts.netloc:
        return "a user name or password in a URL ends up in logs; OTEL_EXPORTER_OTLP_HEADERS carries credentials"
    if parts.scheme == "http" and not allow_insecure and not is_loopback(parts.hostname or ""):
        return "http:// would send it in clear text"
    return None


def require_exporter() -> None:
    """Refuse an endpoint where the packages that send to it are not installed.

    Raises:
        ValueError: says what brings them.
    """
    try:
        there = find_spec(PACKAGE) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise ValueError("needs packages that are not installed: pip install 'syncd[otlp]'")
