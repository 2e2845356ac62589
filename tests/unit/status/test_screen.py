"""The status on one screen."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncd.status.display import Display, paint, plain, screen
from syncd.status.progress import Progress
from syncd.status.reader import DaemonHealth, read_health
from syncd.status.report import HubError, OutboxError, Report
from syncd.status.screen import age
from syncd.status.snapshot import snapshot
from tests.support.clock import BEGINNING
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.unit.status.test_health import reports_of_every_trouble

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("clean_environment")

SCREEN = Display(80, 24)
NOW = BEGINNING + timedelta(minutes=2)


def told(folder: Path, report: Report) -> DaemonHealth:
    document: dict[str, Any] = snapshot(report, make_settings(folder), NOW)
    return DaemonHealth(document["health"], tuple(document["reasons"]), document)


def text(daemon: DaemonHealth, display: Display = SCREEN) -> str:
    return "\n".join(paint(line, display) for line in screen(daemon, display, NOW))


def well() -> Report:
    report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
    report.state, report.connection.state = "online", "connected"
    report.connection.last_connected_at = report.inbound.caught_up_at = BEGINNING
    report.inbound.caught_up, report.outbox.sent_today, report.inbound.applied_today = True, 1204, 35
    report.inbound.last_applied = {"Price": BEGINNING - timedelta(hours=5)}
    return report


def test_a_healthy_store_has_nothing_to_do_and_tells_how_old_its_data_is(tmp_path: Path) -> None:
    report = well()
    report.outbox.pending[1], report.outbox.oldest_pending_at = 3, BEGINNING
    shown = text(told(tmp_path, report))
    assert shown.startswith("Store 17. All right (healthy): nothing to do.")
    assert "3 rows wait (3 critical); the oldest was written 2 min ago" in shown
    assert "1,204 sent today" in shown
    assert "all that HQ had 2 min ago is here; the last price came 5 h 2 min ago" in shown
    assert "35 updates applied today" in shown


@pytest.mark.parametrize("state", ["connecting", "reconnecting"])
def test_a_line_that_is_down_for_a_moment_is_no_trouble_and_is_not_kept_quiet(tmp_path: Path, state: Any) -> None:
    report = well()
    report.state = report.connection.state = state
    assert text(told(tmp_path, report)).startswith("Store 17. All right so far (healthy): syncd is connecting to HQ.")
    report.connection.reconnect_attempts = 1
    assert text(told(tmp_path, report)).startswith("Store 17. All right so far (healthy), with no line to HQ: syncd keeps trying")


def test_what_hq_refused_once_is_not_told_any_more_when_nothing_waits(tmp_path: Path) -> None:
    report = well()
    report.outbox.recent_errors.append(OutboxError(BEGINNING, "Receipt", "R-7", "c-1", "no such product", final=False))
    assert "no such product" not in text(told(tmp_path, report))
    report.outbox.pending[1] = 1
    assert "refused  Receipt R-7 2 min ago: no such product" in text(told(tmp_path, report))


def test_a_clock_that_was_set_back_is_what_it_says_first(tmp_path: Path) -> None:
    document = snapshot(well(), make_settings(tmp_path), NOW)
    (tmp_path / "status.json").write_text(json.dumps(document))
    shown = text(read_health(tmp_path / "status.json", NOW - timedelta(hours=2)))
    assert shown.startswith("Store 17. This PC's clock is wrong, or was until now (stale):")
    assert "-> Set the PC's clock" in shown


def test_a_daemon_that_was_stopped_says_nothing_of_what_was_wrong_with_the_line_before(tmp_path: Path) -> None:
    report = well()
    report.connection.state, report.connection.last_error = "disconnected", "HQ does not accept the access token"
    assert "access token" not in text(told(tmp_path, report))


@pytest.mark.parametrize("number", range(4))
def test_every_trouble_at_once_fits_on_one_screen_worst_first_and_what_is_left_out_is_said(tmp_path: Path, number: int) -> None:
    report = reports_of_every_trouble()[number]
    report.last_hub_error = HubError(BEGINNING, "closed for stocktaking, " * 20)
    report.outbox.recent_errors.append(OutboxError(BEGINNING, "Receipt", "R-7", "c-1", "no such product", final=True))
    lines = text(told(tmp_path, report)).splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("  1  the database cannot be used")
    assert any(line.startswith("  ->") for line in lines)
    assert any("more: syncd status --json" in line for line in lines)


def test_into_a_pipe_every_reason_goes_whole(tmp_path: Path) -> None:
    daemon = told(tmp_path, reports_of_every_trouble()[0])
    shown = text(daemon, Display())
    assert [reason for reason in daemon.reasons if plain(reason) not in shown] == []
    assert shown.count("  ->") == len(daemon.reasons)


def test_nobody_at_work_has_a_next_step_too(tmp_path: Path) -> None:
    assert "  -> Start it: systemctl start syncd" in text(read_health(tmp_path / "gone.json"), Display())


def test_an_older_daemons_file_is_shown_without_steps(tmp_path: Path) -> None:
    report = well()
    report.outbox.failed = 3
    daemon = told(tmp_path, report)
    assert daemon.document is not None
    for section, names in {"outbox": ["sentToday"], "inbound": ["appliedToday", "lastApplied", "caughtUpAt"]}.items():
        for name in names:
            del daemon.document[section][name]
    del daemon.document["findings"]
    shown = text(daemon)
    assert "3 rows have failed" in shown
    assert "caught up" in shown
    assert "->" not in shown


def test_colours_are_only_where_a_terminal_shows_them_and_others_words_give_it_no_orders(tmp_path: Path) -> None:
    report = well()
    report.outbox.failed = 1
    report.last_hub_error = HubError(BEGINNING, "closed\x1b[2J\nfor today\u202e")
    daemon = told(tmp_path, report)
    coloured = text(daemon, Display(80, 24, coloured=True))
    assert "\x1b[33mStore 17. It works" in coloured
    assert "\x1b[2J" not in coloured
    assert "\x1b" not in text(daemon)
    assert "closed [2J for today" in text(daemon)


def test_a_backlog_has_no_end_in_sight_while_the_line_is_down(tmp_path: Path) -> None:
    report = well()
    report.outbox.pending[3], report.progress = 1, Progress(4, 3, 0, 60.0, "Receipt 7")
    shown = text(told(tmp_path, report))
    assert "1 row waits (1 normal)" in shown
    assert "75.0 % sent, done in 00:01:00" in shown
    report.connection.state = "reconnecting"
    assert "75.0 % sent, and goes on with the line" in text(told(tmp_path, report))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59.4, "59 s"), (60, "1 min"), (7499, "2 h 4 min"), (86_400, "1 day 0 h"), (200_000, "2 days 7 h")],
)
def test_an_age_is_told_in_its_largest_units(seconds: float, words: str) -> None:
    assert age(seconds) == words
