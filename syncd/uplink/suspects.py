"""What may go into the next message: the hub's limit, rows that may close the connection, rows that may hang it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.uplink.hangs import Hangs
from syncd.uplink.losses import Losses
from syncd.uplink.message_size import SizeLimit

if TYPE_CHECKING:
    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.store.outbox import OutboxRow
    from syncd.uplink.deferrals import Deferrals


class Suspects:
    """Puts together what losses, time-outs and deferrals say of a row.

    Attributes:
        losses: what was learned from closes.
        hangs: what was learned from time-outs.
    """

    def __init__(self, settings: Settings, deferrals: Deferrals, clock: Clock) -> None:
        self.losses = Losses(SizeLimit(settings.hub.max_message_bytes))
        self.hangs = Hangs(settings.hub.invocation_timeout_seconds, deferrals, clock)
        self._deferrals = deferrals
        self._retry_base_seconds = settings.sync.retry_base_seconds

    @property
    def none(self) -> bool:
        """Nothing is known of any row."""
        return not (self.losses.poison.suspects_any or self.hangs.suspects_any or self._deferrals)

    @property
    def serial(self) -> bool:
        """Only one message may be in flight."""
        return self.losses.serial or self.hangs.serial

    @property
    def max_rows(self) -> int | None:
        """Rows in a message at most; None where that does not matter."""
        return min((most for most in (self.losses.poison.max_rows, self.hangs.max_rows) if most is not None), default=None)

    def rows_together(self, row: OutboxRow) -> int | None:
        """How many suspected rows may be in one message with this one; None for a row that is not suspected."""
        return 1 if self.losses.poison.is_suspect(row.id) else self.hangs.rows_together(row.id)

    def why_unsendable(self, row: OutboxRow, size: int) -> str | None:
        """Why this row can never be sent, in a message of its own of so many bytes; None where it can."""
        limit = self.losses.size
        if row.problem is not None:
            return row.problem
        if size > limit.configured:
            return f"the row needs a message of {size} bytes, and hub.max_message_bytes is {limit.configured}"
        if size > limit.largest:
            return f"the row needs a message of {size} bytes, and the hub closes at {limit.largest + 1}"
        if self.losses.poison.is_poison(row.id):
            return f"the hub closes the connection whenever it is sent this row ({size} bytes)"
        return None

    def seconds_until_retry(self, row: OutboxRow) -> float:
        """How long a row without an outcome waits before it goes again; 0 for at once."""
        if self.losses.poison.is_suspect(row.id):
            return self._retry_base_seconds
        return self.hangs.seconds_left(row) or self.hangs.others_first_seconds(row.id)

    def forget(self, row: OutboxRow) -> None:
        """The row has its outcome."""
        self.losses.poison.forget(row.id)
        self.hangs.forget(row.id)
        self._deferrals.discard(row.id)

    def clear(self) -> None:
        """Somebody has retried or cancelled rows by hand: what was known of rows may be of rows that are gone."""
        self.hangs.clear()
        self._deferrals.clear()
        self.losses.size.forget_rows()
