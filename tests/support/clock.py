"""Clocks of a test's own: one whose time passes only where somebody sleeps, one that a test sets forward."""

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


class HandClock:
    """A clock that stands until `advance`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.seconds + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everybody who waits for it go on until they wait again."""
        self.seconds += seconds
        for until, future in self._sleepers:
            if until <= self.seconds and not future.done():
                future.set_result(None)
        self._sleepers = [(until, future) for until, future in self._sleepers if not future.done()]
        await settle()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)
