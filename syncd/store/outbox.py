"""Rows of the outbox, and pages of them, as the rest of the program knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Entity = tuple[str, str]  # type, and id as text: the number 5 and the text "5" keep one order

PRIORITIES = CRITICAL, HIGH, NORMAL, LOW = 1, 2, 3, 4
MIN_ID, MAX_ID = -(2**63), 2**63 - 1


@dataclass(slots=True, eq=False)
class OutboxRow:
    """One row of the outbox, as it will go out.

    Attributes:
        timestamp: `created_at` in the wire's form; where nobody can read that, the moment we first saw the row.
        created: the same as a moment.
        retry_at: not to be sent before; None where it may go at once.
        unreadable_time: `created_at` was of no use.
        problem: why this row can never be sent, where that is so.
        encoded: the item as JSON, ready for the wire; empty where there is a problem.
        plain: it was one of a block's, and may be so again.
    """

    id: int
    entity_type: str
    entity_id: int | str
    priority: int
    correlation_id: str
    timestamp: str
    created: datetime
    attempts: int
    retry_at: datetime | None
    unreadable_time: bool = False
    problem: str | None = None
    encoded: bytes = b""
    plain: bool = False
    entity: Entity = field(init=False)

    def __post_init__(self) -> None:
        self.entity = (self.entity_type, str(self.entity_id))


@dataclass(slots=True)
class Page:
    """Some rows, in the order they were written.

    Attributes:
        rows: a `Block` where none of them needs a look.
        after_id: where the next page begins.
        complete: there was nothing more when this was read.
        earlier: rows of the same entities with another priority that were written before one of `rows`, and must go
            first.
        cut_entities: entities of which there are still more such rows than `earlier` holds.
        promoted: entities that wait for the retry of a less urgent row and have one of this priority behind it; when
            the retry is due.
    """

    rows: Sequence[OutboxRow]
    after_id: int
    complete: bool
    earlier: list[OutboxRow] = field(default_factory=list)
    cut_entities: set[Entity] = field(default_factory=set)
    promoted: dict[Entity, str] = field(default_factory=dict)


@dataclass(slots=True)
class DuePage(Page):
    """Rows whose retry is due, each with those behind it; `cut_entities` have more than those.

    Attributes:
        entities: that wait no longer, and the row from which on they did.
        next_due: when the next of this priority is due; None where no other waits.
        oldest_waiting: when the oldest row that waits was written.
    """

    entities: dict[Entity, int] = field(default_factory=dict)
    next_due: str | None = None
    oldest_waiting: str | None = None

    def leave_out(self, entities: set[Entity]) -> None:
        """As if these were not due."""
        if entities:
            self.rows = [row for row in self.rows if row.entity not in entities]
            self.cut_entities -= entities
            self.entities = {entity: first_id for entity, first_id in self.entities.items() if entity not in entities}


def as_sent(entity_id: object) -> int | str:
    """JavaScript binds every number as REAL; on the wire 5.0 is the 5 that was meant."""
    if isinstance(entity_id, float) and entity_id.is_integer():
        return int(entity_id)
    return entity_id if isinstance(entity_id, int | str) else str(entity_id)


def spellings(text: str) -> tuple[int | str, ...]:
    """An entity's id may stand in the file as a number by one till and as text by another."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 19 and str(int(text)) == text and MIN_ID <= int(text) <= MAX_ID:
        return text, int(text)
    return (text,)
