"""How large a message this hub takes: learned from what passes and from the closes, never by trying the same thing again and again.

ASP.NET Core closes the connection for a message that is too large, and in the same way for one that it cannot parse. So a close only
makes the next batches smaller (`ceiling`). A limit for single rows (`largest`) is assumed once several rows closed the connection alone.
"""

from __future__ import annotations

from syncd.uplink.retry import FORGET_LIMIT_SECONDS, LIMIT_PROBE_SECONDS

SMALLEST_CEILING_BYTES = 512
SMALLEST_LIMIT_BYTES = 1024  # of any hub, as `hub.max_message_bytes` has it: a close below that has another reason
TOO_LARGE_ROWS = (
    2  # rows that closed the connection when sent alone, before a larger one is not even tried: one may have been odd in itself
)


class SizeLimit:
    """What this hub takes, in bytes a message.

    Args:
        configured: `hub.max_message_bytes`, never exceeded.
        passed: the largest message known to have passed.
        too_large: the smallest known not to have; None where none is known.
        now: monotonic; when that was learned.

    Attributes:
        ceiling: of a message with several rows, at most.
    """

    def __init__(self, configured: int, *, passed: int = 0, too_large: int | None = None, now: float = 0.0) -> None:
        self.configured = configured
        self.passed_bytes = min(passed, configured)
        self.too_large_bytes = too_large
        self.ceiling = configured if too_large is None else max(self.passed_bytes, min(configured, too_large // 2))
        self._learned_at = now
        self._probed_at = now
        self._too_large_rows: dict[int, int] = {} if too_large is None else {0: too_large}  # bytes of the message of each, by row id

    @property
    def largest(self) -> int:
        """Bytes of the largest message that is tried at all, be it with a single row."""
        if len(self._too_large_rows) < TOO_LARGE_ROWS:
            return self.configured
        return min(self.configured, min(self._too_large_rows.values()) - 1)

    def passed(self, size: int, now: float) -> bool:
        """A message was answered; see `raise_ceiling`, too.

        Returns:
            True where that is worth remembering over a restart.
        """
        learned = size > self.passed_bytes
        self.passed_bytes = max(size, self.passed_bytes)
        if self.too_large_bytes is not None and (size >= self.too_large_bytes or now - self._learned_at > FORGET_LIMIT_SECONDS):
            self.too_large_bytes = None
            self._too_large_rows.clear()
        return learned and self.too_large_bytes is not None

    def raise_ceiling(self, size: int, now: float) -> bool:
        """A message of this size was answered: larger ones may be tried.

        Returns:
            True where the next message is a probe, above all that has passed and below what was too large.
        """
        if not size * 2 >= self.ceiling < self.largest:  # a batch that the ceiling cut short fills at least half of it
            return False
        if self.too_large_bytes is None:
            self.ceiling = min(self.configured, self.ceiling * 2)
            return False
        if now - self._probed_at < LIMIT_PROBE_SECONDS or (self.too_large_bytes - self.ceiling) * 10 <= self.ceiling:
            return False
        self._probed_at = now
        self.ceiling = (self.ceiling + self.too_large_bytes) // 2
        return True

    def too_large(self, size: int, row_id: int | None, now: float) -> None:
        """The hub closed the connection for a message of this size, which was the only one in flight.

        Args:
            row_id: the row in it, where it was alone.
        """
        if size <= max(self.passed_bytes, SMALLEST_LIMIT_BYTES):
            return
        self.too_large_bytes = size if self.too_large_bytes is None else min(size, self.too_large_bytes)
        self._learned_at = self._probed_at = now
        if row_id is not None:
            self._too_large_rows[row_id] = size

    def lower_ceiling(self, size: int) -> bool:
        """The connection went with a message of this size.

        Returns:
            True where its size can be the reason: none as large has passed, and the ceiling is below it now.
        """
        if size > self.passed_bytes:
            self.ceiling = max(SMALLEST_CEILING_BYTES, self.passed_bytes, min(self.ceiling, size // 2))
        return size > self.ceiling

    def forget_rows(self) -> None:
        """Somebody has retried rows by hand: large ones are tried again, since HQ may have raised its limit."""
        self._too_large_rows.clear()

    def distrust(self, size: int) -> None:
        """The hub closed the connection for a size that is no reason as far as we know: it may take less than it once did."""
        self.passed_bytes = min(self.passed_bytes, size // 2)
        self.ceiling = max(SMALLEST_CEILING_BYTES, min(self.ceiling, size // 2))
