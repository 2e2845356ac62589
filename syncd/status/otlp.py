"""Pushes the metrics to an OTLP receiver: stores are behind NAT, where nobody can scrape them.

Each push runs on a thread of its own, so that a receiver that hangs delays nothing here; a failure is logged once, until it works again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from syncd import __version__
from syncd.document import identifier
from syncd.redaction import foreign
from syncd.status.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import Settings
    from syncd.status import metrics as our_metrics
    from syncd.status.report import Report

PUSH_TIMEOUT_SECONDS = 10.0  # with all its own retries
LIBRARY = "opentelemetry"


class OtlpPush:
    """Pushes what the report says, at an interval."""

    def __init__(self, settings: Settings, report: Report, clock: Clock, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._report = report
        self._clock = clock
        self._log = log
        self._words = _LastWords()
        self._failing = False

    async def run(self) -> NoReturn:
        """Push now and at every interval; for ever."""
        while True:
            await self._push()
            await self._clock.sleep(self._settings.metrics.otlp_interval_seconds)

    async def _push(self) -> None:
        found = metrics(self._report, self._settings.store.name, self._clock.now())
        self._words.text = "no reason given"
        worked = await _on_a_thread(_Export(self._settings, data(found, self._report)))
        if worked:
            if self._failing:
                self._log.info("metrics_pushed_again")
            self._failing = False
        elif not self._failing:
            self._failing = True
            self._log.warning("metrics_not_pushed", error=foreign(self._words.text), hint="tried again at every interval")


class _Export:
    """One push, with a connection of its own."""

    def __init__(self, settings: Settings, content: MetricsData) -> None:
        self._settings = settings
        self._content = content

    def __call__(self) -> bool:
        ca_file = self._settings.metrics.otlp_ca_file
        exporter = OTLPMetricExporter(
            endpoint=self._settings.metrics.otlp_endpoint, certificate_file=None if ca_file is None else str(ca_file),
            timeout=PUSH_TIMEOUT_SECONDS,
        )  # fmt: skip
        try:
            return exporter.export(self._content) is MetricExportResult.SUCCESS
        finally:
            exporter.shutdown()


class _LastWords(logging.Handler):
    """What the library says last, which is why it failed; without this it would say so in the log at every push."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        logger = logging.getLogger(LIBRARY)
        logger.handlers = [self]
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self.text = record.getMessage()


async def _on_a_thread(work: _Export) -> bool:
    """The result of a thread that nobody waits for when the program ends; False where it raised."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def finish(worked: bool) -> None:
        if not done.done():
            done.set_result(worked)

    def run() -> None:
        try:
            worked = work()
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the metrics alone are concerned
            logging.getLogger(LIBRARY).warning("%s: %s", type(error).__name__, error)
            worked = False
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, worked)

    threading.Thread(target=run, name="otlp", daemon=True).start()
    return await done


def data(found: Sequence[our_metrics.Metric], report: Report) -> MetricsData:
    """The same metrics as OTLP has them; a Prometheus that takes OTLP gives them the names that the file has."""
    now, start = time.time_ns(), int(report.started_at.timestamp() * 1e9)
    resource = Resource(
        {
            "service.name": "syncd", "service.version": __version__, "service.instance.id": str(identifier(report.store_id)),
        }
    )  # fmt: skip
    scope = ScopeMetrics(InstrumentationScope("syncd", __version__), [_metric(one, start, now) for one in found if one.samples], "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(metric: our_metrics.Metric, start: int, now: int) -> Metric:
    points = [NumberDataPoint(dict(labels), start, now, value) for labels, value in metric.samples]
    content: Sum | Gauge = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True) if metric.is_counter else Gauge(points)
    return Metric(metric.name.removesuffix("_total"), metric.help, "", content)
