"""The rows of the table: which figures of a scene they show, and what is aimed at."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from tests.bench.measures import receiving, sending, store_pc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.bench.measures.sizes import Figures, Sizes


class Of(Enum):
    """What an aim bounds."""

    FIGURE = "{}"
    RATIO = "{} times"
    EXCESS = "{} more"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        figure: of syncd, by its name in the scene's figures.
        beside: what it is compared with.
        at_least, at_most: the aim; a row with neither is there to be known.
        of: what the aim bounds: the figure itself, its ratio to what is beside it, or what it is more than that.
    """

    what: str
    figure: str
    beside: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    of: Of = Of.RATIO

    def aim_text(self) -> str:
        """As the table has it."""
        if self.at_least is not None:
            return f"≥ {self.of.value.format(f'{self.at_least:,g}')}"
        return "" if self.at_most is None else f"≤ {self.of.value.format(f'{self.at_most:,g}')}"


@dataclass(frozen=True)
class Result:
    """A row with its medians."""

    row: Row
    figure: float
    beside: float | None
    ratio: float | None
    excess: float | None

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        bounded = {Of.FIGURE: self.figure, Of.RATIO: self.ratio, Of.EXCESS: self.excess}[self.row.of]
        assert bounded is not None
        if self.row.at_least is not None:
            return bounded >= self.row.at_least
        return None if self.row.at_most is None else bounded <= self.row.at_most

    def document(self) -> dict[str, Any]:
        """For JSON."""
        shown = {"what": self.row.what, "syncd": self.figure, "beside": self.beside, "ratio": self.ratio}
        return {**shown, "aim": self.row.aim_text(), "met": self.met}


def results(scene: str, rounds: Sequence[Figures]) -> list[Result]:
    """The rows of a scene of which the aim's figures are there; without a peer, those that need it are not."""
    found = []
    for row in ROWS[scene]:
        ours = [figures[row.figure] for figures in rounds if row.figure in figures]
        others = [figures[row.beside] for figures in rounds if row.beside in figures] if row.beside else []
        if not ours or (not others and row.of is not Of.FIGURE):
            continue
        pairs = list(zip(ours, others, strict=True)) if others else []
        found.append(
            Result(
                row,
                statistics.median(ours),
                statistics.median(others) if others else None,
                statistics.median(our / other for our, other in pairs) if pairs else None,
                statistics.median(our - other for our, other in pairs) if pairs else None,
            )
        )
    return found


SCENES: dict[str, Callable[[Sizes], Awaitable[Figures]]] = {
    "drain": sending.drain,
    "far": sending.far,
    "live": receiving.live,
    "load": receiving.load,
    "selling": receiving.selling,
    "till": store_pc.till,
    "wake": sending.wake,
    "process": store_pc.process,
    "large": sending.large,
}

ROWS: dict[str, list[Row]] = {
    "drain": [
        Row("drain, rows/s: .NET peer", "rows_per_second", "dotnet.rows_per_second", at_least=1.2),
        Row("drain, rows/s: JavaScript client", "rows_per_second", "javascript.rows_per_second", at_least=1.2),
        Row("drain, rows/s: the wire alone, no database", "rows_per_second", "wire.rows_per_second"),
        Row("drain and marks, rows/s: .NET peer", "marked_rows_per_second", "dotnet.marked_rows_per_second"),
        Row("processor to marked sent, µs/row: .NET peer", "processor_us_per_row", "dotnet.processor_us_per_row", at_most=0.5),
        Row("processor to marked sent, µs/row: JavaScript", "processor_us_per_row", "javascript.processor_us_per_row", at_most=0.5),
        Row("memory in a drain, MiB: .NET peer", "peak_mib", "dotnet.peak_mib", at_most=80, of=Of.FIGURE),
    ],
    "far": [
        Row("drain over 100 ms, rows/s: stop and wait", "rows_per_second", "one_by_one.rows_per_second", at_least=10),
    ],
    "live": [
        Row("live updates, 1/s: .NET peer", "updates_per_second", "dotnet.updates_per_second", at_least=4),
        Row("live updates, 1/s: JavaScript client", "updates_per_second", "javascript.updates_per_second", at_least=4),
    ],
    "load": [
        Row("initial load, shop closed, products/s", "products_per_second", at_least=25_000, of=Of.FIGURE),
    ],
    "selling": [
        Row("initial load beside a till, products/s", "products_per_second", at_least=2_000, of=Of.FIGURE),
        Row("2 sales/s during that load, p50 ms: alone", "during.p50", "alone.p50"),
        Row("2 sales/s during that load, p99 ms: alone", "during.p99", "alone.p99", at_most=1.5),
        Row("2 sales/s during that load, max ms: alone", "during.max", "alone.max"),
    ],
    "till": [
        Row("C# till beside a drain, p50 ms: alone", "beside.p50ms", "alone.p50ms"),
        Row("C# till beside a drain, p99 ms: alone", "beside.p99ms", "alone.p99ms", at_most=1.5),
        Row("C# till beside a drain, max ms: alone", "beside.maxMs", "alone.maxMs", at_most=1),
    ],
    "wake": [
        Row("commit to HQ, idle line, p50 ms", "p50_ms", at_most=4, of=Of.FIGURE),
        Row("commit to HQ, idle line, p95 ms", "p95_ms", of=Of.FIGURE),
        Row("commit to HQ, idle line, p99 ms", "p99_ms", at_most=15, of=Of.FIGURE),
    ],
    "process": [
        Row("memory, idle, MiB", "resident_mib", at_most=55, of=Of.FIGURE),
        Row("start to READY, s", "ready_seconds", at_most=0.4, of=Of.FIGURE),
        Row("syncd healthcheck, ms", "healthcheck_ms", at_most=40, of=Of.FIGURE),
    ],
    "large": [
        Row("a large backlog, rows/s: the usual one", "rows_per_second", "usual.rows_per_second", at_least=0.9),
        Row("its memory, MiB: the usual one", "peak_mib", "usual.peak_mib", at_most=10, of=Of.EXCESS),
        Row("a Critical row amid it, p50 ms", "critical.p50_ms", at_most=50, of=Of.FIGURE),
        Row("a Critical row amid it, max ms", "critical.max_ms", at_most=50, of=Of.FIGURE),
    ],
}  # fmt: skip
