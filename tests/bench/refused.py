"""What does a backlog cost that HQ refuses, and how fast does it drain once HQ is well again?

    SYNCD_REFHUB=… python -m tests.bench.refused [--rows 100000] [--seconds 70] [--fault refuse|fail|throw|half]

`refuse`: every row is refused and may come again; `fail`: every row is refused for good; `throw`: the hub throws for every row; `half`:
every second row is refused. Every ten seconds: the processor's seconds, resident memory, bytes of log and what the status file says.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.cuts import footprint
from tests.bench.gauges import processor_seconds
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

INTERVAL_SECONDS = 10.0
PAYLOAD_BYTES = 200


def faults(kind: str, rows: int) -> dict[str, object]:
    """What the hub is told."""
    match kind:
        case "refuse":
            return {"refuseEvery": 1, "refuseRetryable": True}
        case "fail":
            return {"refuseEvery": 1, "refuseRetryable": False}
        case "throw":
            return {"throwForEntityIds": [str(n) for n in range(rows)]}
        case _:
            return {"refuseEvery": 2, "refuseRetryable": True}


class Gauge:
    """Prints what a daemon has used since it was asked before."""

    def __init__(self, store: Store, daemon: Daemon, hub: RefHub) -> None:
        self._store = store
        self._daemon = daemon
        self._hub = hub
        self._began = self._looked = time.monotonic()
        self._processor = processor_seconds(daemon.pid)
        self._log_bytes = 0

    async def line(self) -> None:
        """One line."""
        state = await self._hub.state()
        now, processor, log_bytes = time.monotonic(), processor_seconds(self._daemon.pid), self._store.log_path.stat().st_size
        seconds = now - self._looked
        status: dict[str, Any] = self._store.status()
        outbox = status["outbox"]
        print(
            f"{now - self._began:5.0f} s",
            f"processor {(processor - self._processor) / seconds * 10:5.2f} s of 10",
            f"RSS {footprint(self._daemon.pid)[0] / 1024:4.0f} MiB",
            f"log {(log_bytes - self._log_bytes) / seconds * 60 / 1024:7.0f} KiB a minute",
            f"at HQ {state['unique']:7,}  refused {state['refused']:9,}",
            f"pending {outbox['pending']['total']:7,}  failed {outbox['failed']:7,}",
            status["health"],
            status["reasons"],
            sep="  ",
            flush=True,
        )
        self._looked, self._processor, self._log_bytes = now, processor, log_bytes


async def main(rows: int, seconds: float, kind: str) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with RefHub() as hub:
            store = Store(Path(folder), hub.url())
            store.python_options = ()
            await store.create()
            store.sell_many(rows, payload_bytes=PAYLOAD_BYTES)
            await hub.control("PUT", "/control/faults", faults(kind, rows))
            daemon = Daemon(store)
            await daemon.start()
            gauge = Gauge(store, daemon, hub)
            for _ in range(round(seconds / INTERVAL_SECONDS)):
                await asyncio.sleep(INTERVAL_SECONDS)
                await gauge.line()
            print("HQ is well again", flush=True)
            await hub.control("PUT", "/control/faults", {})
            began = time.monotonic()
            waiting = store.status()["outbox"]["pending"]["total"]

            async def drained() -> bool:
                if time.monotonic() - began > INTERVAL_SECONDS * len(lines):
                    lines.append(None)
                    await gauge.line()
                return int(store.status()["outbox"]["pending"]["total"]) == 0

            lines: list[None] = [None]
            await until(drained, "every row is at HQ, or failed", 900)
            print(f"{waiting:,} rows drained in {time.monotonic() - began:.1f} s")
            await gauge.line()
            await daemon.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--fault", choices=("refuse", "fail", "throw", "half"), default="refuse")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rows, arguments.seconds, arguments.fault))
