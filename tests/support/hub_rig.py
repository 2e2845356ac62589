"""A `Hub` with quick options, a clock whose delays are short and its log at hand."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import LogCapture

from syncd.clock import SystemClock
from syncd.config.settings import HubSettings
from syncd.hub.supervisor import Hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from syncd.hub.incoming import Unreadable
    from tests.support.refhub import RefHub


RHYTHMS = {"hub: keepalive", "hub: silence"}
"""Tasks that sleep as long as they say."""


def hub_settings(url: str, **changes: Any) -> HubSettings:
    """The `hub` section with time-outs for loopback, whatever its checks would say of them."""
    return HubSettings.model_construct(url=url, **{"connect_timeout_seconds": 10.0, "invocation_timeout_seconds": 10.0, **changes})


class QuickClock(SystemClock):
    """Notes how long the delay between two attempts was to be, and waits a hundredth of a second at most.

    A connection's own rhythm stays as configured, and so do time-outs.

    Attributes:
        sleeps: the seconds asked for.
        ahead: seconds by which `monotonic` is ahead of the machine's, to make connections old.
    """

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and task.get_name() in RHYTHMS:
            await super().sleep(seconds)
        else:
            await self.delay(seconds)

    async def delay(self, seconds: float) -> None:
        """Instead of the whole delay."""
        self.sleeps.append(seconds)
        await asyncio.sleep(min(seconds, 0.01))


@dataclass
class Rig:
    """A hub connection under test."""

    hub: Hub
    clock: QuickClock
    capture: LogCapture
    states: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    shed: list[int] = field(default_factory=list)

    def logged(self, event: str) -> list[Any]:
        return [entry for entry in self.capture.entries if entry["event"] == event]

    @property
    def last_error(self) -> str:
        return self.hub.status.last_error or ""


def make_rig(settings: HubSettings, *, store_id: int | str = 7, read_token: Callable[[], str | None] | None = None) -> Rig:
    capture = LogCapture()
    clock = QuickClock()
    log = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0))
    hub = Hub(settings, store_id=store_id, clock=clock, random=random.Random(1), read_token=read_token, log=log)
    rig = Rig(hub, clock, capture)
    hub.on_unreadable(rig.unreadable.append)
    hub.on_shed(rig.shed.append)
    hub.status.on_change.append(lambda: rig.states.append(hub.status.state))
    return rig


@asynccontextmanager
async def running(settings: HubSettings | Rig, **kwargs: Any) -> AsyncIterator[Rig]:
    """The rig while its hub runs; on the way out it is cancelled, and nothing of it may be left."""
    rig = settings if isinstance(settings, Rig) else make_rig(settings, **kwargs)
    before = asyncio.all_tasks()
    task = asyncio.create_task(rig.hub.run(), name="hub under test")
    try:
        yield rig
    finally:
        task.cancel()
        done, late = await asyncio.wait({task}, timeout=10)
        assert not late, "the hub did not leave within 10 s"
        assert task.cancelled(), done.pop().exception()
        assert not [left for left in asyncio.all_tasks() - before if left.get_name().startswith("hub")]


async def eventually(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; fail when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def eventually_state(hub: RefHub, **wanted: object) -> dict[str, object]:
    """The real hub's counts, as soon as they are as wanted; fails with them when they are not within 10 s."""
    state: dict[str, object] = {}
    try:
        async with asyncio.timeout(10):
            while any(state.get(name) != value for name, value in wanted.items()):
                state = await hub.state()
    except TimeoutError:
        raise AssertionError(f"wanted {wanted}, found {state}") from None
    return state
