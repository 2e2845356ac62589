from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import capture_logs

from syncd.status.report import Report
from syncd.store.pause import pause_file, remove_pause, write_pause
from syncd.uplink.pausing import Pausing
from tests.support.clock import BEGINNING, FakeClock

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = timedelta(minutes=1)


class Rig:
    """A daemon's view of a pause, its clock in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "store.db.syncd"
        self.file = pause_file(self.state)
        self.clock = FakeClock()
        self.told: list[bool] = []
        self.start()

    def start(self) -> None:
        self.report = Report(store_id=1, hub_url="http://127.0.0.1:9/hub", started_at=BEGINNING)
        self.pausing = Pausing(self.state, self.report, self.told.append, self.clock, structlog.get_logger())

    def look(self) -> list[dict[str, Any]]:
        with capture_logs() as lines:
            self.pausing.look()
        return [{"event": line["event"], "reason": line.get("reason")} for line in lines]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_it_is_noticed_shown_and_over_when_somebody_says_so(rig: Rig) -> None:
    assert rig.look() == []
    assert rig.told == []
    pause = write_pause(rig.file, rig.clock.now(), MINUTE)
    assert rig.look() == [{"event": "sending_paused", "reason": None}]
    assert rig.report.outbox.paused == pause
    assert rig.look() == []
    remove_pause(rig.file)
    assert rig.look() == [{"event": "sending_resumed", "reason": "syncd resume"}]
    assert rig.report.outbox.paused is None
    assert rig.told == [True, False]


def test_it_holds_over_a_restart_and_ends_by_itself(rig: Rig) -> None:
    write_pause(rig.file, rig.clock.now(), MINUTE)
    rig.look()
    rig.clock.pass_by(59)
    rig.start()
    rig.look()
    assert rig.told == [True, True]
    rig.clock.pass_by(1)
    assert rig.look() == [{"event": "sending_resumed", "reason": "its time is up"}]
    assert not rig.file.exists()


def test_one_that_was_over_before_the_start_never_begins(rig: Rig) -> None:
    write_pause(rig.file, rig.clock.now() - 2 * MINUTE, MINUTE)
    assert rig.look() == []
    assert rig.told == []
    assert not rig.file.exists()


def test_a_clock_that_was_wrong_when_it_was_asked_for_makes_it_no_longer(rig: Rig) -> None:
    write_pause(rig.file, rig.clock.now() + timedelta(days=3650), MINUTE)
    rig.look()
    assert rig.told == [True]
    rig.clock.pass_by(60)
    rig.look()
    assert rig.told == [True, False]


def test_where_its_file_cannot_be_removed_it_is_over_all_the_same(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pause(rig.file, rig.clock.now(), MINUTE)
    rig.look()

    def refuse(_: object) -> bool:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    rig.clock.pass_by(60)
    for _ in range(3):
        rig.look()
    assert rig.told == [True, False]


def test_a_file_that_is_none_of_ours_is_told_once_and_sending_goes_on(rig: Rig) -> None:
    rig.file.write_text("what")
    assert [line["event"] for line in rig.look()] == ["pause_ignored"]
    assert rig.look() == []
    assert rig.told == []
