"""A clock whose time passes only where somebody sleeps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class FakeClock:
    """Sleeping advances it at once; between two sleeps time stands still. For one sleeper at a time.

    Attributes:
        seconds: since the beginning; a test may set it forward.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """See `Clock.now`."""
        return BEGINNING + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.seconds += seconds
        await asyncio.sleep(0)
