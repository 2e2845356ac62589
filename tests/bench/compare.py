"""The table of speeds: each figure beside the limit that was measured in the same run, and the aim as a ratio of both.

    SYNCD_REFHUB=… SYNCD_PEER=… python -m tests.bench.compare [--rounds 3] [--quick] [--only drain] [--json FILE]

`SYNCD_PEER` names the program that a .NET team would build instead (Microsoft's SignalR client, Microsoft.Data.Sqlite, a C# till); what a
JavaScript team would build is in `js_peer`, and npm installs what it needs. The lines that need a program that is absent are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.bench import measures
from tests.bench.measures import Figures, median_of
from tests.bench.peers import dotnet_peer, javascript_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True)
class Line:
    """One figure.

    Attributes:
        limit: what it is measured against in this run; None for a figure that stands alone.
        aim: of `figure / limit`, or of the figure where there is no limit.
        at_most: the aim is an upper bound.
    """

    what: str
    unit: str
    figure: float
    limit: float | None
    aim: float
    at_most: bool = False

    @property
    def compared(self) -> float:
        """What the aim speaks of."""
        return self.figure if self.limit is None else self.figure / self.limit

    @property
    def met(self) -> bool:
        """Whether the aim is reached."""
        return self.compared <= self.aim if self.at_most else self.compared >= self.aim


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    rows: int = 60_000
    far_rows: int = 20_000
    large: int = 1_000_000
    updates: int = 20_000
    products: int = 100_000
    sold_products: int = 20_000
    till_seconds: float = 20.0
    wakes: int = 100


QUICK = Sizes(rows=20_000, far_rows=4_000, large=200_000, updates=5_000, products=20_000, sold_products=5_000, till_seconds=10, wakes=40)


async def drain(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """A backlog to HQ, on a short line."""
    ours = await median_of(rounds, lambda: measures.drain(sizes.rows))
    yield Line("memory in a drain", "MiB", ours["resident_mib"], None, 80, at_most=True)
    if (dotnet := dotnet_peer()) is not None:
        peer = await median_of(rounds, lambda: measures.peer_drain(dotnet, sizes.rows, "window"))
        yield Line("drain, against the peer", "rows/s", ours["rows_per_second"], peer["rows_per_second"], 1.2)
        yield Line(
            "processor time, against the peer", "µs/row", ours["processor_us_per_row"], peer["processor_us_per_row"], 0.5, at_most=True
        )
    if (javascript := javascript_peer()) is not None:
        peer = await median_of(rounds, lambda: measures.peer_drain(javascript, sizes.rows, "window"))
        yield Line("drain, against JavaScript", "rows/s", ours["rows_per_second"], peer["rows_per_second"], 1.2)
        yield Line(
            "processor time, against JavaScript", "µs/row", ours["processor_us_per_row"], peer["processor_us_per_row"], 0.5, at_most=True
        )


async def far(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """A backlog to HQ over a line with a round trip of 100 ms."""
    ours = await median_of(rounds, lambda: measures.drain(sizes.far_rows, round_trip_seconds=0.1))
    if (dotnet := dotnet_peer()) is not None:
        peer = await measures.peer_drain(dotnet, sizes.far_rows // 4, "batch", round_trip_seconds=0.1)
        yield Line("drain over 100 ms, against stop and wait", "rows/s", ours["rows_per_second"], peer["rows_per_second"], 10)


async def live(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """Updates, one a message."""
    ours = await median_of(rounds, lambda: measures.live_updates(sizes.updates))
    if (dotnet := dotnet_peer()) is not None:
        peer = await median_of(rounds, lambda: measures.peer_live_updates(dotnet, sizes.updates))
        yield Line("live updates, against the peer", "updates/s", ours["updates_per_second"], peer["updates_per_second"], 4)
    if (javascript := javascript_peer()) is not None:
        peer = await median_of(rounds, lambda: measures.peer_live_updates(javascript, sizes.updates))
        yield Line("live updates, against JavaScript", "updates/s", ours["updates_per_second"], peer["updates_per_second"], 4)


async def load(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """The first catch-up of a new store."""
    closed = await median_of(rounds, lambda: measures.initial_load(sizes.products))
    yield Line("initial load, shop closed", "products/s", closed["products_per_second"], None, 25_000)
    selling = await measures.initial_load(sizes.sold_products, sales_per_second=2)
    yield Line("initial load beside two sales a second", "products/s", selling["products_per_second"], None, 2_000)


async def till(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """A C# till at 50 sales a second beside a drain."""
    dotnet = dotnet_peer()
    if dotnet is None:
        return
    found: Figures = await median_of(rounds, lambda: measures.csharp_till(dotnet, sizes.rows * 3, 50, sizes.till_seconds))
    yield Line("C# till p50 beside a drain", "ms", found["beside_p50ms"], found["alone_p50ms"], 1.5, at_most=True)
    yield Line("C# till p99 beside a drain", "ms", found["beside_p99ms"], found["alone_p99ms"], 1.5, at_most=True)
    yield Line("C# till max beside a drain", "ms", found["beside_maxMs"], found["alone_maxMs"], 1.0, at_most=True)


async def wake(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """An idle store sells once."""
    found = await median_of(rounds, lambda: measures.commit_to_hq(sizes.wakes))
    yield Line("commit to HQ, p50", "ms", found["p50_ms"], None, 4, at_most=True)
    yield Line("commit to HQ, p99", "ms", found["p99_ms"], None, 15, at_most=True)


async def large(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """A month's backlog."""
    del rounds  # one takes minutes
    found = await measures.large_backlog(sizes.rows, sizes.large)
    yield Line(f"rate with {sizes.large:,} pending, against {sizes.rows:,}", "ratio", found["rate_ratio"], None, 0.9)
    yield Line("more memory for it", "MiB", found["more_mib"], None, 10, at_most=True)
    yield Line("a Critical row amid it, commit to HQ", "ms", found["critical_ms"], None, 50, at_most=True)


async def process(sizes: Sizes, rounds: int) -> AsyncIterator[Line]:
    """Start, healthcheck, memory."""
    del sizes
    found = await median_of(rounds, measures.process_figures)
    yield Line("memory, idle", "MiB", found["idle_mib"], None, 55, at_most=True)
    yield Line("start to the first status file", "s", found["start_seconds"], None, 0.4, at_most=True)
    yield Line("healthcheck", "ms", found["healthcheck_ms"], None, 40, at_most=True)


SCENES = {"drain": drain, "far": far, "live": live, "load": load, "till": till, "wake": wake, "large": large, "process": process}


async def measure(names: list[str], sizes: Sizes, rounds: int) -> list[Line]:
    """All lines of these scenes; each is told on stderr as soon as it is known."""
    lines: list[Line] = []
    for name in names:
        async for line in SCENES[name](sizes, rounds):
            lines.append(line)
            print(f"{line.what}: {line.figure:,.2f} {line.unit}", file=sys.stderr)
    return lines


def show(lines: list[Line]) -> None:
    """Print the table."""
    table = Table("what", "unit", "syncd", "measured against", "ratio", "aim", "")
    for line in lines:
        bound = f"{'≤' if line.at_most else '≥'} {line.aim:g}{' times' if line.limit is not None else ''}"
        limit = "" if line.limit is None else f"{line.limit:,.1f}"
        ratio = "" if line.limit is None else f"{line.compared:.2f}"
        table.add_row(line.what, line.unit, f"{line.figure:,.1f}", limit, ratio, bound, "met" if line.met else "not met")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main(names: list[str], sizes: Sizes, rounds: int, file: Path | None) -> None:
    """Measure and print."""
    lines = asyncio.run(measure(names, sizes, rounds))
    show(lines)
    if file is not None:
        document = [{**asdict(line), "compared": line.compared, "met": line.met} for line in lines]
        file.write_text(json.dumps({"rounds": rounds, "sizes": asdict(sizes), "lines": document}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: to see that it runs")
    parser.add_argument("--only", action="append", choices=SCENES, help="this scene; more than once for more")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    main(arguments.only or list(SCENES), QUICK if arguments.quick else Sizes(), arguments.rounds, arguments.json)
