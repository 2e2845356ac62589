"""How fast does a backlog drain, and how much of what the wire can do is that?

    SYNCD_REFHUB=… python -m tests.bench.drain [--rows 50000] [--payload-bytes 200]

The limit is measured in the same run: the same batches, encoded beforehand, sent by the same connection with the same window, without a
database on our side. `wake` is the time from a till's commit to the row's arrival at HQ, nothing else going on.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from syncd.clock import SystemClock
from syncd.config.settings import HubSettings
from syncd.hub.supervisor import Hub
from syncd.wire.messages import encode_item
from tests.support.refhub import RefHub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from syncd.hub.session import HubSession

BATCH_ROWS = 50
WINDOW = 4
WAKES = 50


def encoded(rows: int, payload_bytes: int) -> list[bytes]:
    """The same rows as `Store.sell_many` writes, encoded."""
    return [
        encode_item(
            entity_type="Receipt", entity_id=n, operation="Create", payload="ü" * (payload_bytes // 2), priority=3,
            correlation_id=f"limit-{n:036}", timestamp="2026-11-24T00:00:00.000Z", store_id=7, sequence=n, attempt=1,
        )
        for n in range(rows)
    ]  # fmt: skip


async def limit(hub: RefHub, rows: int, payload_bytes: int) -> float:
    """Rows a second without any database."""
    batches = [b"[" + b",".join(part) + b"]" for part in _parts(encoded(rows, payload_bytes))]
    connection = Hub(HubSettings(url=hub.url()), store_id=99, clock=SystemClock(), random=random.Random(1), log=structlog.get_logger())
    running = asyncio.create_task(connection.run())
    session = await connection.session()
    waiting = iter(batches)

    async def sender(session: HubSession) -> None:
        for batch in waiting:
            await session.invoke_encoded("SendSyncBatch", batch)

    began = time.perf_counter()
    await asyncio.gather(*(sender(session) for _ in range(WINDOW)))
    seconds = time.perf_counter() - began
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return rows / seconds


def _parts(items: list[bytes]) -> list[list[bytes]]:
    return [items[start : start + BATCH_ROWS] for start in range(0, len(items), BATCH_ROWS)]


async def drain(hub: RefHub, rows: int, payload_bytes: int) -> tuple[float, list[float]]:
    """Rows a second by the daemon, and the milliseconds from commit to arrival."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), hub.url(), log__level="debug")  # a line a batch
        store.python_options = ()
        await store.create()
        store.sell_many(rows, payload_bytes=payload_bytes)
        async with store.running():
            await until(lambda: store.events("batch_sent"), "the first batch is sent")
            lines = await until(lambda: _all_sent(store, rows), "every row is sent", 600)
            first, last = lines[0], lines[-1]
            seconds = _seconds(str(last["time"])) - _seconds(str(first["time"])) + float(str(first["milliseconds"])) / 1000
            wakes = []
            for n in range(WAKES):
                before = int((await hub.state())["unique"])
                store.sell([("Wake", 10_000_000 + n, "Create", "{}", 1)])
                began = time.perf_counter()
                while int((await hub.state())["unique"]) == before:
                    await asyncio.sleep(0)
                wakes.append((time.perf_counter() - began) * 1000)
    return rows / seconds, wakes


def _all_sent(store: Store, rows: int) -> list[dict[str, object]] | None:
    lines = store.events("batch_sent")
    return lines if sum(line["rows"] for line in lines) >= rows else None


def _seconds(text: str) -> float:
    hours, minutes, seconds = text[11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


async def main(rows: int, payload_bytes: int) -> None:
    """Measure and print."""
    async with RefHub() as hub:
        most = await limit(hub, rows, payload_bytes)
        await hub.control("POST", "/control/reset")
        ours, wakes = await drain(hub, rows, payload_bytes)
    wakes.sort()
    print(f"{rows:,} rows of {payload_bytes} bytes of payload, batches of {BATCH_ROWS}, {WINDOW} in flight")
    print(f"limit (no database)   {most:10,.0f} rows/s")
    print(f"syncd                 {ours:10,.0f} rows/s   {ours / most:.2f} of the limit")
    print(f"commit to HQ          {statistics.median(wakes):10.1f} ms median, {wakes[int(len(wakes) * 0.95)]:.1f} ms p95")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--payload-bytes", type=int, default=200)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rows, arguments.payload_bytes))
