"""Store to HQ."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.backlog import arrivals, arrived, arrived_at, connected_at, marked_at, require_same_bytes, running, store_with
from tests.bench.delay_line import DelayLine
from tests.bench.gauges import peak_mib, processor_seconds
from tests.bench.measures.sizes import Figures, Sizes, until_idle
from tests.bench.peers import peer_running, peers
from tests.bench.wire_limit import wire_rows_per_second
from tests.support.refhub import RefHub

if TYPE_CHECKING:
    import sqlite3

    from tests.support.store import Store

BATCH_ROWS = 46
"""Of those that learn no limit: 48 rows with 440 bytes of payload are above the hub's once sequence numbers have five digits."""
IN_FLIGHT = 4
ROUND_TRIP_SECONDS = 0.1
WAKE_SECONDS = (0.05, 0.5)
"""Between two sales, by chance: what syncd does after a sale must not fall on the next one always, nor never."""
LOOK_SECONDS = 0.0002
LOST_SECONDS = 60.0
CRITICAL_ROWS = 5
CRITICAL_SECONDS = 1.0


async def drain(sizes: Sizes) -> Figures:
    """A backlog: by syncd, by each peer, and by the wire alone."""
    figures = await _drain(sizes.rows)
    for name, program in peers().items():
        figures |= {f"{name}.{figure}": value for figure, value in (await _peer_drain(program, sizes.rows)).items()}
    async with RefHub() as hub:
        figures["wire.rows_per_second"] = await wire_rows_per_second(hub, sizes.rows, batch_rows=BATCH_ROWS, in_flight=IN_FLIGHT)
    return figures


async def far(sizes: Sizes) -> Figures:
    """The same over a line with a long round trip; against a batch at a time, which is as slow whoever sends it."""
    ours = await _drain(sizes.far_rows, ROUND_TRIP_SECONDS)
    waiting = await _drain(sizes.far_rows_one_by_one, ROUND_TRIP_SECONDS, sync__batch_size=BATCH_ROWS, sync__batches_in_flight=1)
    return {"rows_per_second": ours["rows_per_second"], "one_by_one.rows_per_second": waiting["rows_per_second"]}


async def _drain(rows: int, round_trip_seconds: float = 0.0, **settings: Any) -> Figures:
    """From the connection until the rows are at HQ, and until the till's `status` says so."""
    async with (
        RefHub() as hub,
        DelayLine(hub.port, round_trip_seconds / 2) as line,
        store_with(rows, line.url(hub.url()) if round_trip_seconds else hub.url(), **settings) as store,
        running(store) as daemon,
    ):
        began = await connected_at(hub, daemon.is_up)
        seconds = await arrived_at(hub, rows, daemon.is_up) - began
        marked_seconds = await marked_at(store, daemon.is_up) - began
        figures = {
            "rows_per_second": rows / seconds,
            "marked_rows_per_second": rows / marked_seconds,
            "processor_us_per_row": processor_seconds(daemon.pid) / rows * 1e6,
            "peak_mib": peak_mib(daemon.pid),
            "hub.processor_us_per_row": _hub_seconds(hub) / rows * 1e6,
        }
        await require_same_bytes(hub, store, rows)
    return figures


async def _peer_drain(program: list[str], rows: int) -> Figures:
    """The same by a peer, whose marks are part of its drain."""
    options = ("--mode=window", f"--batch={BATCH_ROWS}", f"--window={IN_FLIGHT}")
    async with RefHub() as hub, store_with(rows, hub.url()) as store, peer_running(program, store, hub.url(), *options) as peer:
        began = await connected_at(hub, peer.alive)
        seconds = await arrived_at(hub, rows, peer.alive) - began
        told = await peer.told()
        hub_seconds = _hub_seconds(hub)
        await require_same_bytes(hub, store, rows)
    return {
        "rows_per_second": rows / seconds,
        "marked_rows_per_second": told["rowsPerSecond"],
        "processor_us_per_row": told["cpuSeconds"] / rows * 1e6,
        "peak_mib": told["rssMiB"],
        "hub.processor_us_per_row": hub_seconds / rows * 1e6,
    }


def _hub_seconds(hub: RefHub) -> float:
    assert hub.process is not None
    return processor_seconds(hub.process.pid)


async def wake(sizes: Sizes) -> Figures:
    """Milliseconds from a till's commit to the row's arrival, nothing else going on."""
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        async with RefHub(data=Path(folder)) as hub, store_with(0, hub.url()) as store, running(store):
            await until_idle(store)
            took = await asyncio.to_thread(_wakes, store, Path(folder, "arrivals.jsonl"), sizes.wakes)
    return {"p50_ms": _share(took, 0.5), "p95_ms": _share(took, 0.95), "p99_ms": _share(took, 0.99), "max_ms": max(took)}


def _wakes(store: Store, journal: Path, count: int) -> list[float]:
    """Sell, and look at HQ's own file, which grows when a row arrives: nobody has to ask the hub."""
    took, chance = [], random.Random(1)
    with closing(store.till()) as till:
        for n in range(count):
            time.sleep(chance.uniform(*WAKE_SECONDS))
            before = journal.stat().st_size
            committed, _ = _commit(till, n)
            while journal.stat().st_size == before:
                assert time.perf_counter() - committed < LOST_SECONDS, "a row never came"
                time.sleep(LOOK_SECONDS)
            took.append((time.perf_counter() - committed) * 1000)
    return took


def _commit(till: sqlite3.Connection, entity: int) -> tuple[float, str]:
    """One Critical row: the moment at which its commit has returned, and its correlation id."""
    sql = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES ('Wake', ?, 'Create', '{}', 1)"
    ((correlation_id,),) = till.execute(f"{sql} RETURNING correlation_id", (entity,)).fetchall()
    return time.perf_counter(), correlation_id


def _share(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def large(sizes: Sizes) -> Figures:
    """A large backlog against the usual one: rate, memory, and Critical rows that a till writes amid it."""
    usual = await _drain(sizes.rows)
    async with RefHub() as hub, store_with(sizes.large, hub.url()) as store, running(store) as daemon:
        began = await connected_at(hub, daemon.is_up)
        await arrived_at(hub, sizes.large // 2, daemon.is_up)
        took = []
        for n in range(CRITICAL_ROWS):
            took.append(await _critical(hub, store, n))
            await asyncio.sleep(CRITICAL_SECONDS)
        assert await arrived(hub) < sizes.large, "all was at HQ before the last Critical row was written: the backlog must be larger"
        seconds = await arrived_at(hub, sizes.large + CRITICAL_ROWS, daemon.is_up) - began
        peak = peak_mib(daemon.pid)
    return {
        "rows_per_second": sizes.large / seconds, "usual.rows_per_second": usual["rows_per_second"],
        "peak_mib": peak, "usual.peak_mib": usual["peak_mib"],
        "critical.p50_ms": statistics.median(took), "critical.max_ms": max(took),
    }  # fmt: skip


async def _critical(hub: RefHub, store: Store, entity: int) -> float:
    """Milliseconds from the commit of a Critical row to the first look at HQ that sees it."""
    offset = await arrived(hub)
    with closing(store.till()) as till:
        committed, correlation_id = _commit(till, entity)
    while correlation_id not in (new := await arrivals(hub, offset, 10_000)):
        assert time.perf_counter() - committed < LOST_SECONDS, "a Critical row never came"
        offset += len(new)
    return (time.perf_counter() - committed) * 1000
