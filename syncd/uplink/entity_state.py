"""What the send queue knows of one entity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncd.store.outbox import LOW

if TYPE_CHECKING:
    from syncd.store.outbox import OutboxRow


@dataclass(slots=True)
class EntityState:
    """What is known of one entity; forgotten once there is nothing to know.

    Attributes:
        queued: ids of its rows in memory that are not in flight, ascending.
        parked: those of them that are in no lane.
        in_flight: how many rows are with the hub, or have an outcome that is not durable yet.
        urgency: the most urgent priority among those in flight.
        batch: the batch being put together, while it takes rows of this entity.
        held_until: monotonic; no row goes out before.
        failed_from: this row is failed and holds those behind it until a person acts, which has all read afresh.
        waits_from: this row was refused: it and those behind it wait on disk.
        unread_after: there are rows after this id that were left on disk.
        promoted_to: the most urgent priority among those left on disk.
    """

    queued: list[int] = field(default_factory=list)
    parked: list[OutboxRow] = field(default_factory=list)
    in_flight: int = 0
    urgency: int = LOW
    batch: object = None
    held_until: float | None = None
    failed_from: int | None = None
    waits_from: int | None = None
    unread_after: int | None = None
    promoted_to: int = LOW

    @property
    def blocked(self) -> bool:
        """It gives no rows."""
        return self.in_flight > 0 or self.held_until is not None

    @property
    def only_moves(self) -> bool:
        """Nothing holds it but rows that may be in flight, and all of its rows that were read are in memory."""
        held = self.held_until is not None or self.failed_from is not None or self.waits_from is not None
        return not held and self.unread_after is None

    @property
    def idle(self) -> bool:
        """There is nothing to know of it."""
        held = self.held_until is not None or self.failed_from is not None
        return not (self.queued or self.in_flight or held or self.unread_after is not None)
