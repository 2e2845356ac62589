"""Real hub and development hub under one handle, and what the flow tests wait for."""

from __future__ import annotations

import json as json_module
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from syncd.devhub.server import DevHub
from tests.support.refhub import RefHub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BOTH = ("real", "development")
QUICK: dict[str, Any] = {
    "hub__reconnect_delay_seconds": 0.1,
    "hub__reconnect_max_delay_seconds": 0.3,
    "hub__invocation_timeout_seconds": 2,
    "sync__retry_base_seconds": 0.2,
    "sync__retry_max_seconds": 2,
    "heartbeat__interval_seconds": 1,
}
"""Settings with which nothing takes long."""


class FlowHub(Protocol):
    """What both hubs have."""

    def url(self, path: str = "/hubs/sync") -> str: ...

    async def control(self, method: str, path: str, json: object = None) -> object: ...

    async def state(self) -> dict[str, object]: ...


class DevelopmentHub:
    """Our development hub, driven through its HTTP interface as the real one is."""

    def __init__(self, hub: DevHub) -> None:
        self._base = hub.url.removesuffix("/hubs/sync")

    def url(self, path: str = "/hubs/sync") -> str:
        return self._base + path

    async def control(self, method: str, path: str, json: object = None) -> object:
        body = json if isinstance(json, bytes) else None if json is None else json_module.dumps(json).encode()
        async with aiohttp.ClientSession() as http, http.request(method, self.url(f"/control/{path}"), data=body) as answer:
            text = await answer.text()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text}"
            return json_module.loads(text) if answer.content_type == "application/json" else text

    async def state(self) -> dict[str, object]:
        state = await self.control("GET", "state")
        assert isinstance(state, dict)
        return state


@asynccontextmanager
async def flow_hub(kind: str) -> AsyncIterator[FlowHub]:
    """The `real` hub or the `development` hub."""
    if kind == "real":
        async with RefHub() as real:
            yield real
    else:
        async with DevHub() as ours:
            yield DevelopmentHub(ours)


async def make_store(folder: Path, hub_url: str, **settings: Any) -> Store:
    """A store with its tables and quick settings, whose shop is closed until its till writes."""
    store = Store(folder, hub_url, **(QUICK | settings))
    await store.create()
    close_shop(store)
    return store


def close_shop(store: Store) -> None:
    """Make it look as if the till had not written for an hour, so that nothing is paced for its sake."""
    for path in store.folder.glob("store.db*"):
        stamp = path.stat().st_mtime - 3600
        os.utime(path, (stamp, stamp))


async def counted(hub: FlowHub) -> dict[str, Any]:
    """The hub's counters."""
    return dict(await hub.state())


async def arrived(hub: FlowHub, count: int) -> dict[str, Any]:
    """Wait until so many different rows are at HQ; the hub's counters then."""

    async def enough() -> dict[str, Any] | None:
        state = await counted(hub)
        return state if state["unique"] >= count else None

    state = await until(enough, f"{count} rows are at HQ")
    assert state["unique"] == count
    return dict(state)


async def drained(store: Store) -> dict[str, Any]:
    """Wait until the status file says that nothing is pending any more; the document."""

    def nothing_waits() -> dict[str, Any] | None:
        status = store.status()
        return status if status["state"] == "online" and status["outbox"]["pending"]["total"] == 0 else None

    return dict(await until(nothing_waits, "nothing is pending"))


async def items(hub: FlowHub) -> list[dict[str, Any]]:
    """The last 1000 items as they arrived first, oldest first."""
    found = await hub.control("GET", "items")
    assert isinstance(found, list)
    return found


async def faults(hub: FlowHub, **names: object) -> None:
    """Switch these faults on, and all others off."""
    await hub.control("PUT", "faults", names)
