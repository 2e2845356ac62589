"""The table `sync_quarantine`: what HQ sent and could not be applied, as it came and with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncd.store.text import storable
from syncd.wire.json import dump_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

MAX_RAW_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What could not be applied.

    Attributes:
        raw: the message as JSON text.
        kept_as: the entry that says the same already; see `find_kept`.
    """

    method: str
    correlation_id: str | None
    reason: str
    raw: str
    kept_as: int | None = None

    @property
    def stored(self) -> tuple[str, str | None, str, str]:
        """The entry's columns, `received_at` apart."""
        identifier = None if self.correlation_id is None else storable(self.correlation_id)
        return self.method, identifier, storable(self.reason), storable(self.raw[:MAX_RAW_CHARACTERS])

    @property
    def identity(self) -> tuple[str, str | None, str, str | None]:
        """What tells it from the others: without a correlation id, its text."""
        method, identifier, reason, raw = self.stored
        return method, identifier, reason, raw if identifier is None else None


def raw_text(message: object) -> str:
    """A message as the quarantine keeps it."""
    try:
        return dump_json(message)
    except ValueError:  # half a surrogate pair, or nested without end: as Python shows it
        return ascii(message)


# One pass over the table for all that is to be kept: it has no index.
_SAME = """
SELECT id, method, correlation_id, reason, CASE WHEN correlation_id IS NULL THEN raw END FROM [sync_quarantine]
WHERE method IN (SELECT value FROM json_each(?1)) AND reason IN (SELECT value FROM json_each(?2))
  AND (correlation_id IS NULL OR correlation_id IN (SELECT value FROM json_each(?3)))
"""


def find_kept(connection: sqlite3.Connection, items: Sequence[Quarantined]) -> list[Quarantined]:
    """The same, each with the entry that says the same already: HQ sends it again with every overlap and full pull.

    This reads the whole table, so it is for outside the write lock.
    """
    wanted = [item.identity for item in items]
    methods, identifiers, reasons = (json.dumps(list({key[part] for key in wanted} - {None})) for part in range(3))
    found = {tuple(row[1:]): row[0] for row in connection.execute(_SAME, (methods, reasons, identifiers))}
    return [replace(item, kept_as=found.get(key)) for item, key in zip(items, wanted, strict=True)]


def keep(connection: sqlite3.Connection, items: Sequence[Quarantined], stamp: str) -> int:
    """Put them into the quarantine, within the caller's transaction; returns how many entries are new."""
    new: dict[tuple[str, str | None, str, str | None], Quarantined] = {}
    for item in items:
        renew = "UPDATE [sync_quarantine] SET received_at = ? WHERE id = ?"
        if item.kept_as is None or not connection.execute(renew, (stamp, item.kept_as)).rowcount:
            new.setdefault(item.identity, item)
    connection.executemany(
        "INSERT INTO [sync_quarantine] (method, correlation_id, reason, raw, received_at) VALUES (?, ?, ?, ?, ?)",
        [(*item.stored, stamp) for item in new.values()],
    )
    return len(new)


def count(connection: sqlite3.Connection) -> int:
    """How many messages are kept."""
    (kept,) = connection.execute("SELECT count(*) FROM [sync_quarantine]").fetchone()
    return int(kept)
