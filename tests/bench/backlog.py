"""A store that has something to send, and the moments at which that is at HQ."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.store import Daemon, Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.refhub import RefHub

PAYLOAD_BYTES = 440
ROWS_A_COMMIT = 20_000
PATIENCE_SECONDS = 900.0
POLL_SECONDS = 0.05
"""The hub, the daemon and whoever asks share two cores: asking more often would be measured, too."""


def payload(number: int) -> str:
    """A receipt of exactly `PAYLOAD_BYTES`."""
    start = json.dumps({"receiptId": number, "total": "12.50", "cashier": "Жанна", "note": ""}, ensure_ascii=False)
    return start[:-2] + "x" * (PAYLOAD_BYTES - len(start.encode())) + '"}'


@asynccontextmanager
async def store_with(rows: int, url: str, **settings: Any) -> AsyncIterator[Store]:
    """A store with a backlog, in a folder of its own that goes with it; its till has written nothing for a minute."""
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        store = Store(Path(folder), url, **settings)
        store.python_options = ()
        await store.create()
        for start in range(0, rows, ROWS_A_COMMIT):
            store.sell([("Receipt", n, "Create", payload(n), 3) for n in range(start, min(rows, start + ROWS_A_COMMIT))])
        for file in store.folder.glob("store.db*"):
            os.utime(file, (time.time() - 60, time.time() - 60))
        yield store


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[Daemon]:
    """As `Store.running`, and a run that is broken off while the daemon starts leaves none behind."""
    daemon = Daemon(store)
    try:
        await daemon.start()
        yield daemon
    finally:
        if daemon.process is not None:
            await daemon.stop()


async def wait_for(found: Callable[[], Any], alive: Callable[[], object], poll_seconds: float = POLL_SECONDS) -> float:
    """The Unix time at which that became true; `alive` raises where it never will."""

    async def found_or_lost() -> Any:
        answer = found()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if not answer:
            alive()
        return answer

    await until(found_or_lost, "what is waited for", PATIENCE_SECONDS, poll_seconds=poll_seconds)
    return time.time()


async def connected_at(hub: RefHub, alive: Callable[[], object]) -> float:
    """The Unix time, by HQ's clock, at which the first store was connected."""
    await wait_for(lambda: _times(hub), alive)
    return (await _times(hub))[0] / 1000


async def _times(hub: RefHub) -> list[float]:
    times = await hub.control("GET", "times")
    assert isinstance(times, dict)
    connected: list[float] = times["connectedAt"]
    return connected


async def arrivals(hub: RefHub, offset: int, count: int) -> list[str]:
    """Correlation ids in the order of their arrival; cheap at any offset, which the hub's `state` is not."""
    found = await hub.control("GET", f"arrivals?offset={offset}&count={count}")
    assert isinstance(found, list)
    return found


async def arrived_at(hub: RefHub, rows: int, alive: Callable[[], object], poll_seconds: float = POLL_SECONDS) -> float:
    """The Unix time at which so many rows are at HQ."""
    return await wait_for(lambda: arrivals(hub, rows - 1, 1), alive, poll_seconds)


async def arrived(hub: RefHub) -> int:
    """How many rows are at HQ now."""
    return int((await hub.state())["unique"])


async def marked_at(store: Store, alive: Callable[[], object]) -> float:
    """The Unix time at which no row of the till's file is pending; an index with the pending ones alone answers that."""
    return await wait_for(lambda: not store.query("SELECT 1 FROM sync_outbox WHERE status = 'pending' LIMIT 1"), alive)


async def require_same_bytes(hub: RefHub, store: Store, rows: int) -> None:
    """All rows are at HQ as the till wrote them, and its file says so.

    Raises:
        AssertionError: they are not.
    """
    state, marked = await hub.state(), store.count("sent")
    assert (state["unique"], marked) == (rows, rows), f"of {rows:,} rows {state['unique']:,} are at HQ, {marked:,} are marked sent"
    assert state["digest"] == store.digest(), "bytes were changed on the way"
