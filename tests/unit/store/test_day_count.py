"""How many today, on the store's own calendar."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from syncd.store.inbox_log import InboxLog
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import a_journal, execute, opened, outcome, write_rows
from tests.unit.store.test_inbox_log import price

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _in_vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One hour ahead of UTC in November: the beginning is at 11:00 there, and the next day 13 hours later."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def test_rows_sent_today_are_counted_over_restarts_and_from_local_midnight_anew(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        ids = write_rows(tmp_path / "store.db", *(("Receipt", number, 3) for number in range(3)))
        for hours, expected in ((0, 1), (12.9, 2), (0.2, 1)):
            clock.pass_by(hours * 3600)
            journal = a_journal(files, clock)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(journal.run())
                await journal.record([outcome(tmp_path / "store.db", ids.pop())])
                assert journal.sent_today.count == expected
                task.cancel()
        clock.pass_by(86_400)
        assert journal.sent_today.count == 0
    assert execute(tmp_path / "store.db.syncd", "SELECT * FROM total ORDER BY name") == [("sent", 3), ("sent 2026-11-24", 1)]


def is_written(path: Path, expected: int) -> bool:
    return execute(path, "SELECT value FROM total WHERE name GLOB 'applied *'") == [(expected,)]


async def test_updates_applied_today_and_the_last_of_each_kind_are_known_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path) as files:
        for expected in (1, 2):
            log = InboxLog(files.journal, clock)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(log.run())
                log.add(price(1), "live")
                assert log.applied_today >= 1
                log.add(price(1), "live", stale=True)
                applied = clock.now()
                await until(partial(is_written, tmp_path / "store.db.syncd", expected), "it is written")
                task.cancel()
        log = InboxLog(files.journal, clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(log.run())
            await until(lambda: log.last_applied, "it is read")
            task.cancel()
        assert log.last_applied == {"Price": applied}
        assert log.applied_today == 2
