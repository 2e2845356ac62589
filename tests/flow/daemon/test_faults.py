"""Every fault of the table, around the real daemon and the real hub: it says what is wrong, goes on, and everything arrives in order."""

from __future__ import annotations

import re
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import Authority
from tests.support.fault_proxy import FaultProxy
from tests.support.fault_table import SCENARIOS, Scenario, Stage
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

ROWS = 600
QUICK: dict[str, Any] = {
    "hub__connect_timeout_seconds": 1,
    "hub__keep_alive_interval_seconds": 0.5,
    "hub__server_timeout_seconds": 2,
    "hub__invocation_timeout_seconds": 3,
    "hub__reconnect_delay_seconds": 0.3,
    "hub__reconnect_max_delay_seconds": 1,
    "hub__max_reconnect_attempts": 3,
    "heartbeat__interval_seconds": 1,
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A hub that pings every half second, the proxy, and a store with a backlog whose daemon is not started yet."""
    async with RefHub("--keepalive-seconds=0.5", data=tmp_path / "hq") as hub, FaultProxy(hub.port) as proxy:
        store = Store(tmp_path, f"http://127.0.0.1:{proxy.port}/hubs/sync", **QUICK)
        await store.create()
        store.sell_many(ROWS, entities=150)
        daemon = Daemon(store)
        try:
            yield Stage(hub, proxy, store, daemon)
        finally:
            if daemon.process is not None:
                assert await daemon.stop() == 0


async def arrived(stage: Stage) -> bool:
    written: int = stage.store.query("SELECT count(*) FROM sync_outbox")[0][0]
    return int((await stage.hub.state())["unique"]) == written


async def all_arrived_once_and_in_order(stage: Stage) -> None:
    await until(lambda: arrived(stage), "every row is at HQ")
    state = await stage.hub.state()
    assert state["digest"] == stage.store.digest()
    assert state["orderViolationCount"] == 0
    await until(
        lambda: stage.store.status()["state"] == "online" and not stage.store.status()["outbox"]["pending"]["total"], "it is online"
    )
    assert stage.store.query("SELECT id FROM sync_outbox WHERE attempts > 0") == [], "a fault of the line cost attempts"


def says(store: Store, pattern: str) -> Callable[[], bool]:
    def look() -> bool:
        connection = store.status().get("connection", {})
        return bool(re.search(pattern, connection.get("lastError") or "")) and bool(
            connection.get("nextAttemptAt") or connection.get("reconnectAttempts")
        )

    return look


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
async def test_a_fault_is_survived_and_said_in_plain_words(
    stage: Stage, scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    store = stage.store
    if scenario.from_start:
        fault = scenario.fault(stage)
        await fault.__aenter__()
        await stage.daemon.start()
    else:
        await stage.daemon.start()
        await until(lambda: store.status()["connection"]["state"] == "connected", "it is connected")
        fault = scenario.fault(stage)
        await fault.__aenter__()
        store.sell_many(100)
    assert scenario.says is not None
    await until(says(store, scenario.says), f"the status file says {scenario.says!r}, it said {store.status()}", 30)
    told = store.status()["connection"]["lastError"]
    await fault.__aexit__(None, None, None)
    began = time.monotonic()
    await all_arrived_once_and_in_order(stage)
    recovery = time.monotonic() - began
    failures = [*store.events("hub_connect_failed"), *store.events("hub_connection_lost")]
    assert any(re.search(scenario.says, line["reason"]) and line["retry_in_seconds"] >= 0 for line in failures), "the log says it, too"
    record_property("recovery_seconds", round(recovery, 1))
    record_property("status", told)


@pytest.mark.parametrize(
    "faults", [{"cutAfterEvery": 3}, {"cutBeforeEvery": 3}, {"silentEvery": 5}, {"delayMs": 300}], ids=lambda f: next(iter(f))
)
async def test_a_hub_that_misbehaves_batch_by_batch_gets_everything(stage: Stage, faults: dict[str, int]) -> None:
    await stage.faults(**faults)
    # A call without an answer costs its whole time-out, and every fifth is one.
    stage.store.write_config(hub__invocation_timeout_seconds=2, sync__retry_base_seconds=2)
    await stage.daemon.start()
    await all_arrived_once_and_in_order(stage)


async def test_a_wrong_certificate_is_said_and_mended_by_a_reload(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "Other CA")
    certificate, key = authority.issue("hq")
    async with RefHub(f"--cert={certificate}", f"--key={key}", ssl=False) as hub:
        store = Store(tmp_path, hub.url(), **QUICK, hub__ca_file=str(other.file))
        await store.create()
        store.sell_many(ROWS)
        async with store.running() as daemon:
            await until(says(store, "certificate"), "the status file says that the certificate is not trusted")
            assert int((await hub.state())["connects"]) == 0
            store.write_config(hub__ca_file=str(authority.file))
            daemon.reload()

            async def everything() -> bool:
                return int((await hub.state())["unique"]) == ROWS

            await until(everything, "every row is at HQ")
            assert any("certificate" in line["reason"] for line in store.events("hub_connect_failed"))


async def test_random_cuts_under_load_in_both_directions_lose_and_double_nothing(stage: Stage) -> None:
    await stage.daemon.start()
    updates = {"method": "ReceivePriceUpdate", "from": 1, "count": 40}
    fields = '"productId":{n},"price":12.50,"currency":"EUR","updatedAt":"2026-11-24T00:00:00Z"'
    for cut in range(25):
        await until(lambda: stage.store.status()["connection"]["state"] == "connected", "it is connected")
        store_rows = 40
        stage.store.sell_many(store_rows)
        template = f'{{{fields},"version":{cut},"correlationId":"{cut}-{{n}}"}}'
        await stage.hub.control("POST", "/control/push-many", {**updates, "template": template})
        stage.proxy.cut()
    await all_arrived_once_and_in_order(stage)
    state = await stage.hub.state()
    assert state["maxConnections"] <= 2, "a new connection while the old one was not even noticed to be gone at HQ, never more"
    assert state["negotiates"] == state["upgrades"] + state["upgradesRefused"]


async def test_a_flood_and_a_giant_update_are_applied_while_the_backlog_drains(stage: Stage) -> None:
    await stage.daemon.start()
    await until(lambda: stage.store.status()["connection"]["state"] == "connected", "it is connected")
    template = '{"productId":{n},"price":12.50,"currency":"EUR","updatedAt":"2026-11-24T00:00:00Z","correlationId":"p{n}"}'
    await stage.hub.control("POST", "/control/push-many", {"method": "ReceivePriceUpdate", "template": template, "from": 1, "count": 3000})
    giant = {"productId": 1, "sku": "S", "name": "N", "isActive": True, "updatedAt": "2026-11-24T00:00:00Z", "description": "x" * 5_000_000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # aiohttp's advice about large bodies; it is the hub's that matters here
        await stage.hub.control("POST", "/control/push", {"method": "ReceiveProductUpdate", "args": [giant]})
    await stage.hub.control("POST", "/control/push", {"method": "NobodyKnowsThis", "args": [1, 2, 3]})
    await stage.hub.control("POST", "/control/push", {"method": "ReceivePriceUpdate", "args": ["rubbish", 7, None]})
    await all_arrived_once_and_in_order(stage)
    store = stage.store
    await until(
        lambda: store.query("SELECT count(*), min(price), max(price) FROM prices") == [(3000, "12.50", "12.50")], "the flood is applied"
    )
    await until(lambda: store.query("SELECT length(description) FROM products") == [(5_000_000,)], "the giant is applied")
    kept = [("NobodyKnowsThis", "an unknown method"), ("ReceivePriceUpdate", "3 of 3 elements cannot be read")]
    query = "SELECT method, substr(reason, 1, 30) FROM sync_quarantine ORDER BY method"
    await until(lambda: store.query(query) == kept, "the rubbish and the unknown method are kept")
    assert stage.store.status()["connection"]["state"] == "connected"
    assert len(store.events("hub_connected")) == 1
