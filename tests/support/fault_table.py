"""Every fault that a line or a hub can have, as a scenario around the real daemon: what breaks it, what mends it, what must be said.

A scenario is an async context manager; entering it breaks something, leaving it mends it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.support.fault_proxy import PASS, RESET, SILENT, Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.support.refhub import RefHub
    from tests.support.store import Daemon, Store


@dataclass
class Stage:
    """The parts of a scenario: the daemon talks to the hub through the proxy."""

    hub: RefHub
    proxy: FaultProxy
    store: Store
    daemon: Daemon
    notes: dict[str, Any] = field(default_factory=dict)

    async def faults(self, **faults: Any) -> None:
        """Switch the hub's own faults."""
        await self.hub.control("PUT", "/control/faults", faults)


@dataclass(frozen=True)
class Scenario:
    """One line of the table.

    Attributes:
        says: what `connection.lastError` must say meanwhile (a regular expression); None where the daemon must not notice.
        from_start: broken before the daemon connects for the first time, otherwise in the middle of the work.
    """

    name: str
    fault: Callable[[Stage], AbstractAsyncContextManager[None]]
    says: str | None
    from_start: bool = True


@asynccontextmanager
async def refused(stage: Stage) -> AsyncIterator[None]:
    await stage.proxy.refuse()
    stage.proxy.cut()
    yield
    await stage.proxy.listen()


@asynccontextmanager
async def planned(stage: Stage, fault: Fault, *, first: int = 1) -> AsyncIterator[None]:
    """Each connection from the `first` after now on; the first of an attempt is negotiate's."""
    begin = stage.proxy.accepted + first
    stage.proxy.plan = lambda n: fault if n >= begin and (n - begin) % first == 0 else PASS
    stage.proxy.cut()
    yield
    stage.proxy.plan = lambda _: PASS


@asynccontextmanager
async def frozen(stage: Stage) -> AsyncIterator[None]:
    stage.proxy.freeze()
    yield
    stage.proxy.thaw()


@asynccontextmanager
async def answered(stage: Stage, **faults: Any) -> AsyncIterator[None]:
    await stage.faults(retryAfterSeconds=1, **faults)
    stage.proxy.cut()
    yield
    await stage.faults()


@asynccontextmanager
async def portal(stage: Stage) -> AsyncIterator[None]:
    await stage.faults(captivePortal=True)
    stage.proxy.cut()
    yield
    await stage.faults()


@asynccontextmanager
async def stopped_gracefully(stage: Stage) -> AsyncIterator[None]:
    await stage.hub.stop()
    yield
    await stage.hub.start()


@asynccontextmanager
async def crashed(stage: Stage) -> AsyncIterator[None]:
    await stage.hub.kill()
    yield
    await stage.hub.start()


@asynccontextmanager
async def silenced(stage: Stage) -> AsyncIterator[None]:
    """A hub process that hangs: its sockets live, and nothing comes."""
    stage.hub.pause()
    yield
    stage.hub.resume()


@asynccontextmanager
async def cut_by_the_hub(stage: Stage) -> AsyncIterator[None]:
    await stage.hub.control("POST", "/control/cut")
    yield


@asynccontextmanager
async def cutting_batches(stage: Stage, **faults: int) -> AsyncIterator[None]:
    await stage.faults(**faults)
    await asyncio.sleep(0)
    yield
    await stage.faults()


@asynccontextmanager
async def unknown_host(stage: Stage) -> AsyncIterator[None]:
    url = stage.store.settings["hub__url"]
    stage.store.write_config(hub__url="https://no-such-hub.invalid/hubs/sync")
    stage.daemon.reload()
    yield
    stage.store.write_config(hub__url=url)
    stage.daemon.reload()


SCENARIOS = [
    Scenario("refused", refused, "refuses connections"),
    Scenario("refused amid the work", refused, "refuses connections", from_start=False),
    Scenario("reset at connect", partial(planned, fault=RESET), "broke the connection off"),
    Scenario("host name unknown", unknown_host, "cannot be resolved", from_start=False),
    Scenario("black hole at connect", partial(planned, fault=SILENT), "within|silent|answer"),
    Scenario("black hole after negotiate", partial(planned, fault=SILENT, first=2), "within|silent|answer"),
    Scenario("black hole after handshake", partial(planned, fault=Fault(down=400), first=2), "within|silent|nothing|answer"),
    Scenario("black hole mid-stream", partial(planned, fault=Fault(up=60_000), first=2), "within|silent|nothing|answer"),
    Scenario("half-open line", frozen, "within|silent|nothing|answer", from_start=False),
    Scenario("cut after some bytes", partial(planned, fault=Fault(up=70_001, then="cut"), first=2), "broke|cut|closed|lost|gone"),
    Scenario("hub restarted gracefully", stopped_gracefully, "broke|closed|gone", from_start=False),
    Scenario("hub crashed", crashed, "broke|closed|gone", from_start=False),
    Scenario("hub hangs", silenced, "within|silent|nothing|answer", from_start=False),
    Scenario("captive portal", portal, "page|portal|JSON"),
    *(Scenario(f"negotiate {status}", partial(answered, negotiateStatus=status), str(status)) for status in (401, 403, 404, 429, 500, 503)),
    *(Scenario(f"upgrade {status}", partial(answered, upgradeStatus=status), str(status)) for status in (401, 404, 503)),
]
