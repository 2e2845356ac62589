"""What a lost connection says of the messages that were unanswered: too large, poison in them, or nothing at all.

After a close by the hub, messages go out one at a time (`serial`), which makes the next close unambiguous. A line that breaks without the
hub's word teaches something only after a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.errors import ClosedByHub
from syncd.uplink.message_size import SMALLEST_LIMIT_BYTES
from syncd.uplink.poison import PoisonSearch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.errors import HubError
    from syncd.uplink.message_size import SizeLimit

MESSAGE_TOO_BIG = 1009  # WebSocket close code
LINE_LOSSES_BEFORE_SUSPICION = 3  # in a row: a proxy may cut without a word
SERIAL_MESSAGES = 3  # that pass before several are in flight again


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A message that was sent, and whose answer never came.

    Attributes:
        size: bytes, its separator included.
        row_ids: the outbox rows in it.
    """

    size: int
    row_ids: Sequence[int]


class Losses:
    """Passes what is learned from answers and losses on to the size limit and to the search for poison.

    Attributes:
        size: the hub's limit.
        poison: rows that close the connection.
    """

    def __init__(self, size: SizeLimit) -> None:
        self.size = size
        self.poison = PoisonSearch()
        self._serial_for = 0  # messages
        self._line_losses = 0  # in a row

    @property
    def serial(self) -> bool:
        """Only one message may be in flight."""
        return self._serial_for > 0

    def send_serially(self) -> None:
        """One message at a time for a while."""
        self._serial_for = SERIAL_MESSAGES

    def passed(self, size: int, rows: int, now: float) -> bool:
        """A message was answered.

        Returns:
            True where the size that passed is worth remembering over a restart.
        """
        self._line_losses = 0
        self._serial_for = max(0, self._serial_for - 1)
        self.poison.passed(rows)
        learned = self.size.passed(size, now)
        if self.size.raise_ceiling(size, now):
            self.send_serially()
        return learned

    def lost(self, loss: HubError | None, unanswered: Sequence[Unanswered], now: float) -> bool:
        """The connection went with these unanswered.

        Returns:
            True where the messages themselves may be the reason: the next attempt should be soon, since it is a smaller one.
        """
        if not unanswered:
            return False
        by_hub = _is_closed_by_hub(loss)
        if not by_hub:
            self._line_losses += 1
            if self._line_losses < LINE_LOSSES_BEFORE_SUSPICION:
                return False
        was_serial = self.serial
        self.send_serially()
        largest = max(unanswered, key=lambda message: message.size)
        if len(unanswered) == 1:
            self._lost_one(largest, by_hub=by_hub, was_serial=was_serial, now=now)
        if not self.size.lower_ceiling(largest.size):
            self.poison.bisect(max(len(message.row_ids) for message in unanswered))
            if by_hub:
                self.size.distrust(largest.size)
        return True

    def _lost_one(self, message: Unanswered, *, by_hub: bool, was_serial: bool, now: float) -> None:
        """A single message was in flight."""
        row_id = message.row_ids[0] if len(message.row_ids) == 1 else None
        if row_id is not None:
            self.poison.closed_alone(row_id, by_hub=by_hub, small=message.size < SMALLEST_LIMIT_BYTES)
        proven = was_serial if row_id is None else self.poison.is_poison(row_id)
        if by_hub and proven:
            self.size.too_large(message.size, row_id, now)


def _is_closed_by_hub(loss: HubError | None) -> bool:
    """Whether the hub, or whoever stands before it, closed for a reason of its own."""
    return (isinstance(loss, ClosedByHub) and loss.error is not None) or getattr(loss, "close_code", None) == MESSAGE_TOO_BIG
