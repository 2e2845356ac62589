"""A clock's time-outs, on the machine's time and on a clock that is set by hand."""

from __future__ import annotations

import asyncio

import pytest

from syncd.clock import SystemClock
from tests.support.clock import FakeClock, HandClock, settle


async def _wait_until(when: float, clock: SystemClock) -> None:
    async with clock.timeout(None) as bound:
        bound.reschedule(when)
        await asyncio.Event().wait()


async def test_a_timeout_of_the_machines_clock_can_be_moved_to_now() -> None:
    clock = SystemClock()
    with pytest.raises(TimeoutError):
        await _wait_until(clock.monotonic(), clock)


async def test_a_clock_set_by_hand_ends_what_has_waited_for_too_long() -> None:
    clock = HandClock()
    ended: list[str] = []

    async def wait() -> None:
        try:
            async with clock.timeout(60):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append("timeout")

    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        await settle()
        await clock.advance(59)
        assert ended == []
        await clock.advance(1)
        assert ended == ["timeout"]


async def test_what_is_done_in_time_is_left_alone_by_its_timeout() -> None:
    clock = FakeClock()
    async with clock.timeout(10):
        await clock.sleep(9)
    await clock.sleep(9)
    assert clock.timeouts == []
