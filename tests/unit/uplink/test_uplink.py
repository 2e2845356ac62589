"""When the sending loop wakes, on real files and with a clock of the test's."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog

from syncd.status.report import OutboxStatus
from syncd.uplink.loader import LOOK_SECONDS
from syncd.uplink.retry import PROBE_SECONDS
from syncd.uplink.uplink import Uplink
from tests.support.clock import HandClock, settle
from tests.support.settings import make_settings
from tests.support.store import until
from tests.support.storefiles import a_journal, a_reader, execute, opened, write_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncd.hub.supervisor import Hub

A_READING = 0.001  # seconds that pass with every look at the clock


class TickingClock(HandClock):
    """Time passes while code runs: a little with every look."""

    def monotonic(self) -> float:
        self.seconds += A_READING
        return self.seconds


class AcceptingHub:
    """A hub, and its one session, that takes every row.

    Attributes:
        messages: how many were sent to it.
    """

    def __init__(self) -> None:
        self.loss = None
        self.useful = False
        self.messages = 0

    async def session(self) -> AcceptingHub:
        return self

    def lacks(self, _method: str) -> bool:
        return False

    def encoded_size(self, _method: str, argument_bytes: int) -> int:
        return argument_bytes + 100

    async def invoke_encoded(self, _method: str, _argument: bytes, *, timeout_seconds: float) -> Any:
        assert timeout_seconds > 0
        self.messages += 1


class Rig:
    """An uplink with a store of one row, that has sent nothing yet."""

    def __init__(self, uplink: Uplink, hub: AcceptingHub, clock: TickingClock) -> None:
        self.uplink = uplink
        self.hub = hub
        self.clock = clock

    async def wake(self) -> None:
        """Have the loop look whether there is anything to send."""
        self.uplink.pause(False)
        await settle()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    clock = TickingClock()
    async with opened(tmp_path, clock) as files:
        write_rows(tmp_path / "store.db", ("Receipt", 1, 1))
        journal = a_journal(files, clock)
        hub = AcceptingHub()
        settings = make_settings(tmp_path)
        uplink = Uplink(
            hub=cast("Hub", hub), reader=a_reader(files, clock), journal=journal, settings=settings, clock=clock, random=random.Random(1),
            log=structlog.get_logger(), status=OutboxStatus(), on_trouble=lambda _: None, on_change=lambda: None,
        )  # fmt: skip
        uplink.pause(True)
        tasks = [asyncio.create_task(journal.run()), asyncio.create_task(uplink.run())]
        await until(lambda: uplink._queue.next_load(0.0) is None and uplink._queue.oldest_in_memory(), "the row is loaded")
        await settle()
        try:
            yield Rig(uplink, hub, clock)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("early", [step * A_READING / 2 for step in range(12)])
async def test_a_wait_that_ends_while_the_loop_looks_is_not_slept_over(rig: Rig, early: float) -> None:
    breaker = rig.uplink._breaker
    breaker.answered(0, 10_000, "refused")
    assert breaker.open
    assert breaker.not_before == pytest.approx(rig.clock.seconds + PROBE_SECONDS[0], abs=0.1)
    rig.clock.seconds = breaker.not_before - early  # a timer of the event loop may end a millisecond early
    await rig.wake()
    await rig.clock.advance(0.1)
    await until(lambda: rig.hub.messages == 1, "the row is sent", 2)


async def test_a_row_that_is_made_more_urgent_than_what_was_read_goes_soon_after_the_others(rig: Rig, tmp_path: Path) -> None:
    path, status = tmp_path / "store.db", rig.uplink._status
    *_, last, _ = write_rows(path, *[("Receipt", number, 4) for number in range(2, 3000)], ("Receipt", 3000, 1))
    await rig.uplink.changed()
    await settle()
    await until(lambda: rig.uplink._queue.next_load(0.0) is None, "the queue is full")
    execute(path, "UPDATE sync_outbox SET priority = 1 WHERE id = ?", last)
    await rig.uplink.changed()
    await rig.wake()
    await until(lambda: status.pending_total == 1, "all others are sent")
    execute(path, "UPDATE sync_outbox SET status = 'sent' WHERE id <> ?", last)  # as the marks do
    execute(tmp_path / "store.db.syncd", "DELETE FROM outcome")
    for _ in range(2):
        await rig.clock.advance(LOOK_SECONDS)
    await until(lambda: status.pending_total == 0, "it is sent", 5)
