"""What can a hub do to us? Peak memory and longest stall for many kinds of hostile hub.

    python -m tests.bench.hostile_hub [WORDS IN ITS NAME]

One daemon for each, in a process of its own; it takes some minutes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.hostile_hubs import HOSTILE, run_daemon_against

HEADINGS = f"{'':50} {'sent':>6} {'read':>7} {'held':>7} {'memory: before':>15} {'peak':>6} {'stop':>6}  {'kept':>5} {'applied':>7}"


async def main(words: list[str]) -> None:
    """Measure and print."""
    print(HEADINGS)
    print(f"{'':50} {'MB':>6} {'s':>7} {'ms':>7} {'MB':>15} {'MB':>6} {'s':>6}")
    for hub in HOSTILE:
        if not all(word in hub.name for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = await run_daemon_against(hub, Path(folder))
        figures, inbound = outcome.figures, outcome.status["inbound"]
        applied = sum(inbound["appliedTotal"].values())
        print(
            f"{hub.name:50} {outcome.megabytes:6.1f} {outcome.read_seconds:7.2f} {figures.held_seconds * 1000:7.1f} "
            f"{figures.idle_bytes / 1e6:15.0f} {figures.peak_bytes / 1e6:6.0f} {outcome.stop_seconds:6.2f}  "
            f"{len(outcome.quarantine):5} {applied:7,}  slowness {figures.slowness:.1f}"
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
