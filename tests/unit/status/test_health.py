from __future__ import annotations

import ast
from pathlib import Path

import pytest

import syncd.status.health
import syncd.status.reader
from syncd.status.health import assess, findings
from syncd.status.next_steps import NEXT_STEPS
from syncd.status.report import DeferredRow, DeferredRows, Report
from syncd.store.pause import Pause
from tests.support.clock import BEGINNING


@pytest.fixture
def report() -> Report:
    """Of a daemon that is online and has nothing to complain of."""
    report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
    report.state = "online"
    return report


def test_healthy_has_no_reasons(report: Report) -> None:
    assert assess(report) == ("healthy", [])


def test_offline_is_a_warning_at_most(report: Report) -> None:
    report.state = "offline"
    report.connection.disconnected_at = BEGINNING
    report.outbox.pending[3] = 12_345
    assert assess(report) == (
        "warning",
        ["no connection to HQ since 2026-11-23T10:00:00.000Z; it is tried again and again; 12,345 rows wait here until then"],
    )


@pytest.mark.parametrize("state", ["starting", "connecting", "reconnecting", "syncing", "stopping", "stopped"])
def test_what_passes_is_no_reason_to_worry(report: Report, state: str) -> None:
    report.state = state  # type: ignore[assignment]
    report.outbox.pending[3] = 1_000_000
    assert assess(report) == ("healthy", [])


def test_rows_that_failed_are_a_warning_and_say_what_to_do(report: Report) -> None:
    report.outbox.failed = 1
    health, (reason,) = assess(report)
    assert health == "warning"
    assert reason.startswith("1 row has failed for good")
    assert findings(report)[0].next_step.startswith("`syncd outbox list --status failed` has HQ's words")


def test_quarantined_updates_are_a_warning(report: Report) -> None:
    report.inbound.quarantined = 2
    health, (reason,) = assess(report)
    assert health == "warning"
    assert reason.startswith("2 updates from HQ could not be applied")


def test_a_refused_reload_is_a_warning(report: Report) -> None:
    report.configuration_error = "hub.url: required"
    assert assess(report)[0] == "warning"


def test_a_rejected_token_is_degraded(report: Report) -> None:
    report.connection.auth_rejected = True
    health, (reason,) = assess(report)
    assert health == "degraded"
    assert "hub.access_token_file" in reason


def test_a_hub_that_accepts_nothing_is_degraded_and_its_words_stand_for_all_its_errors(report: Report) -> None:
    report.outbox.pending[3] = 1
    report.outbox.throws_for_everything = True
    report.outbox.accepts_nothing = "HQ has accepted no row since 10:00: first words: closed for stocktaking"
    assert assess(report) == ("degraded", ["HQ has accepted no row since 10:00: first words: closed for stocktaking"])


def test_a_hub_that_takes_neither_batches_nor_items_is_degraded(report: Report) -> None:
    report.outbox.pending[3] = 1
    report.outbox.missing_methods = {"SendSyncBatch", "Heartbeat"}
    assert assess(report)[0] == "healthy"
    report.outbox.missing_methods.add("SendSyncItem")
    assert assess(report)[0] == "degraded"


def test_what_keeps_rows_from_being_sent_is_no_trouble_once_none_waits(report: Report) -> None:
    report.outbox.pending[3] = 1
    report.outbox.throws_for_everything, report.outbox.undecided = True, ("it answers 7", BEGINNING)
    report.outbox.missing_methods = {"SendSyncBatch", "SendSyncItem"}
    assert assess(report)[0] == "degraded"
    report.outbox.pending[3] = 0
    assert assess(report) == ("healthy", [])


def test_a_hub_without_catch_up_is_a_warning(report: Report) -> None:
    report.inbound.missing_methods = {"RequestBatchSync"}
    assert assess(report)[0] == "warning"


def test_a_database_that_cannot_be_used_is_critical(report: Report) -> None:
    report.database.error = "database or disk is full"
    assert assess(report) == ("critical", ["the database cannot be used: database or disk is full"])


def test_a_lock_that_another_process_holds_is_a_warning_that_names_it_and_critical_after_a_minute(report: Report) -> None:
    database = report.database
    database.write_lock_file, database.write_lock_holder, database.write_lock_held_seconds = "/data/store.db", "till (pid 12)", 5.4
    assert assess(report) == ("warning", ["/data/store.db: another process has held the write lock for 5 s: till (pid 12)"])
    database.write_lock_holder, database.write_lock_held_seconds = None, 60.0
    assert assess(report) == ("critical", ["/data/store.db: another process has held the write lock for 60 s"])


def test_a_log_that_a_reader_keeps_from_beginning_anew_is_a_warning_with_its_size(report: Report) -> None:
    report.database.wal_file, report.database.wal_bytes, report.database.wal_readers = "/data/store.db", 67 * 2**20, ["report (pid 5)"]
    assert assess(report)[0] == "healthy"
    report.database.wal_large_since = BEGINNING
    health, (reason,) = assess(report)
    assert health == "warning"
    assert "/data/store.db has grown to 67 MiB since 2026-11-23T10:00:00.000Z" in reason
    assert "report (pid 5)" in reason


def test_a_stalled_loop_is_critical(report: Report) -> None:
    report.stalled_loops = ["uplink"]
    assert assess(report) == ("critical", ["the uplink loop is stalled: it makes no progress"])


def test_the_worst_decides_and_comes_first(report: Report) -> None:
    report.outbox.failed = 3
    report.connection.auth_rejected = True
    report.database.error = "disk full"
    report.state = "offline"
    health, reasons = assess(report)
    assert health == "critical"
    assert [reason.split()[0] for reason in reasons] == ["the", "HQ", "no", "3"]


def reports_of_every_trouble() -> list[Report]:
    """Of daemons that have everything to complain of, between them."""
    reports = []
    for number, kind in enumerate(["database_full", "database_not_writable", "database_damaged", "database_unusable"]):
        report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
        report.state, report.stalled_loops, report.configuration_error = "offline", ["uplink"], "hub.url: required"
        report.connection.auth_rejected = report.connection.is_shedding = True
        database, outbox, inbound = report.database, report.outbox, report.inbound
        database.error, database.error_code = "it broke", kind
        database.write_lock_file, database.write_lock_held_seconds, database.wal_large_since = "/data/store.db", 5.0, BEGINNING
        outbox.pending[3], outbox.failed, outbox.ids_used_up = 1, 1, "no id is left"
        outbox.deferred = DeferredRows(1, [DeferredRow("Receipt", 8, "c-2", BEGINNING, BEGINNING, "HQ did not answer")])
        outbox.paused = Pause(BEGINNING, BEGINNING, "anna")
        outbox.accepts_nothing = "closed" if number == 0 else None
        outbox.throws_for_everything = number == 1
        outbox.undecided = ("it answers 7", BEGINNING) if number == 2 else None
        outbox.missing_methods = {"SendSyncBatch", "SendSyncItem"} if number == 3 else set()
        inbound.catch_up_error, inbound.missing_methods, inbound.quarantined = "the catch-up failed: no", {"RequestBatchSync"}, 2
        inbound.acks_dropped_reason, inbound.unreadable_reason = "refused", "1 message could not be read"
        reports.append(report)
    return reports


def test_every_reason_has_its_next_step_and_no_step_is_without_a_reason() -> None:
    ours = {finding.code for report in reports_of_every_trouble() for finding in findings(report)}
    source = ast.parse(Path(syncd.status.reader.__file__).read_text())
    readers = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant)} & NEXT_STEPS.keys()
    assert ours | readers == NEXT_STEPS.keys()
    health = ast.parse(Path(syncd.status.health.__file__).read_text())
    given = [node.value for node in ast.walk(health) if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)]
    codes = {part.value for value in given for part in value.elts[1:2] if isinstance(part, ast.Constant)}
    assert codes <= ours  # a new reason belongs into reports_of_every_trouble
    assert len(codes) > 15


def test_a_next_step_is_short_enough_to_be_read_on_the_telephone() -> None:
    assert {code for code, step in NEXT_STEPS.items() if len(step) > 140} == set()
