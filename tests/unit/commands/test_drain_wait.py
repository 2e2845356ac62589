"""How long `syncd drain` waits, and what it finds while the till sells; the daemon's part is done by the test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from syncd.clock import iso_ms
from syncd.commands.drain_wait import ABSENT_SECONDS, QUIET_SECONDS, DrainWait
from syncd.status.file import write_status
from syncd.status.report import DeferredRow, DeferredRows, Report
from syncd.status.snapshot import snapshot
from syncd.store.admin import OutboxAdmin
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.support.storefiles import execute, opened, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncd.commands.drain_wait import Drained

pytestmark = pytest.mark.usefixtures("clean_environment")


class Rig:
    """A store whose time passes only where the command sleeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store.db"
        self.seconds = 0.0
        self.said: list[str] = []
        self.each_time: Callable[[], object] = lambda: None

    def sell(self, *, sent: bool = True) -> None:
        for row_id in write_rows(self.path, ("Receipt", 1, 3)):
            if sent:
                execute(self.path, "UPDATE sync_outbox SET status = 'sent' WHERE id = ?", row_id)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.each_time()

    def drain(self, timeout: float) -> Drained:
        settings = make_settings(self.folder)
        with OutboxAdmin(settings.database) as admin:
            return DrainWait(admin, settings, self.said.append, sleep=self.sleep, monotonic=lambda: self.seconds).run(timeout)


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    async with opened(tmp_path):
        return Rig(tmp_path)


def test_a_till_that_sells_all_the_time_gets_no_certificate_and_is_told_up_to_which_row_hq_has_all(rig: Rig) -> None:
    rig.sell()
    rig.each_time = rig.sell
    drained = rig.drain(10)
    assert (drained.certified, drained.complete, drained.selling) == (False, False, True)
    assert rig.seconds >= 10
    assert drained.sold == 20
    assert drained.at_hq is not None
    assert (drained.at_hq.rows, drained.at_hq.last_sequence) == (21, 21)


def test_what_was_sold_meanwhile_is_counted_and_covered(rig: Rig) -> None:

    def sell_at_first() -> None:
        if rig.seconds <= 1:
            rig.sell()

    rig.each_time = sell_at_first
    drained = rig.drain(60)
    assert (drained.certified, drained.sold) == (True, 2)
    assert drained.at_hq is not None
    assert drained.at_hq.last_sequence == 2
    assert rig.seconds == pytest.approx(1 + QUIET_SECONDS)


def test_nobody_is_waited_for_who_does_not_come(rig: Rig) -> None:
    rig.sell(sent=False)
    drained = rig.drain(3600)
    assert (drained.at_hq, drained.pending_total) == (None, 1)
    assert rig.seconds == pytest.approx(ABSENT_SECONDS)
    assert any("syncd is not running" in words for words in rig.said)


def test_a_failed_row_needs_a_person_at_once(rig: Rig) -> None:
    rig.sell()
    execute(rig.path, "UPDATE sync_outbox SET status = 'failed'")
    drained = rig.drain(3600)
    assert (drained.at_hq, drained.failed_total, rig.seconds) == (None, 1, 0)


def test_a_row_on_which_hq_says_nothing_is_named_with_the_reason_and_what_is_told_row_by_row_is_not_told_twice(rig: Rig) -> None:
    rig.sell(sent=False)
    execute(
        rig.path, "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, status) VALUES ('R', 2, 'Create', '', 'failed')"
    )
    settings, now = make_settings(rig.folder), datetime.now(UTC)
    report = Report(store_id=17, hub_url=settings.hub.url, started_at=now)
    report.outbox.pending[3], report.outbox.failed = 1, 1
    report.outbox.deferred = DeferredRows(1, [DeferredRow("Receipt", 1, "c", now, now, "HQ never answers")])
    report.configuration_error = "hub.ulr: no such key"
    write_status(settings.status.path, snapshot(report, settings, now))
    drained = rig.drain(5)
    assert (drained.certified, drained.pending_total, drained.failed_total) == (False, 1, 1)
    (reason, deferred) = drained.hints
    assert "hub.ulr: no such key" in reason
    assert deferred == f"Receipt 1 is deferred since {iso_ms(now)}: HQ never answers"
