"""The table `sync_quarantine`: what HQ sent and could not be applied, as it came and with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.store.text import storable
from syncd.wire.json import dump_json

if TYPE_CHECKING:
    import sqlite3

MAX_RAW_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What could not be applied.

    Attributes:
        raw: the message as JSON text.
    """

    method: str
    correlation_id: str | None
    reason: str
    raw: str


def raw_text(message: object) -> str:
    """A message as the quarantine keeps it."""
    try:
        return dump_json(message)
    except ValueError:  # half a surrogate pair, or nested without end: as Python shows it
        return ascii(message)


def keep(connection: sqlite3.Connection, item: Quarantined, stamp: str) -> None:
    """Put it into the quarantine; within the caller's transaction."""
    connection.execute(
        "INSERT INTO sync_quarantine (method, correlation_id, reason, raw, received_at) VALUES (?, ?, ?, ?, ?)",
        (
            item.method,
            None if item.correlation_id is None else storable(item.correlation_id),
            storable(item.reason),
            storable(item.raw[:MAX_RAW_CHARACTERS]),
            stamp,
        ),
    )


def count(connection: sqlite3.Connection) -> int:
    """How many messages are kept."""
    (kept,) = connection.execute("SELECT count(*) FROM sync_quarantine").fetchone()
    return int(kept)
