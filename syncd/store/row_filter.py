"""Which rows of the outbox a person means: of what entity, written when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RowFilter:
    """All that is named must fit; None is anything.

    Attributes:
        entity_id: as text, whether the file has a number or a text.
        since: ISO 8601 UTC; written then or later.
        before: ISO 8601 UTC; written earlier.
    """

    entity_type: str | None = None
    entity_id: str | None = None
    since: str | None = None
    before: str | None = None

    @classmethod
    def of(cls, entity: str | None, since: str | None, before: str | None) -> RowFilter:
        """From the options' texts; an entity is a type, or a type and an id: `Receipt`, `Receipt/1042`."""
        kind, slash, identifier = (entity or "").partition("/")
        return cls(kind or None, identifier if slash else None, since, before)

    def __bool__(self) -> bool:
        return self != RowFilter()

    @property
    def sql(self) -> str:
        """A condition on `o`, a row of `sync_outbox`; its parameters are named."""
        found = ["1"]
        if self.entity_type is not None:
            found.append("o.entity_type = :entity_type")
        if self.entity_id is not None:  # JavaScript binds every number as REAL
            whole = "CASE typeof(o.entity_id) WHEN 'real' THEN CAST(o.entity_id AS INTEGER) ELSE o.entity_id END"
            found.append(f"CAST({whole} AS TEXT) = :entity_id")
        # julianday() reads a time as .NET, JavaScript or SQLite writes it; a time that nobody can read fits nowhere.
        if self.since is not None:
            found.append("julianday(o.created_at) >= julianday(:since)")
        if self.before is not None:
            found.append("julianday(o.created_at) < julianday(:before)")
        return " AND ".join(found)

    @property
    def parameters(self) -> dict[str, Any]:
        """Of `sql`."""
        return {"entity_type": self.entity_type, "entity_id": self.entity_id, "since": self.since, "before": self.before}
