"""Pushes the metrics to an OTLP receiver: stores are behind NAT, where nobody can scrape them.

Each push runs on a thread of its own, so that a receiver that hangs delays nothing here; a failure is logged once, until it works again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin

import requests
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
from syncd.config.hub_url import shown
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
        self._failing = False
        logging.getLogger(LIBRARY).addHandler(logging.NullHandler())  # it would tell of every push that fails
        logging.getLogger(LIBRARY).propagate = False

    async def run(self) -> NoReturn:
        """Push now and at every interval; for ever."""
        while True:
            await self._push()
            await self._clock.sleep(self._settings.metrics.otlp_interval_seconds)

    async def _push(self) -> None:
        found = metrics(self._report, self._settings.store.name, self._clock.now())
        trouble = await _on_a_thread(_Export(self._settings, data(found, self._report)))
        if trouble is None:
            if self._failing:
                self._log.info("metrics_pushed_again")
            self._failing = False
        elif not self._failing:
            self._failing = True
            self._log.warning("metrics_not_pushed", error=foreign(trouble), hint="tried again at every interval")


class _Export:
    """One push, with a connection of its own."""

    def __init__(self, settings: Settings, content: MetricsData) -> None:
        self._settings = settings
        self._content = content

    def __call__(self) -> str | None:
        """Why it failed; None where it did not."""
        session = _Session()
        exporter = OTLPMetricExporter(
            endpoint=self._settings.metrics.otlp_endpoint, certificate_file=_authorities(self._settings), timeout=PUSH_TIMEOUT_SECONDS,
            session=session,
        )  # fmt: skip
        try:
            return None if exporter.export(self._content) is MetricExportResult.SUCCESS else session.trouble
        finally:
            exporter.shutdown()


def _authorities(settings: Settings) -> str | None:
    """Whom to trust: the library would take a list that it brings, which knows nothing of a company's own authority."""
    system = ssl.get_default_verify_paths()
    authorities = settings.metrics.otlp_ca_file or system.cafile or system.capath
    return str(authorities) if authorities else None


class _Session(requests.Session):
    """Trusts whom it was told to, whatever the environment names, and knows what the library says of a failure to its own log alone.

    Attributes:
        trouble: with the last request.
    """

    trouble = "they could not be encoded"

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """See `requests.Session.request`.

        Raises:
            TooManyRedirects: the library follows no redirect, and would take it for success.
        """
        try:
            response = super().request(*arguments, **{**options, "verify": self.verify})
        except requests.RequestException as error:
            self.trouble = _root(error)
            raise
        self.trouble = f"the receiver answered {response.status_code} {response.reason}"
        if 300 <= response.status_code < 400:
            response.close()
            self.trouble += (
                f" and redirected to {shown(urljoin(response.url, response.headers.get('Location', '')))}, which is not followed"
            )
            raise requests.TooManyRedirects(self.trouble)
        return response


def _root(error: BaseException) -> str:
    """What the system or TLS said first; the rest is the library's."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error) or type(error).__name__


async def _on_a_thread(work: _Export) -> str | None:
    """The result of a thread that nobody waits for when the program ends; what it raised, where it did."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def finish(trouble: str | None) -> None:
        if not done.done():
            done.set_result(trouble)

    def run() -> None:
        try:
            trouble = work()
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the metrics alone are concerned
            trouble = f"{type(error).__name__}: {error}"
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, trouble)

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
