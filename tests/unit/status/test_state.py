from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from syncd.status.report import Report
from syncd.status.state import OverallState, sentence
from tests.support.clock import BEGINNING

BATCH_ROWS = 50


class Watched:
    """A report whose state is kept in step, and the lines that this made: `(level, state)`."""

    def __init__(self) -> None:
        self.report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
        self.report.connection.state = "connected"
        self.state = OverallState(self.report, BATCH_ROWS, structlog.get_logger())

    def pending(self, *counts: int) -> list[tuple[str, str]]:
        with capture_logs() as lines:
            for count in counts:
                self.report.outbox.pending[3] = count
                self.state.update()
        return [(line["log_level"], line["state"]) for line in lines]


@pytest.fixture
def online() -> Watched:
    """Connected, with nothing to send, and it was logged."""
    watched = Watched()
    assert watched.pending(0) == [("info", "online")]
    return watched


def test_a_sale_is_a_line_at_debug_only(online: Watched) -> None:
    assert online.pending(1, 1, 0) == [("debug", "syncing"), ("debug", "online")]
    assert online.report.state == "online"


def test_the_beginning_and_the_end_of_a_backlog_are_lines_at_info(online: Watched) -> None:
    assert online.pending(BATCH_ROWS + 1, 10, 0) == [("info", "syncing"), ("info", "online")]
    assert online.pending(1, BATCH_ROWS + 1, 0) == [("debug", "syncing"), ("info", "syncing"), ("info", "online")]


def test_a_connection_that_comes_and_goes_is_logged_at_info(online: Watched) -> None:
    online.report.connection.state = "reconnecting"
    assert online.pending(1, 1) == [("info", "reconnecting")]
    online.report.connection.state = "connected"
    assert online.pending(1, 0) == [("info", "syncing"), ("info", "online")]


def test_a_catch_up_is_work_as_rows_are(online: Watched) -> None:
    online.report.inbound.catching_up = True
    assert online.pending(0) == [("debug", "syncing")]


@pytest.mark.parametrize(
    ("connection", "state"),
    [("disconnected", "starting"), ("connecting", "connecting"), ("reconnecting", "reconnecting"), ("offline", "offline")],
)
def test_without_a_connection_the_state_is_the_connections(online: Watched, connection: str, state: str) -> None:
    online.report.connection.state = connection  # type: ignore[assignment]
    online.pending(5)
    assert online.report.state == state


@pytest.mark.parametrize("last", ["stopping", "stopped"])
def test_who_leaves_is_neither_online_nor_syncing(online: Watched, last: str) -> None:
    online.report.state = last  # type: ignore[assignment]
    assert online.pending(5, 0) == [("info", last)]
    assert online.report.state == last


def test_the_service_manager_hears_what_waits_and_that_a_configuration_was_refused(online: Watched) -> None:
    online.pending(5)
    assert sentence(online.report) == "syncing; 5 rows wait for HQ, 0 failed"
    online.report.configuration_error = "hub.url: required"
    assert sentence(online.report).endswith("the new configuration was refused, the old one is in use: hub.url: required")
