"""Requests to fetch kinds from the beginning. A running daemon sees them within seconds, others at their start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.by_hand import opened_by_hand
from syncd.store.names import names_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncd.config.settings import DatabaseSettings


def request_full_pull(paths: DatabaseSettings, types: Sequence[str], now: datetime) -> None:
    """Request these kinds; all where none is named.

    Args:
        paths: the database with HQ's tables is one of them.

    Raises:
        ConfigurationError: it is older or newer than this program.
        StorageError: there is no such database, or it cannot be used.
        PermissionDeniedError: it may not be written.
    """
    with opened_by_hand(paths.path, "store", names_in(paths)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO [sync_resync] (entity_type, requested_at) VALUES (?, ?)", [(name, iso_ms(now)) for name in types or ("",)]
        )
        connection.execute("COMMIT")
