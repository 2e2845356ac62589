"""What the connection needs to know: the `hub` section of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class HubOptions(Protocol):
    """The keys of the configuration's `hub` section (contract, section 5); times in seconds."""

    @property
    def url(self) -> str:
        """The hub's address; http(s) and ws(s) mean the same."""

    @property
    def access_token_file(self) -> Path | None:
        """Holds the bearer token; read afresh for every attempt."""

    @property
    def ca_file(self) -> Path | None:
        """PEM file of the authorities to trust *instead of* the system's."""

    @property
    def client_certificate_file(self) -> Path | None:
        """PEM file of our own certificate, for mutual TLS."""

    @property
    def client_key_file(self) -> Path | None:
        """PEM file of its key, where it is not in the same file."""

    @property
    def allow_insecure(self) -> bool:
        """Whether http:// may leave this machine."""

    @property
    def proxy_file(self) -> Path | None:
        """Holds the proxy's URL, with user and password; instead of HTTPS_PROXY, and read afresh for every attempt."""

    @property
    def skip_negotiation(self) -> bool:
        """Whether the WebSocket is opened without asking first: for farms of hubs without sticky sessions."""

    @property
    def connect_timeout_seconds(self) -> float:
        """Bound of each step on the way in: negotiate, upgrade, SignalR handshake."""

    @property
    def keep_alive_interval_seconds(self) -> float:
        """How often we ping the hub."""

    @property
    def server_timeout_seconds(self) -> float:
        """The hub's silence after which the connection is given up."""

    @property
    def invocation_timeout_seconds(self) -> float:
        """How long an answer to an invocation may take, unless the caller says otherwise."""

    @property
    def reconnect_delay_seconds(self) -> float:
        """The first delay; it doubles with every failure."""

    @property
    def reconnect_max_delay_seconds(self) -> float:
        """The longest delay, and the pace of the slow schedule."""

    @property
    def max_reconnect_attempts(self) -> int:
        """Failures in a row after which the state is `offline`; trying goes on."""

    @property
    def max_message_bytes(self) -> int:
        """The hub's limit of one message, separator included (ASP.NET Core: 32768)."""
