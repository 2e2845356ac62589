from __future__ import annotations

import pytest

from syncd.status.health import assess
from syncd.status.report import Report
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
    assert reason.startswith("1 row has failed for good: see `syncd outbox list")


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
