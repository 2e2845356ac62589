"""The table of speeds: each figure beside what was measured with it in the same run, and what is aimed at.

    SYNCD_REFHUB=… SYNCD_PEER=… python -m tests.bench.compare [--only drain live] [--rounds 3] [--quick] [--json FILE]

`SYNCD_PEER` names the program that a .NET team would build instead (Microsoft's SignalR client, Microsoft.Data.Sqlite, a C# till); what a
JavaScript team would build is in `js_peer`, and npm installs what it needs. Where one of them is absent, its rows are left out.

A round runs every program of a scene one after the other; a ratio is taken within a round, and what is shown is the median of the rounds.
A scene that fails prints why, the others go on, and the exit code is 1. Files are in `TMPDIR`; the million rows take no part in `--quick`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tests.bench.aims import ROWS, SCENES, Result, results
from tests.bench.measures.sizes import QUICK, Figures, Sizes
from tests.bench.peers import require_hub

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 100
NOT_QUICK = {"large"}


class Measured:
    """The rounds of one scene.

    Attributes:
        rounds: the figures of each.
        seconds: how long each took.
        error: why there is no further one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rounds: list[Figures] = []
        self.seconds: list[float] = []
        self.error = ""

    async def run(self, sizes: Sizes, rounds: int) -> None:
        """Run them, and say on stderr what was found."""
        for number in range(1, rounds + 1):
            began = time.monotonic()
            try:
                figures = await SCENES[self.name](sizes)
            except Exception as error:  # noqa: BLE001  # whatever it is, the other scenes are run
                self.error = f"{type(error).__name__}: {error}"
                traceback.print_exc()
                return
            self.rounds.append(figures)
            self.seconds.append(time.monotonic() - began)
            told = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
            print(f"{self.name} {number}/{rounds}, {self.seconds[-1]:.0f} s: {told}", file=sys.stderr)


async def measure(names: Sequence[str], sizes: Sizes, rounds: int) -> list[Measured]:
    """Run the scenes one after the other. SIGTERM ends them as Ctrl-C does: no process and no file is left."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    scenes = [Measured(name) for name in names]
    for scene in scenes:
        await scene.run(sizes, rounds)
    return scenes


def show(found: list[Result], scenes: list[Measured]) -> None:
    """Print the table, and the scenes that failed."""
    table = Table()
    table.add_column("what: beside what", overflow="fold")
    for heading in ("syncd", "beside", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("aim", no_wrap=True)
    table.add_column("met", no_wrap=True)
    for result in found:
        table.add_row(
            result.row.what, f"{result.figure:,.4g}" if result.figure < 1000 else f"{result.figure:,.0f}",
            "" if result.beside is None else f"{result.beside:,.4g}" if result.beside < 1000 else f"{result.beside:,.0f}",
            "" if result.ratio is None else f"{result.ratio:.2f}", result.row.aim_text(), {None: "", True: "yes", False: "NO"}[result.met],
        )  # fmt: skip
    Console(width=WIDTH).print(table)
    for scene in scenes:
        if scene.error:
            print(f"{scene.name} FAILED in round {len(scene.rounds) + 1}: {scene.error}")


def document(found: list[Result], scenes: list[Measured], sizes: Sizes, load: float) -> dict[str, Any]:
    """The same and every round's figures, as JSON."""
    return {
        "cores": os.cpu_count(),
        "loadBefore": load,
        "sizes": asdict(sizes),
        "rows": [result.document() for result in found],
        "scenes": {
            scene.name: {"seconds": scene.seconds, "rounds": scene.rounds, **({"error": scene.error} if scene.error else {})}
            for scene in scenes
        },
    }


def main(names: Sequence[str], sizes: Sizes, rounds: int, file: Path | None) -> int:
    """Measure and print; the exit code."""
    load = os.getloadavg()[0]
    scenes = asyncio.run(measure(names, sizes, rounds))
    found = [result for scene in scenes if scene.rounds for result in results(scene.name, scene.rounds)]
    show(found, scenes)
    print(f"medians of {rounds}; {os.cpu_count()} cores, load average before it {load:.1f}")
    if file is not None:
        file.write_text(json.dumps(document(found, scenes, sizes, load), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(any(scene.error for scene in scenes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=f"these scenes: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it runs; its figures say nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every round there, too")
    arguments = parser.parse_args()
    require_hub(parser)
    if arguments.rounds < 1:
        parser.error("one round at least")
    names = arguments.only or [name for name in ROWS if not (arguments.quick and name in NOT_QUICK)]
    sys.exit(main(names, QUICK if arguments.quick else Sizes(), arguments.rounds, arguments.json))
