"""The daemon in a process of its own that also measures how long its event loop was held.

    python -m tests.support.measured_daemon CONFIG FIGURES

Held is counted in processor time of the loop's thread between two ticks, so that other processes on the machine are no stall of ours; what
this machine takes for a fixed piece of work, in the same process, is written beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.store import Store

TICK_SECONDS = 0.001
NOMINAL_CALIBRATION_SECONDS = 0.010
"""What `calibrate` takes on the machine for which the bounds were written."""


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        held_seconds: the longest time without a tick, in processor time of the loop's thread.
        slowness: how much slower than nominal this machine is; at least 1.
        peak_bytes: resident memory at its highest.
        idle_bytes: the same before anything happened.
    """

    held_seconds: float
    slowness: float
    peak_bytes: int
    idle_bytes: int


class MeasuredDaemon:
    """`syncd run` with a stop watch.

    Attributes:
        process: None before `start`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._figures = store.folder / "figures.json"
        self._idle_bytes = 0
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; what it measures begins when the file with its figures is there."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
        with self._store.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.support.measured_daemon", str(self._store.config_path), str(self._figures),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environ,
            )  # fmt: skip

    def begin(self) -> None:
        """Measure from here."""
        assert self.process is not None
        self._idle_bytes = _resident(self.process.pid)
        self._figures.with_suffix(".begin").touch()

    async def stop(self) -> tuple[Figures, float]:
        """Ask it to stop; the figures, and the seconds that this took."""
        assert self.process is not None
        peak = _resident(self.process.pid)
        began = time.perf_counter()
        self.process.terminate()
        try:
            code = await asyncio.wait_for(self.process.wait(), 30)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise
        seconds = time.perf_counter() - began
        assert code == 0, self._store.log_path.read_text(encoding="utf-8")[-3000:]
        measured = json.loads(self._figures.read_bytes())
        slowness = max(1.0, measured["calibration"] / NOMINAL_CALIBRATION_SECONDS)
        return Figures(measured["held"], slowness, peak, self._idle_bytes), seconds


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def calibrate() -> float:
    """Seconds of processor time for a fixed piece of work; the middle one of nine."""
    taken = []
    for _ in range(9):
        began = time.thread_time()
        json.loads("[" + "[1],[2.5],{}," * 16_000 + "0]")
        taken.append(time.thread_time() - began)
    return sorted(taken)[4]


async def _tick(has_begun: Callable[[], bool], measured: dict[str, float]) -> None:
    held = 0.0
    is_on = False
    before = time.thread_time()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        now = time.thread_time()
        if is_on:
            held = max(held, now - before)
            measured["held"] = held
        elif has_begun():
            is_on = True
        before = time.thread_time()


async def _main(config: Path, figures: Path) -> dict[str, float]:
    from syncd import daemon  # noqa: PLC0415
    from syncd.clock import SystemClock  # noqa: PLC0415
    from syncd.config.settings import load_settings  # noqa: PLC0415
    from syncd.log import set_up_logging  # noqa: PLC0415

    settings = load_settings(config)
    set_up_logging(settings.log, SystemClock())
    measured = {"calibration": calibrate(), "held": 0.0}
    ticking = asyncio.create_task(_tick(figures.with_suffix(".begin").exists, measured))
    await daemon.run(settings, config)
    ticking.cancel()
    measured["calibration"] = max(measured["calibration"], calibrate())
    return measured


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(uvloop.run(_main(Path(sys.argv[1]), Path(sys.argv[2])))))
