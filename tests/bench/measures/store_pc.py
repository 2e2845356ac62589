"""What the till feels, and the PC."""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import time
from pathlib import Path

from tests.bench.backlog import arrived, arrived_at, running, store_with
from tests.bench.gauges import resident_mib
from tests.bench.measures.sizes import Figures, Sizes, until_idle
from tests.bench.peers import dotnet_peer, peer_running
from tests.support.refhub import RefHub
from tests.support.store import Daemon

ROWS_PER_SECOND = 30_000
"""No drain is so fast: the backlog beside the till must outlast it."""
STARTS = 5
HEALTHCHECKS = 9


async def till(sizes: Sizes) -> Figures:
    """A C# till at 50 sales a second alone, and beside a drain that outlasts it: its commit times (ms)."""
    if not (program := dotnet_peer()):
        return {}
    figures: Figures = {}
    options = ("--mode=pos", "--rate=50", f"--seconds={sizes.till_seconds:g}")
    rows = round(sizes.till_seconds * ROWS_PER_SECOND)
    async with RefHub() as hub, store_with(rows, hub.url()) as store:
        async with peer_running(program, store, "-", *options) as peer:
            alone = await peer.told()
        async with running(store) as daemon:
            await arrived_at(hub, 1, daemon.is_up)
            async with peer_running(program, store, "-", *options) as peer:
                beside = await peer.told()
            figures["rows_at_hq"] = await arrived(hub)
        assert figures["rows_at_hq"] < rows, "the backlog was at HQ before the till had ended: it must be larger"
    for when, told in (("alone", alone), ("beside", beside)):
        assert told["errors"] == 0, f"the till had {told['errors']} errors {when}"
        figures |= {f"{when}.{name}": told[name] for name in ("rows", "p50ms", "p95ms", "p99ms", "maxMs")}
    return figures


async def process(_: Sizes) -> Figures:
    """Seconds from the start to READY, memory when idle, milliseconds of a healthcheck."""
    starts = []
    async with RefHub() as hub, store_with(0, hub.url()) as store:
        for _start in range(STARTS):
            daemon = Daemon(store)
            try:
                starts.append(await _ready_seconds(daemon))
            finally:
                await daemon.stop()
        async with running(store) as daemon:
            await until_idle(store)
            resident = resident_mib(daemon.pid)
            command = (str(Path(sys.executable).with_name("syncd")), "healthcheck", "--file", str(store.status_path))
            healthchecks = [await _seconds_of(*command) for _check in range(HEALTHCHECKS)]
    return {"ready_seconds": statistics.median(starts), "resident_mib": resident, "healthcheck_ms": statistics.median(healthchecks) * 1000}


async def _ready_seconds(daemon: Daemon) -> float:
    """As systemd would see it."""
    address = daemon.store.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.setblocking(False)
        began = time.perf_counter()
        await daemon.start(wait=False, environ={"NOTIFY_SOCKET": str(address)})
        async with asyncio.timeout(60):
            while b"READY=1" not in await asyncio.get_running_loop().sock_recv(notified, 4096):
                pass
        seconds = time.perf_counter() - began
    address.unlink()
    return seconds


async def _seconds_of(*command: str) -> float:
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    code = await child.wait()
    assert code == 0, f"{' '.join(command)} ended with {code}"
    return time.perf_counter() - began
