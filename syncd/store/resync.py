"""Requests to fetch kinds from the beginning. A running daemon sees them within seconds, others at their start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.by_hand import opened_by_hand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path


def request_full_pull(path: Path, types: Sequence[str], now: datetime) -> None:
    """Request these kinds; all where none is named.

    Args:
        path: the store's database.

    Raises:
        ConfigurationError: it is older or newer than this program.
        StorageError: there is no such database, or it cannot be used.
        PermissionDeniedError: it may not be written.
    """
    with opened_by_hand(path, "store") as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO sync_resync (entity_type, requested_at) VALUES (?, ?)", [(name, iso_ms(now)) for name in types or ("",)]
        )
        connection.execute("COMMIT")
