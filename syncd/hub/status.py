"""What is known about the connection: its section of the status file, from which its health follows, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from syncd.document import INTERNAL, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

ConnectionState: TypeAlias = Literal["connecting", "connected", "reconnecting", "offline", "disconnected"]


@dataclass
class ConnectionStatus:
    """The line to HQ; changed in place by the supervisor.

    Attributes:
        hub_url: the configured URL without its secrets.
        state: `disconnected` when nobody tries; `connecting` until the first connection; `reconnecting` after a loss;
            `offline` after `hub.max_reconnect_attempts` failures in a row, while trying goes on.
        connection_id: public name of the present connection.
        last_connected_at: when the present or last connection began.
        disconnected_at: when the last one ended; None while connected.
        reconnect_attempts: attempts that failed since the last connection.
        next_attempt_at: when the next one is due; None while one is being made or lives.
        last_error: what last went wrong, in words for a technician; kept when it is over.
        auth_rejected: HQ answered 401 or 403 and has accepted nothing since.
        shed_total: calls of the hub that were not taken since there were too many, since the start of this process.
        is_shedding: this goes on, or has not been made up for by a catch-up yet.
        on_change: called after every change.
    """

    hub_url: str = field(metadata=TEXT)
    state: ConnectionState = "disconnected"
    connection_id: str | None = None
    last_connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    reconnect_attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str | None = field(default=None, metadata=TEXT)
    auth_rejected: bool = field(default=False, metadata=INTERNAL)
    shed_total: int = field(default=0, metadata=INTERNAL)
    is_shedding: bool = field(default=False, metadata=INTERNAL)
    on_change: list[Callable[[], None]] = field(default_factory=list, repr=False, compare=False, metadata=INTERNAL)

    def changed(self) -> None:
        """Tell whoever wants to know."""
        for callback in self.on_change:
            callback()
