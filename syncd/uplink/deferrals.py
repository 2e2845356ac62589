"""Rows that HQ does not decide on: they wait for retries of their own, which cost no attempt, and the status names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.status.report import DeferredRow, DeferredRows
from syncd.uplink.retry import retry_delay

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable
    from datetime import datetime

    from syncd.clock import Clock
    from syncd.config.settings import SyncSettings
    from syncd.store.outbox import Entity, OutboxRow

MAX_ROWS = 10_000  # of which it is remembered how often they were deferred; the others wait the first delay each time
SHOWN_ROWS = 10


@dataclass(slots=True)
class _Deferral:
    row: OutboxRow
    reason: str
    since: datetime
    times: int = 0
    due: float = 0.0  # monotonic
    shown: bool = False  # it had to wait at least once


class Deferrals:
    """How often a row was sent and not decided on, and when it may be sent again."""

    def __init__(self, sync: SyncSettings, clock: Clock, random: random.Random) -> None:
        self._sync = sync
        self._clock = clock
        self._random = random
        self._rows: dict[int, _Deferral] = {}

    def __contains__(self, row_id: int) -> bool:
        return row_id in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        """No more rows are remembered."""
        return len(self._rows) >= MAX_ROWS

    def defer(self, row: OutboxRow, reason: str, *, free: int = 0, at_least: float = 0.0) -> float:
        """Once more HQ did not decide on this row.

        Args:
            free: so many times it may go again at once.
            at_least: seconds, whatever the backoff says.

        Returns:
            Seconds until it may go again: `base * 2^(n-1)`, capped and jittered like the retries of a refused row.
        """
        deferral = self._rows.get(row.id) or _Deferral(row, reason, self._clock.now(), times=free if self.full else 0)
        if not self.full:
            self._rows[row.id] = deferral
        deferral.reason = reason
        deferral.times += 1
        seconds = 0.0
        if deferral.times > free:
            seconds = retry_delay(self._sync, deferral.times - free, self._random)
            deferral.shown = True
        seconds = max(seconds, at_least)
        deferral.due = self._clock.monotonic() + seconds
        return seconds

    def seconds_left(self, row_id: int) -> float:
        """Until it may go again; 0 for a row that is not deferred."""
        deferral = self._rows.get(row_id)
        return max(0.0, deferral.due - self._clock.monotonic()) if deferral else 0.0

    def reason(self, row_id: int) -> str:
        """Why this row is deferred."""
        return self._rows[row_id].reason if row_id in self._rows else ""

    def discard(self, row_id: int) -> bool:
        """HQ has decided on it; returns whether it was deferred."""
        return self._rows.pop(row_id, None) is not None

    def release(self, row_ids: Iterable[int]) -> list[Entity]:
        """Those of these rows that are deferred may go at once; their entities."""
        found = [deferral for row_id in row_ids if (deferral := self._rows.get(row_id))]
        for deferral in found:
            deferral.due = 0.0
        return [deferral.row.entity for deferral in found]

    def clear(self) -> None:
        """Forget all: somebody has retried or cancelled rows by hand."""
        self._rows.clear()

    def report(self) -> DeferredRows:
        """How many rows are deferred, and the first of them."""
        now, wall = self._clock.monotonic(), self._clock.now()
        shown = [deferral for deferral in self._rows.values() if deferral.shown]
        rows = [
            DeferredRow(
                str(d.row.entity_type),
                d.row.entity_id,
                str(d.row.correlation_id),
                d.since,
                wall + timedelta(seconds=d.due - now) if d.due > now else wall,
                d.reason,
            )
            for d in shown[:SHOWN_ROWS]
        ]
        return DeferredRows(len(shown), rows)
