from __future__ import annotations

import asyncio
import json
import os
import resource
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import structlog
from structlog.testing import capture_logs

from syncd.errors import StorageError
from syncd.status.file import StatusWriter, write_status
from syncd.status.progress import Progress
from syncd.status.report import DeferredRow, DeferredRows, HubError, OutboxError, Report, SyncCompletion, SyncProgress
from syncd.status.snapshot import snapshot
from tests.support.clock import BEGINNING, HandClock, settle
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("clean_environment")

SCHEMA = json.loads((Path(__file__).parents[3] / "config" / "status.schema.json").read_text(encoding="utf-8"))


def new_report() -> Report:
    return Report(store_id=17, hub_url="https://hq.example.com/hubs/sync?key=s3cr3t", started_at=BEGINNING)


def full_report() -> Report:
    """A report in which everything is set."""
    report = new_report()
    report.state = "syncing"
    connection = report.connection
    connection.state = "connected"
    connection.connection_id = "abc"
    connection.last_connected_at = connection.disconnected_at = connection.next_attempt_at = BEGINNING
    connection.last_error = "401 for Bearer s3cr3t " + "x" * 1000
    report.progress = Progress(1000, 250, 1, 83_700.4, "Receipt 7")
    report.outbox.pending = {1: 1, 2: 2, 3: 3, 4: 4}
    report.outbox.oldest_pending_at = report.outbox.last_sent_at = BEGINNING
    report.outbox.failed = 1
    report.outbox.recent_errors.append(OutboxError(BEGINNING, "Receipt", "R-7", "c-1", 'refused: {"payload": "s3cr3t"}', final=True))
    report.outbox.deferred = DeferredRows(1, [DeferredRow("Receipt", 8, "c-2", BEGINNING, BEGINNING, "HQ did not answer")])
    report.outbox.undecided = ("it takes rows and answers none", BEGINNING)
    report.inbound.applied_total["Price"] = 5
    report.inbound.cursor = "opaque"
    report.inbound.last_applied_at = BEGINNING
    report.heartbeat.last_sent_at = report.heartbeat.last_response_at = BEGINNING
    report.heartbeat.round_trip_ms = 12.3456
    report.database.write_lock_held_since = report.database.wal_large_since = BEGINNING
    report.database.write_lock_holder = "till (pid 12)"
    report.last_sync_complete = SyncCompletion("17", 3, 2, 1, BEGINNING)
    report.last_sync_progress = SyncProgress(BEGINNING, 3, 2, 1, 66.6, "Price 1", is_complete=False)
    report.last_hub_error = HubError(BEGINNING, "closed")
    return report


@pytest.mark.parametrize("make", [new_report, full_report])
def test_a_snapshot_keeps_the_published_schema(tmp_path: Path, make: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = snapshot(make(), make_settings(tmp_path), BEGINNING)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(document)))


def test_the_schema_is_strict_at_every_level() -> None:
    def objects(node: Any) -> list[dict[str, Any]]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        return [found for child in inner for found in objects(child)] + (
            [node] if isinstance(node, dict) and node.get("type") == "object" else []
        )

    assert len(objects(SCHEMA)) > 10
    for node in objects(SCHEMA):
        by_kind = [{"$ref": "#/$defs/count"}, {"$ref": "#/$defs/momentOrNull"}]  # and a chain may have its own
        assert node["additionalProperties"] in [False, *by_kind]
        assert set(node["required"]) == set(node["properties"])


def test_a_snapshot_says_what_the_report_knows(tmp_path: Path) -> None:
    document = snapshot(full_report(), make_settings(tmp_path), BEGINNING + timedelta(minutes=1))
    assert document["pid"] == os.getpid()
    assert document["writtenAt"] == "2026-11-23T10:01:00.000Z"
    assert document["outbox"]["pending"] == {"critical": 1, "high": 2, "normal": 3, "low": 4, "total": 10}
    assert document["inbound"]["appliedTotal"] == {"product": 0, "price": 5, "inventory": 0, "transaction": 0}
    assert document["heartbeat"]["roundTripMs"] == 12.3
    assert document["progress"] == {
        "totalItems": 1000,
        "completedItems": 250,
        "failedItems": 1,
        "progressPercent": 25.1,
        "estimatedTimeRemaining": "23:15:00",
        "currentItem": "Receipt 7",
        "isComplete": False,
    }


def test_no_secret_and_no_long_text_gets_in(tmp_path: Path) -> None:
    document = snapshot(full_report(), make_settings(tmp_path), BEGINNING)
    assert "s3cr3t" not in json.dumps(document)
    assert len(document["connection"]["lastError"]) == 500


def test_the_document_stays_small_however_long_the_texts_of_others_are(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    report = full_report()
    report.connection.connection_id = report.connection.last_error = report.inbound.cursor = report.configuration_error = long
    report.progress = Progress(1, 0, 0, None, long)
    report.outbox.recent_errors.extend([OutboxError(BEGINNING, long, long, long, long, final=True)] * 20)
    report.outbox.recent_errors.append(OutboxError(BEGINNING, "Receipt", 10**9_999, "c-1", "refused", final=True))
    report.last_sync_complete = SyncCompletion(10**9_999, 10**9_999, 1, 1, BEGINNING)
    document = snapshot(report, make_settings(tmp_path), BEGINNING)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    write_status(tmp_path / "status.json", document)
    assert (tmp_path / "status.json").stat().st_size < 20_000


@pytest.mark.parametrize(("interval", "life"), [(1, 30), (10, 30), (30, 90), (600, 1800)])
def test_the_file_lives_for_three_heartbeats_and_half_a_minute_at_least(tmp_path: Path, interval: int, life: int) -> None:
    settings = make_settings(tmp_path, heartbeat={"interval_seconds": interval})
    assert snapshot(new_report(), settings, BEGINNING)["expiresAt"] == (
        (BEGINNING + timedelta(seconds=life)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    )


def test_the_file_is_replaced_whole_and_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "run" / "syncd" / "status.json"
    before = os.umask(0o077)
    try:
        write_status(path, {"a": 1})
        inode = path.stat().st_ino
        write_status(path, {"a": 2})
    finally:
        os.umask(before)
    assert json.loads(path.read_text()) == {"a": 2}
    assert path.stat().st_ino != inode
    assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["status.json"]


def test_what_orjson_refuses_is_written_all_the_same(tmp_path: Path) -> None:
    write_status(tmp_path / "status.json", {"cursor": "\ud800", "storeId": 2**70})
    assert json.loads((tmp_path / "status.json").read_text())["storeId"] == 2**70


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"status\.json cannot be written: "):
        write_status(tmp_path / "file" / "status.json", {})


def test_a_disk_that_takes_no_more_leaves_the_last_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_status(path, {"a": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="File too large"):
            write_status(path, {"a": "x" * 5000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".status.json.tmp").symlink_to(victim)
    write_status(tmp_path / "status.json", {})
    assert victim.read_text() == "precious"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["status.json", "victim"]


class Written:
    """A status writer at work on a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.report = new_report()
        self.path = folder / "status.json"
        settings = make_settings(folder, heartbeat={"interval_seconds": 30})
        self.writer = StatusWriter(self.report, settings, self.clock, structlog.get_logger())

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.path.read_text())
        return document

    @property
    def at(self) -> str:
        return str(self.document()["writtenAt"])[14:23]


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[Written]:
    """Runs the writer, which has written once."""
    written = Written(tmp_path)
    task = asyncio.create_task(written.writer.run())
    await settle()
    yield written
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_change_is_written_but_not_more_than_four_times_a_second(written: Written) -> None:
    assert written.at == "00:00.000"
    for _ in range(10):
        written.report.touch()
        await written.clock.advance(0.02)
    assert written.at == "00:00.000"
    await written.clock.advance(0.05)
    assert written.at == "00:00.250"
    await written.clock.advance(5)
    assert written.at == "00:00.250"
    written.report.state = "online"
    written.report.touch()
    await settle()
    assert written.at == "00:05.250"
    assert written.document()["state"] == "online"


async def test_without_a_change_it_is_written_at_every_heartbeat(written: Written) -> None:
    await written.clock.advance(0.25)
    await written.clock.advance(29.5)
    assert written.at == "00:00.000"
    await written.clock.advance(0.5)
    assert written.at == "00:30.250"


async def test_a_failure_is_logged_once_and_writing_goes_on(written: Written) -> None:
    written.path.unlink()
    written.path.mkdir()
    (written.path / "in-the-way").touch()
    with capture_logs() as lines:
        written.writer.write()
        written.writer.write()
        (written.path / "in-the-way").unlink()
        written.path.rmdir()
        written.writer.write()
        written.writer.write()
    assert [line["event"] for line in lines] == ["status_file_not_written", "status_file_written_again"]
    assert written.document()["state"] == "starting"


async def test_the_report_is_brought_up_to_date_before_every_write(tmp_path: Path) -> None:
    report = new_report()

    def collect() -> None:
        report.outbox.failed += 1

    writer = StatusWriter(report, make_settings(tmp_path), HandClock(), structlog.get_logger(), collect)
    writer.write()
    writer.write()
    assert json.loads((tmp_path / "status.json").read_text())["outbox"]["failed"] == 2
