"""Time comes in through here, so that tests and simulations bring their own.

What waits, times out or stamps asks a `Clock`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType


class Clock(Protocol):
    """What the time is, and how to let it pass."""

    def now(self) -> datetime:
        """The wall clock, in UTC with its zone. It may jump: never measure with it."""

    def monotonic(self) -> float:
        """Seconds from an unknown start, never backwards."""

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""

    def timeout(self, seconds: float | None) -> Timeout:
        """Bound what is awaited within: `async with clock.timeout(5):` raises TimeoutError after 5 s.

        None sets no bound as yet.
        """


class Timeout(Protocol):
    """A bound that can be moved while it holds; `asyncio.Timeout` is one."""

    def reschedule(self, when: float | None) -> None:
        """Expire at that moment of `Clock.monotonic`; None for never."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        """End.

        Raises:
            TimeoutError: the time was up.
        """


class SystemClock:
    """The machine's own time. The event loop's is the same to some milliseconds, in asyncio as in uvloop."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> Timeout:
        """See `Clock.timeout`."""
        return asyncio.timeout(seconds)


def iso_ms(moment: datetime) -> str:
    """The wire's form of a moment: ISO 8601, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
