"""How far the current backlog is, and when it will be done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from syncd.document import name

WINDOW_SECONDS = 60.0
"""The speed of the last minute: long enough to be calm, short enough to notice a better line."""
SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A `SyncProgress` of the contract.

    Attributes:
        seconds_remaining: None while nothing moves.
        current_item: what was last sent, in words.
    """

    total_items: int
    completed_items: int
    failed_items: int
    seconds_remaining: float | None
    current_item: str

    @property
    def is_complete(self) -> bool:
        """Nothing waits any more."""
        return self.completed_items + self.failed_items >= self.total_items

    def document(self) -> dict[str, Any]:
        """The JSON form; the time that remains is written as .NET writes a TimeSpan."""
        done = self.completed_items + self.failed_items
        return {
            "totalItems": self.total_items,
            "completedItems": self.completed_items,
            "failedItems": self.failed_items,
            "progressPercent": round(100 * done / self.total_items, 1) if self.total_items else 100.0,
            "estimatedTimeRemaining": None if self.seconds_remaining is None else time_span(self.seconds_remaining),
            "currentItem": name(self.current_item),
            "isComplete": self.is_complete,
        }


def time_span(seconds: float) -> str:
    """`[d.]hh:mm:ss`, whole seconds, as .NET's TimeSpan reads it."""
    span = timedelta(seconds=round(min(seconds, 10_000 * 86_400)))
    hours, rest = divmod(span.seconds, 3600)
    return f"{f'{span.days}.' if span.days else ''}{hours:02}:{rest // 60:02}:{rest % 60:02}"


class ProgressMeter:
    """Follows the counters from outside: a backlog begins when more than `threshold` rows wait, and ends when none does.

    Rows that arrive meanwhile belong to it. The last backlog stays visible, complete, until the next one begins.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._progress: Progress | None = None
        self._base = (0, 0)  # sent and failed rows when the backlog began
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, *, pending: int, sent: int, failed: int, current_item: str, now: float) -> Progress | None:
        """Take the counters as they stand.

        Args:
            pending: rows that wait.
            sent: rows sent since the process started.
            failed: rows that are `failed`; may fall, when a person retries or cancels some.
            current_item: what was last sent, in words.
            now: monotonic seconds.
        """
        if self._progress is None or self._progress.is_complete:
            if pending <= self._threshold:
                return self._progress
            self._base = (sent, failed)
            self._samples.clear()
        completed = max(0, sent - self._base[0])
        given_up = max(0, failed - self._base[1])
        done = completed + given_up
        self._progress = Progress(done + pending, completed, given_up, self._remaining(pending, done, now), current_item)
        return self._progress

    def _remaining(self, pending: int, done: int, now: float) -> float | None:
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, done))
        while now - self._samples[0][0] > WINDOW_SECONDS and len(self._samples) > 1:
            self._samples.popleft()
        then, done_then = self._samples[0]
        if pending == 0:
            return 0.0
        return pending * (now - then) / (done - done_then) if done > done_then and now > then else None
