"""What is measured by `tests.bench.compare`: each function runs one scene once and gives its figures by name."""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.delay_line import DelayLine
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Figures = dict[str, float]

PAYLOAD_BYTES = 440
PEER_BATCH_ROWS = 46
"""With 440 bytes of payload 48 rows are above ASP.NET Core's default limit once sequence numbers have five digits."""
PATIENCE_SECONDS = 900.0
POLL_SECONDS = 0.02
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
TILL = Path(__file__).with_name("till.py")


def payload(number: int) -> str:
    """A receipt of exactly `PAYLOAD_BYTES`."""
    start = json.dumps({"receiptId": number, "total": "12.50", "cashier": "Жанна", "note": ""}, ensure_ascii=False)
    return start[:-2] + "x" * (PAYLOAD_BYTES - len(start.encode())) + '"}'


@asynccontextmanager
async def store_with(rows: int, url: str, **settings: Any) -> AsyncIterator[Store]:
    """A store with a backlog, whose till has written nothing for a minute."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), url, **settings)
        store.python_options = ()
        await store.create()
        if rows:
            store.sell([("Receipt", n, "Create", payload(n), 3) for n in range(rows)])
        leave_quiet(store)
        yield store


def leave_quiet(store: Store) -> None:
    """The shop is closed: nobody has written for a minute, as far as the file can tell."""
    for file in store.folder.glob("store.db*"):
        os.utime(file, (time.time() - 60, time.time() - 60))


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_mib(pid: int) -> float:
    """Memory of a process now."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


async def reached(hub: RefHub, name: str, value: int) -> float:
    """The moment at which one of the hub's counts is there."""

    async def is_there() -> bool:
        return int((await hub.state())[name]) >= value

    await until(is_there, f"{name} is {value:,}", PATIENCE_SECONDS)
    return time.perf_counter()


async def begun(hub: RefHub, *, rows: int = 1) -> float:
    """The moment at which the first rows have arrived."""
    while int((await hub.state())["unique"]) < rows:
        await asyncio.sleep(0.002)
    return time.perf_counter()


async def run_peer(program: list[str], store: Store, url: str, *options: str) -> dict[str, Any]:
    """Run a peer to its end; its last line."""
    process = await asyncio.create_subprocess_exec(*program, str(store.path), url, *options, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    figures: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return figures


# ── store to HQ ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def drain(rows: int, *, round_trip_seconds: float = 0.0, **settings: Any) -> Figures:
    """A backlog drains: rows a second at HQ, our processor time a row until the till's `status` says sent, memory."""
    async with (
        RefHub() as hub,
        DelayLine(hub.port, round_trip_seconds / 2) as line,
        store_with(rows, line.url(hub.url()) if round_trip_seconds else hub.url(), **settings) as store,
    ):
        daemon = Daemon(store)
        await daemon.start()
        began = await begun(hub)
        first = int((await hub.state())["unique"])
        peak = 0.0

        async def arrived() -> bool:
            nonlocal peak
            peak = max(peak, resident_mib(daemon.pid))
            return int((await hub.state())["unique"]) >= rows

        await until(arrived, "every row is at HQ", PATIENCE_SECONDS)
        seconds = time.perf_counter() - began
        await until(lambda: store.count("sent") == rows, "the till's file says so", PATIENCE_SECONDS)
        processor = processor_seconds(daemon.pid)
        assert (await hub.state())["digest"] == store.digest(), "bytes were changed on the way"
        await daemon.stop()
    return {"rows_per_second": (rows - first) / seconds, "processor_us_per_row": processor / rows * 1e6, "resident_mib": peak}


async def peer_drain(program: list[str], rows: int, mode: str, *, round_trip_seconds: float = 0.0) -> Figures:
    """The same by a peer."""
    async with RefHub() as hub, DelayLine(hub.port, round_trip_seconds / 2) as line:
        url = line.url(hub.url()) if round_trip_seconds else hub.url()
        async with store_with(rows, url) as store:
            figures = await run_peer(program, store, url, f"--mode={mode}", f"--batch={PEER_BATCH_ROWS}", "--window=4")
    return {
        "rows_per_second": figures["rowsPerSecond"],
        "processor_us_per_row": figures["cpuSeconds"] / rows * 1e6,
        "resident_mib": figures["rssMiB"],
    }


async def commit_to_hq(wakes: int) -> Figures:
    """Milliseconds from a till's commit to the row's arrival, nothing else going on."""
    took = []
    async with RefHub() as hub, store_with(0, hub.url()) as store, store.running():
        await until(lambda: store.status()["inbound"]["caughtUp"], "it is connected and idle")
        for n in range(wakes):
            began = time.perf_counter()
            store.sell([("Wake", n, "Create", "{}", 1)])
            committed = time.perf_counter()
            while int((await hub.state())["unique"]) <= n:
                await asyncio.sleep(0)
            took.append((time.perf_counter() - (began + committed) / 2) * 1000)
    took.sort()
    return {"p50_ms": statistics.median(took), "p95_ms": took[int(wakes * 0.95)], "p99_ms": took[int(wakes * 0.99)]}


async def large_backlog(small: int, large: int) -> Figures:
    """A large backlog against a small one: rate, memory, and a Critical row written amid it."""
    of_small = await drain(small)
    async with RefHub() as hub, store_with(large, hub.url()) as store, store.running() as daemon:
        began = await begun(hub)
        await reached(hub, "unique", large // 2)
        store.sell([("Receipt", "critical", "Create", "{}", 1)])
        committed = time.perf_counter()
        while not (critical := any(item["entityId"] == "critical" for item in await last_items(hub))):
            assert time.perf_counter() - committed < 60
        critical_ms = (time.perf_counter() - committed) * 1000 * critical
        resident = resident_mib(daemon.pid)
        seconds = await reached(hub, "unique", large + 1) - began
    rate = large / seconds
    return {
        "rate_ratio": rate / of_small["rows_per_second"],
        "more_mib": resident - of_small["resident_mib"],
        "critical_ms": critical_ms,
    }


async def last_items(hub: RefHub) -> list[dict[str, Any]]:
    """The last thousand items as they arrived."""
    items = await hub.control("GET", "items")
    assert isinstance(items, list)
    return items


# ── HQ to store ───────────────────────────────────────────────────────────────────────────────────────────────────────
PRODUCT = '{"productId":{n},"sku":"S{n}","name":"Product {n}","isActive":true,"updatedAt":"2026-11-24T00:00:00Z","correlationId":"p{n}"}'


async def push(hub: RefHub, updates: int) -> None:
    """Products, one a message."""
    await hub.control(
        "POST", "push-many", {"method": "ReceiveProductUpdate", "template": PRODUCT, "from": 1, "count": updates, "perMessage": 1}
    )


async def live_updates(updates: int) -> Figures:
    """Pushed one a message: updates a second until the last one is acknowledged."""
    async with RefHub() as hub, store_with(0, hub.url()) as store, store.running():
        await until(lambda: store.status()["inbound"]["caughtUp"], "it is connected")
        began = time.perf_counter()
        await push(hub, updates)
        seconds = await reached(hub, "acksOkDistinct", updates) - began
        assert store.query("SELECT count(*) FROM products") == [(updates,)]
    return {"updates_per_second": updates / seconds}


async def peer_live_updates(program: list[str], updates: int) -> Figures:
    """The same by a peer."""
    async with RefHub() as hub, store_with(0, hub.url()) as store:
        running = asyncio.create_task(run_peer(program, store, hub.url(), "--mode=receive", f"--rows={updates}"))
        await reached(hub, "connections", 1)
        began = time.perf_counter()
        await push(hub, updates)
        seconds = await reached(hub, "acksOkDistinct", updates) - began
        await running
    return {"updates_per_second": updates / seconds}


async def initial_load(products: int, *, sales_per_second: float = 0.0) -> Figures:
    """A new store fetches everything: products a second, and what a till that sells meanwhile feels (p99, ms)."""
    figures: Figures = {}
    async with RefHub() as hub, store_with(0, hub.url(), sync__pull_batch_size=1000) as store:
        for start in range(0, products, 5000):
            items = [
                {
                    "entityType": "Product", "entityId": n, "operation": "Update", "timestamp": "2026-11-24T00:00:00Z",
                    "correlationId": f"f{n}", "payload": PRODUCT.replace("{n}", str(n)),
                }
                for n in range(start, start + 5000)
            ]  # fmt: skip
            await hub.control("POST", "feed", items)
        selling = None
        if sales_per_second:
            seconds = 20.0
            figures["till_alone_p99_ms"] = (await sell(store, sales_per_second, seconds))["p99"]
            selling = asyncio.create_task(sell(store, sales_per_second, 3600))
        async with store.running():
            await until(lambda: store.query("SELECT count(*) FROM products") != [(0,)], "the first page is in", PATIENCE_SECONDS)
            began = time.perf_counter()
            first = store.query("SELECT count(*) FROM products")[0][0]
            until_loaded = until(
                lambda: store.query("SELECT count(*) FROM products") == [(products,)], "all products are in", PATIENCE_SECONDS
            )
            await until_loaded
            figures["products_per_second"] = (products - first) / (time.perf_counter() - began)
        if selling is not None:
            selling.cancel()
    return figures


# ── the till ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def sell(store: Store, rate: float, seconds: float) -> dict[str, float]:
    """A till in Python that sleeps 150 ms at a taken lock; its commit times in ms."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TILL), str(store.path), str(rate), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    figures: dict[str, float] = json.loads(output)
    return figures


async def csharp_till(program: list[str], rows: int, rate: float, seconds: float) -> Figures:
    """A C# till alone, and beside a drain: its commit times (ms)."""
    figures: Figures = {}
    options = ("--mode=pos", f"--rate={rate:g}", f"--seconds={seconds:g}")
    async with RefHub() as hub, store_with(rows, hub.url()) as store:
        alone = await run_peer(program, store, "-", *options)
        async with store.running():
            await begun(hub)
            beside = await run_peer(program, store, "-", *options)
    for name in ("p50ms", "p99ms", "maxMs"):
        figures[f"alone_{name}"], figures[f"beside_{name}"] = alone[name], beside[name]
    return figures


# ── the process ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def process_figures() -> Figures:
    """Seconds from start to the status file, milliseconds of a healthcheck, memory when idle."""
    async with RefHub() as hub, store_with(0, hub.url()) as store:
        began = time.perf_counter()
        async with store.running() as daemon:
            started = time.perf_counter() - began
            await until(lambda: store.status()["inbound"]["caughtUp"], "it is connected and idle")
            resident = resident_mib(daemon.pid)
            healthchecks = [await timed(sys.executable, "-m", "syncd", "healthcheck", "--file", str(store.status_path)) for _ in range(9)]
    return {"start_seconds": started, "healthcheck_ms": statistics.median(healthchecks) * 1000, "idle_mib": resident}


async def timed(*command: str) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return time.perf_counter() - began


async def median_of(rounds: int, scene: Callable[[], Awaitable[Figures]]) -> Figures:
    """The scene several times; the median of each figure."""
    runs = [await scene() for _ in range(rounds)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
