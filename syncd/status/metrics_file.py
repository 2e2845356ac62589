"""The metrics as a text file, for the textfile collector of Prometheus' node_exporter; written with the status file, by its writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from syncd.own_files import replace_own
from syncd.status.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.status.metrics import Metric
    from syncd.status.report import Report

SHORTEST_INTERVAL_SECONDS = 5.0  # nobody scrapes more often
FILE_MODE = 0o644
"""The exporter's user has to read it; there is no secret in it."""


def exposition(found: Sequence[Metric]) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(found))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric in self._found:
            labels = [name for name, _ in metric.samples[0][0]] if metric.samples else []
            family = (CounterMetricFamily if metric.is_counter else GaugeMetricFamily)(metric.name, metric.help, labels=labels)
            for given, value in metric.samples:
                family.add_metric([text for _, text in given], value)
            yield family


class MetricsFile:
    """Writes the file anew, whole at any moment; a failure is logged once, and the next write tries again."""

    def __init__(self, path: Path, store_name: str, clock: Clock, log: FilteringBoundLogger) -> None:
        self._path = path
        self._store_name = store_name
        self._clock = clock
        self._log = log
        self._due = 0.0
        self._last_error: str | None = None

    def write(self, report: Report) -> None:
        """Write it, unless that was a moment ago; the last words of a daemon that stops are always written."""
        now = self._clock.monotonic()
        if now < self._due and report.state != "stopped":
            return
        self._due = now + SHORTEST_INTERVAL_SECONDS
        try:
            replace_own(self._path, exposition(metrics(report, self._store_name, self._clock.now())), FILE_MODE)
        except OSError as error:
            why = f"{self._path}: {error.strerror or error}"
            if why != self._last_error:
                self._log.error("metrics_file_not_written", error=why)
            self._last_error = why
        else:
            if self._last_error is not None:
                self._log.info("metrics_file_written_again", path=str(self._path))
            self._last_error = None
