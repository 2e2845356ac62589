"""Both hubs, one after the other; each runs for all tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from syncd.devhub.limits import Limits
from syncd.devhub.server import DevHub
from tests.support.hub_handle import HubHandle
from tests.support.raw_client import RawClient, raw_client
from tests.support.refhub import RefHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["devhub", "refhub"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "devhub":
        async with DevHub() as devhub:
            yield devhub.url
    else:
        async with RefHub("--no-stateful=1", "--feed-epochs=1") as refhub:
            yield refhub.url()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["devhub", "refhub"])
async def hasty(request: pytest.FixtureRequest) -> AsyncIterator[HubHandle]:
    """A hub whose timers run after a second and whose messages are small."""
    if request.param == "devhub":
        limits = Limits(max_message_bytes=8192, keep_alive_seconds=1, client_timeout_seconds=1, handshake_timeout_seconds=1)
        async with DevHub(limits=limits) as devhub:
            yield HubHandle(devhub.url)
    else:
        options = ("keepalive-seconds", "client-timeout-seconds", "handshake-timeout-seconds")
        async with RefHub("--max-message-bytes=8192", *(f"--{option}=1" for option in options)) as refhub:
            yield HubHandle(refhub.url())


@pytest_asyncio.fixture(loop_scope="module")
async def hub(running: str) -> HubHandle:
    hub = HubHandle(running)
    await hub.state_until(lambda state: state["connections"] == 0)
    await hub.control("POST", "reset")
    return hub


@pytest_asyncio.fixture(loop_scope="module")
async def client(hub: HubHandle) -> AsyncIterator[RawClient]:
    async with raw_client(hub.url) as client:
        yield client
