"""Does the till wait? A till's commit times with syncd stopped and with syncd busy, in one run.

    SYNCD_REFHUB=… python -m tests.bench.till_latency [--rows 100000] [--updates 5000] [--seconds 40] [--rate 25]

The till behaves as Microsoft.Data.Sqlite does (150 ms of sleep at a taken lock), the hub is the real one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.refhub import RefHub
from tests.support.store import Store, until

TILL = Path(__file__).with_name("till.py")
UPDATES = {
    "ReceiveProductUpdate": '"sku":"S{n}","name":"Product {n}","isActive":true',
    "ReceivePriceUpdate": '"price":12.50,"currency":"EUR"',
    "ReceiveInventoryUpdate": '"quantityOnHand":3.250',
}


async def sell(store: Store, rate: float, seconds: float) -> dict[str, Any]:
    """Run the till; its figures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TILL), str(store.path), str(rate), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    figures: dict[str, Any] = json.loads(output)
    return figures


async def push(hub: RefHub, updates: int) -> None:
    """Updates of three kinds, one message each."""
    each = updates // len(UPDATES)
    for method, fields in UPDATES.items():
        template = f'{{"productId":{{n}},{fields},"updatedAt":"2026-11-24T00:00:00Z","correlationId":"{method}-{{n}}"}}'
        await hub.control("POST", "/control/push-many", {"method": method, "template": template, "from": 1, "count": each})


async def main(rows: int, updates: int, seconds: float, rate: float) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        async with RefHub() as hub:
            store = Store(Path(folder), hub.url())
            store.python_options = ()
            await store.create()
            store.sell_many(rows)
            stopped = await sell(store, rate, seconds)
            began = time.monotonic()
            async with store.running() as daemon:
                await until(lambda: store.status()["connection"]["state"] == "connected", "the daemon is connected")
                till = asyncio.create_task(sell(store, rate, seconds))
                await push(hub, updates)

                async def drained() -> bool:
                    return int((await hub.state())["unique"]) >= rows

                async def applied() -> bool:
                    return int((await hub.state())["acksOkDistinct"]) >= updates // 3 * 3

                await until(drained, "the backlog is at HQ", 600)
                drain_seconds = time.monotonic() - began
                await until(applied, "the updates are applied", 600)
                apply_seconds = time.monotonic() - began
                running = await till
                assert daemon.process is not None
            life = store.events("stopped")[-1]
            print(f"{'':10} {'commits':>8} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8} {'waits':>6}   (ms; {rate:g} commits/s)")
            for name, figures in (("stopped", stopped), ("running", running)):
                columns = " ".join(f"{figures[key]:8}" for key in ("commits", "p50", "p95", "p99", "max"))
                print(f"{name:10} {columns} {figures['waits']:6}")
            print(f"{'ratio':10} {'':8} " + " ".join(f"{running[key] / stopped[key]:8.2f}" for key in ("p50", "p95", "p99", "max")))
            share = 100 * life["till_lock_held_seconds"] / (time.monotonic() - began)
            print(
                f"write lock held by syncd: {life['till_lock_held_seconds']:.3f} s, {share:.2f} % of the time; "
                f"longest {1000 * life['till_lock_longest_seconds']:.1f} ms"
            )
            print(
                f"{rows:,} rows at HQ after {drain_seconds:.1f} s; {updates:,} updates applied and acknowledged after {apply_seconds:.1f} s"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--rate", type=float, default=25)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rows, arguments.updates, arguments.seconds, arguments.rate))
