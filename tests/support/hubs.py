"""Real hub and development hub under one handle, and what a test asks or wants of either."""

from __future__ import annotations

import json as json_module
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from syncd.devhub.server import DevHub
from tests.support.refhub import RefHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BOTH = ("real", "development")


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


async def counted(hub: FlowHub) -> dict[str, Any]:
    """The hub's counters."""
    return dict(await hub.state())


async def items(hub: FlowHub) -> list[dict[str, Any]]:
    """The last 1000 items as they arrived first, oldest first."""
    found = await hub.control("GET", "items")
    assert isinstance(found, list)
    return found


async def faults(hub: FlowHub, **names: object) -> None:
    """Switch these faults on, and all others off."""
    await hub.control("PUT", "faults", names)
