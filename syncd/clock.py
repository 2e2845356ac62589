"""Time comes in through here, so that tests and simulations bring their own."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the time is, and how to let it pass."""

    def now(self) -> datetime:
        """The wall clock, in UTC with its zone. It may jump: never measure with it."""

    def monotonic(self) -> float:
        """Seconds from an unknown start, never backwards."""

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)


def iso_ms(moment: datetime) -> str:
    """The wire's form of a moment: ISO 8601, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
