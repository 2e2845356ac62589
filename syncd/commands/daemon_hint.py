"""Why the running daemon does not do at once what it was asked for, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.status.reader import NOBODY_WRITES, read_health
from syncd.store.lock import StoreLock

if TYPE_CHECKING:
    from syncd.config.settings import Settings


def why_not_now(settings: Settings) -> str | None:
    """None where it runs and has a connection to HQ."""
    if StoreLock(settings.database.outbox_path).running_pid() is None:
        return "syncd is not running: systemctl start syncd"
    daemon = read_health(settings.status.path)
    connection = (daemon.document or {}).get("connection", {})
    if daemon.exit_code != NOBODY_WRITES and connection.get("state") != "connected":
        return f"syncd has no connection to HQ now ({connection.get('lastError') or connection.get('state')})"
    return None
