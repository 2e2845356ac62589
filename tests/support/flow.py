"""A store with quick settings, and what the flow tests wait for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.support.hubs import counted
from tests.support.store import PATIENCE_SECONDS, Store, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hubs import FlowHub

QUICK: dict[str, Any] = {
    "hub__reconnect_delay_seconds": 0.1,
    "hub__reconnect_max_delay_seconds": 0.3,
    "hub__invocation_timeout_seconds": 2,
    "sync__retry_base_seconds": 0.2,
    "sync__retry_max_seconds": 2,
    "heartbeat__interval_seconds": 1,
}
"""Settings with which nothing takes long."""


async def make_store(folder: Path, hub_url: str, **settings: Any) -> Store:
    """A store with its tables and quick settings, whose shop is closed until its till writes."""
    store = Store(folder, hub_url, **(QUICK | settings))
    await store.create()
    close_shop(store)
    return store


def close_shop(store: Store) -> None:
    """Make it look as if the till had not written for an hour, so that nothing is paced for its sake."""
    close_files(store.folder)


def close_files(folder: Path) -> None:
    """The same, for a store's files in this folder."""
    for path in folder.glob("store.db*"):
        stamp = path.stat().st_mtime - 3600
        os.utime(path, (stamp, stamp))


async def arrived(hub: FlowHub, count: int, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Wait until so many different rows are at HQ; the hub's counters then."""

    async def enough() -> dict[str, Any] | None:
        state = await counted(hub)
        return state if state["unique"] >= count else None

    state = await until(enough, f"{count} rows are at HQ", seconds)
    assert state["unique"] == count
    return dict(state)


async def drained(store: Store) -> dict[str, Any]:
    """Wait until the status file says that nothing is pending any more; the document."""

    def nothing_waits() -> dict[str, Any] | None:
        status = store.status()
        return status if status["state"] == "online" and status["outbox"]["pending"]["total"] == 0 else None

    return dict(await until(nothing_waits, "nothing is pending"))
