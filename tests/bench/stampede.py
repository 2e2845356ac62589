"""A hub restarts: do a hundred stores come back all at once?

    SYNCD_REFHUB=… python -m tests.bench.stampede [--stores 100] [--down-seconds 3]

The connection layer alone, with the delays of the default configuration; prints when they came back, as a histogram by seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter

import structlog

from syncd.clock import SystemClock
from syncd.config.settings import HubSettings
from syncd.hub.supervisor import Hub
from tests.support.refhub import RefHub

PATIENCE_SECONDS = 180.0


async def main(stores: int, down_seconds: float) -> None:
    """Restart the hub under them, and print the histogram."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    log = structlog.get_logger()
    async with RefHub() as refhub:
        options = HubSettings(url=refhub.url())
        hubs = [Hub(options, store_id=n, clock=SystemClock(), random=random.Random(n), log=log) for n in range(stores)]
        back: list[float] = []
        restarted = time.monotonic()

        async def note(_: object) -> None:
            back.append(time.monotonic() - restarted)

        for hub in hubs:
            hub.on_connected(note)
        tasks = [asyncio.create_task(hub.run()) for hub in hubs]
        await asyncio.gather(*(hub.session() for hub in hubs))
        await refhub.stop()
        await asyncio.sleep(down_seconds)
        back.clear()
        await refhub.start()
        restarted = time.monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(back) < stores:
                await asyncio.sleep(0.1)
        state = await refhub.state()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    histogram = Counter(int(seconds) for seconds in back)
    print(f"{stores} stores, the hub was away for {down_seconds:g} s; seconds after it was back, and how many connected then:")
    for second in range(max(histogram) + 1):
        print(f"{second:4} s {histogram[second]:4} {'#' * histogram[second]}")
    print(f"most within one second {max(histogram.values())}, the last after {max(back):.1f} s")
    print(f"negotiates {state['negotiates']}, upgrades {state['upgrades']}, refused {state['upgradesRefused']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=100)
    parser.add_argument("--down-seconds", type=float, default=3)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.stores, arguments.down_seconds))
