"""Clocks of a test's own: one whose time passes only where somebody sleeps, one that a test sets forward."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

BEGINNING = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class VirtualTimeout:
    """A bound on a clock that is not the machine's: `expire_at` is told of every step of that clock."""

    def __init__(self, clock: VirtualTime, when: float | None) -> None:
        self._clock = clock
        self._when = when
        self._bound = asyncio.timeout(None)

    def reschedule(self, when: float | None) -> None:
        """See `Timeout.reschedule`."""
        self._when = when
        self.expire_at(self._clock.seconds)

    def expire_at(self, seconds: float) -> None:
        """Let it expire if its time has come."""
        if self._when is not None and self._when <= seconds:
            self._bound.reschedule(asyncio.get_running_loop().time())
            self._when = None

    async def __aenter__(self) -> Self:
        await self._bound.__aenter__()
        self._clock.timeouts.append(self)
        self.expire_at(self._clock.seconds)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._clock.timeouts.remove(self)
        await self._bound.__aexit__(kind, error, trace)


class VirtualTime:
    """What clocks have in common whose time is set.

    Attributes:
        seconds: since the beginning.
        timeouts: those that hold.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.timeouts: list[VirtualTimeout] = []

    def now(self) -> datetime:
        """See `Clock.now`."""
        return BEGINNING + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.seconds

    def timeout(self, seconds: float | None) -> VirtualTimeout:
        """See `Clock.timeout`."""
        return VirtualTimeout(self, None if seconds is None else self.seconds + seconds)

    def pass_by(self, seconds: float) -> None:
        """Set the time forward; what has expired by then does so."""
        self.seconds += seconds
        for timeout in list(self.timeouts):
            timeout.expire_at(self.seconds)


class FakeClock(VirtualTime):
    """Sleeping advances it at once; between two sleeps time stands still. For one sleeper at a time; a test may set `seconds` forward."""

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.pass_by(seconds)
        await asyncio.sleep(0)


class HandClock(VirtualTime):
    """A clock that stands until `advance`."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.seconds + seconds, future))
        await future

    @property
    def waiting(self) -> int:
        """How many sleep at the moment."""
        return sum(not future.done() for _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everybody who waits for it go on until they wait again."""
        self.pass_by(seconds)
        for until, future in self._sleepers:
            if until <= self.seconds and not future.done():
                future.set_result(None)
        self._sleepers = [(until, future) for until, future in self._sleepers if not future.done()]
        await settle()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)
