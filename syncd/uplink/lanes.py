"""One lane a priority: the ids that are ready, and how far the outbox was read for it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from syncd.store.outbox import MIN_ID


@dataclass(slots=True)
class Lane:
    """Rows of one priority, or promoted to it.

    Attributes:
        after_id: read from disk up to here.
        complete: there was nothing more behind that.
        due: monotonic; when the first retry of those that wait on disk is due.
        ready: a heap of ids; an id whose row has left by another way is still in it, and is skipped later.
        ready_count: how many of them are still ready.
    """

    after_id: int = MIN_ID
    complete: bool = False
    due: float | None = None
    ready: list[int] = field(default_factory=list)
    ready_count: int = 0

    def add(self, row_id: int) -> None:
        """One more row is ready."""
        heapq.heappush(self.ready, row_id)
        self.ready_count += 1

    def due_at(self, moment: float) -> None:
        """A row waits on disk for a retry that is due then (monotonic)."""
        self.due = moment if self.due is None else min(moment, self.due)

    def is_due(self, now: float) -> bool:
        """A retry is due, and its rows are still on disk."""
        return self.due is not None and self.due <= now
