"""The metrics: their names, the file for node_exporter, and the push to an OTLP receiver."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
import stat
import subprocess
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import structlog
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from syncd.status import otlp
from syncd.status.file import StatusWriter
from syncd.status.metrics import metrics
from syncd.status.metrics_file import MetricsFile, exposition
from syncd.status.otlp import OtlpPush
from syncd.status.report import Report
from tests.support.certificates import Authority
from tests.support.clock import BEGINNING, HandClock
from tests.support.pages import commands_of
from tests.support.requirements import need
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.support.store import until
from tests.unit.status.test_file import full_report
from tests.unit.status.test_health import reports_of_every_trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("clean_environment")


def well() -> Report:
    report = Report(store_id='st\u00f6re\n"17"', hub_url="https://hq.example.com/hubs/sync?key=s3cr3t", started_at=BEGINNING)
    report.state, report.connection.state = "online", "connected"
    report.outbox.sent_total = 2**60
    report.inbound.applied_total["Price"], report.inbound.last_applied["Price"] = 5, BEGINNING
    return report


def samples(report: Report) -> dict[str, float]:
    """By name and labels, as Prometheus' own parser reads them."""
    text = exposition(metrics(report, "Graz", BEGINNING)).decode()
    return {
        f"{one.name}{sorted(one.labels.values()) or ''}": one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_every_number_is_there_by_its_name_and_unit() -> None:
    report = full_report()
    report.inbound.last_applied["Price"] = BEGINNING - timedelta(seconds=60)
    found = samples(report)
    assert found["syncd_outbox_pending_rows['critical']"] == 1
    assert found["syncd_outbox_pending_rows['low']"] == 4
    assert found["syncd_outbox_oldest_pending_timestamp_seconds"] == BEGINNING.timestamp()
    assert found["syncd_inbound_applied_updates_total['Price']"] == 5
    assert found["syncd_inbound_last_applied_timestamp_seconds['Price']"] == BEGINNING.timestamp() - 60
    assert found["syncd_heartbeat_round_trip_seconds"] == pytest.approx(0.0123, abs=0.001)
    assert found["syncd_state['syncing']"] == 1
    assert found["syncd_state['online']"] == 0
    assert found["syncd_finding['rows_failed']"] == 1
    assert found["syncd_finding['hub_offline']"] == 0


def test_names_keep_prometheus_conventions() -> None:
    for metric in metrics(full_report(), "", BEGINNING):
        assert re.fullmatch(r"syncd_[a-z_]+", metric.name)
        assert metric.is_counter == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|count)(_|$)", metric.name)


def test_every_reason_that_the_daemon_can_have_is_a_series_of_its_own() -> None:
    healthy = samples(well())
    for report in reports_of_every_trouble():
        found = samples(report)
        assert found.keys() & {name for name in healthy if "finding" in name} == {name for name in found if "finding" in name}
        assert sum(value for name, value in found.items() if "finding" in name) > 10


@pytest.mark.parametrize("report", [well(), full_report(), *reports_of_every_trouble()])
def test_promtool_finds_nothing_wrong_with_a_metrics_file(tmp_path: Path, report: Report) -> None:
    need("promtool", shutil.which("promtool") is not None, "there is no promtool (Debian: prometheus)")
    file = MetricsFile(tmp_path / "syncd.prom", 'Graz "Nord"\n', HandClock(), structlog.get_logger())
    file.write(report)
    done = subprocess.run(["promtool", "check", "metrics"], input=(tmp_path / "syncd.prom").read_bytes(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert b"s3cr3t" not in (tmp_path / "syncd.prom").read_bytes()


async def test_the_file_is_written_with_the_status_but_not_more_often_than_every_five_seconds_and_at_the_end(tmp_path: Path) -> None:
    path, clock, report = tmp_path / "syncd.prom", HandClock(), well()
    file = MetricsFile(path, "", clock, structlog.get_logger())
    writer = StatusWriter(report, make_settings(tmp_path), clock, structlog.get_logger(), also=file.write)
    writer.write()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    report.outbox.failed = 3
    await clock.advance(4.9)
    writer.write()
    assert b"syncd_outbox_failed_rows 0.0" in path.read_bytes()
    await clock.advance(0.2)
    writer.write()
    assert b"syncd_outbox_failed_rows 3.0" in path.read_bytes()
    report.state = "stopped"
    writer.write()
    assert b'syncd_state{state="stopped"} 1.0' in path.read_bytes()
    assert {name for name in os.listdir(tmp_path) if "prom" in name} == {"syncd.prom"}  # noqa: PTH208


async def test_no_link_is_followed_to_another_file_and_a_failure_is_logged_once(tmp_path: Path) -> None:
    folder, clock, report = tmp_path / "collector", HandClock(), well()
    file = MetricsFile(folder / "syncd.prom", "", clock, structlog.get_logger())
    with capture_logs() as lines:
        for _ in range(3):
            file.write(report)
            await clock.advance(5)
        folder.mkdir()
        (tmp_path / "precious").write_text("precious")
        for name in ("syncd.prom", ".syncd.prom.tmp"):
            (folder / name).symlink_to(tmp_path / "precious")
        for _ in range(2):
            file.write(report)
            await clock.advance(5)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("metrics_file_not_written", "error"),
        ("metrics_file_written_again", "info"),
    ]
    assert "No such file or directory" in lines[0]["error"]
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (folder / "syncd.prom").is_symlink()


def test_the_exporter_reads_the_file_by_the_link_that_the_page_makes(tmp_path: Path) -> None:
    [block] = commands_of("docs/operations.md")
    assert "syncd.prom" in block
    for name in ("run", "exporter"):
        (tmp_path / name).mkdir()
    here = block.replace("sudo ", "").replace("/run/syncd", f"{tmp_path}/run")
    here = here.replace("/var/lib/prometheus/node-exporter", f"{tmp_path}/exporter")
    subprocess.run(["sh", "-ec", here], check=True)
    file = MetricsFile(tmp_path / "run" / "syncd.prom", "", HandClock(), structlog.get_logger())
    report = well()
    file.write(report)
    report.state = "stopped"
    file.write(report)
    assert 'syncd_state{state="stopped"} 1.0' in (tmp_path / "exporter" / "syncd.prom").read_text(encoding="utf-8")


class Receiver:
    """An OTLP receiver on loopback.

    Attributes:
        status: what it answers.
        silent: set while it answers nothing.
    """

    def __init__(self) -> None:
        self.received: list[ExportMetricsServiceRequest] = []
        self.status = 200
        self.silent = asyncio.Event()
        self.over = asyncio.Event()
        self.asked = 0
        self.url = ""
        self.headers: dict[str, str] = {}
        self.answer_headers: dict[str, str] = {}

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.headers = dict(request.headers)
        body = await request.read()
        if self.silent.is_set():
            await self.over.wait()
        if self.status == 200:
            self.received.append(ExportMetricsServiceRequest.FromString(body))
        return web.Response(status=self.status, text="the receiver's words", headers=self.answer_headers)


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/v1/metrics", receiver.take)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    receiver.url = f"http{'s' if context else ''}://127.0.0.1:{runner.addresses[0][1]}/v1/metrics"
    yield receiver
    receiver.over.set()
    await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as receiver:
        yield receiver


async def test_a_receiver_gets_the_same_metrics_at_every_interval(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc")
    clock = HandClock()
    settings = make_settings(tmp_path, metrics={"otlp_endpoint": receiver.url})
    push = asyncio.create_task(OtlpPush(settings, well(), clock, structlog.get_logger()).run())
    await until(lambda: len(receiver.received) == 1 and clock.waiting, "it is pushed at once")
    await clock.advance(60)
    await until(lambda: len(receiver.received) == 2, "it is pushed again")
    push.cancel()
    assert receiver.headers["Authorization"] == "Bearer abc"
    resource = receiver.received[0].resource_metrics[0]
    assert ("service.name", "syncd") in {(one.key, one.value.string_value) for one in resource.resource.attributes}
    pushed = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    assert pushed["syncd_outbox_sent_rows"].sum.is_monotonic
    assert pushed["syncd_outbox_sent_rows"].sum.data_points[0].as_double == 2**60
    by_priority = {point.attributes[0].value.string_value for point in pushed["syncd_outbox_pending_rows"].gauge.data_points}
    assert by_priority == {"critical", "high", "normal", "low"}
    in_the_file = {metric.name.removesuffix("_total") for metric in metrics(well(), "", BEGINNING) if metric.samples}
    assert pushed.keys() == in_the_file


async def test_a_receiver_that_refuses_is_logged_once_with_the_reason_and_so_is_its_recovery(receiver: Receiver, tmp_path: Path) -> None:
    clock = HandClock()
    settings = make_settings(tmp_path, metrics={"otlp_endpoint": receiver.url})
    receiver.status = 400
    with capture_logs() as lines:
        push = asyncio.create_task(OtlpPush(settings, well(), clock, structlog.get_logger()).run())
        await until(lambda: receiver.asked == 1 and clock.waiting, "it is refused")
        await clock.advance(60)
        await until(lambda: receiver.asked == 2 and clock.waiting, "it is refused again")
        receiver.status = 200
        await clock.advance(60)
        await until(lambda: receiver.received and clock.waiting, "it is taken")
        push.cancel()
    assert [(line["event"], line["log_level"]) for line in lines] == [("metrics_not_pushed", "warning"), ("metrics_pushed_again", "info")]
    assert "400" in lines[0]["error"]


@pytest.mark.parametrize(
    ("status", "location", "said"),
    [
        (307, "https://u:s3cr3t@otel.example.com/v1?key=s3cr3t", "answered 307 Temporary Redirect and redirected to https://otel.exa"),
        (302, "/login", "/login, which is not followed"),
        (304, "", "answered 304 Not Modified and redirected to http://127.0.0.1:"),
        (404, "", "answered 404 Not Found"),
        (503, "", "answered 503 Service Unavailable"),
    ],
)
async def test_whatever_is_not_2xx_is_no_success_and_a_redirect_is_named_without_secrets(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, location: str, said: str
) -> None:
    monkeypatch.setattr(otlp, "PUSH_TIMEOUT_SECONDS", 0.5)
    receiver.status, receiver.answer_headers = status, {"Location": location} if location else {}
    settings = make_settings(tmp_path, metrics={"otlp_endpoint": receiver.url})
    clock = HandClock()
    with capture_logs() as lines:
        push = asyncio.create_task(OtlpPush(settings, well(), clock, structlog.get_logger()).run())
        await until(lambda: receiver.asked and clock.waiting, "it is refused")
        push.cancel()
    [line] = lines
    assert line["event"] == "metrics_not_pushed"
    assert said in line["error"]
    assert "s3cr3t" not in line["error"]
    assert receiver.asked == 1, "a redirect is not followed, nor is it tried again at once"


@pytest.mark.parametrize("trusted", ["by the system", "by the configuration", "by nobody"])
async def test_an_authority_of_the_systems_or_of_the_configuration_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "Other CA")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("otel.test"))
    monkeypatch.setattr(otlp, "PUSH_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file if trusted == "by the system" else other.file))
    named = authority.file if trusted == "by the configuration" else None
    clock = HandClock()
    async with listening(context) as receiver:
        settings = make_settings(tmp_path, metrics={"otlp_endpoint": receiver.url, "otlp_ca_file": named})
        with capture_logs() as lines:
            push = asyncio.create_task(OtlpPush(settings, well(), clock, structlog.get_logger()).run())
            await until(lambda: clock.waiting, "it was pushed, or not")
            push.cancel()
    assert len(receiver.received) == (trusted != "by nobody")
    assert ["certificate verify failed" in line["error"] for line in lines] == [True] * (trusted == "by nobody")


async def test_a_receiver_that_is_not_there_is_told_in_the_systems_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "PUSH_TIMEOUT_SECONDS", 0.5)
    clock = HandClock()
    settings = make_settings(tmp_path, metrics={"otlp_endpoint": "http://127.0.0.1:9/v1/metrics"})
    with capture_logs() as lines:
        push = asyncio.create_task(OtlpPush(settings, well(), clock, structlog.get_logger()).run())
        await until(lambda: clock.waiting, "it was tried")
        push.cancel()
    assert [line["error"] for line in lines] == ["[Errno 111] Connection refused"]


async def test_a_receiver_that_answers_nothing_delays_nothing_and_keeps_nobody_from_ending(receiver: Receiver, tmp_path: Path) -> None:
    receiver.silent.set()
    settings = make_settings(tmp_path, metrics={"otlp_endpoint": receiver.url})
    push = asyncio.create_task(OtlpPush(settings, well(), HandClock(), structlog.get_logger()).run())
    await until(lambda: receiver.asked, "it waits for the answer; this loop goes on, or this would not be seen")
    push.cancel()
    await asyncio.gather(push, return_exceptions=True)
    assert push.cancelled()
