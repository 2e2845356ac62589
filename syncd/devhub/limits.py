"""How long and how much a hub waits and takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """ASP.NET Core's own defaults."""

    max_message_bytes: int = 32 * 1024
    keep_alive_seconds: float = 15
    client_timeout_seconds: float = 30
    handshake_timeout_seconds: float = 15
    unconnected_id_seconds: float = 15
