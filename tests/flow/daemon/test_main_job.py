"""The main job on real parts: the daemon as a process, a till's database, and a hub."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jsonschema
import pytest

from tests.support.flow import arrived, close_shop, drained, make_store
from tests.support.hubs import BOTH, counted, flow_hub
from tests.support.store import until

SCHEMA = Path(__file__).parents[3] / "config" / "status.schema.json"


@pytest.mark.parametrize("prefix", ["", "syncd_"])
@pytest.mark.parametrize("kind", BOTH)
async def test_a_backlog_of_all_priorities_arrives_whole_once_and_in_order(tmp_path: Path, kind: str, prefix: str) -> None:
    async with flow_hub(kind) as hub:
        store = await make_store(tmp_path, hub.url(), database__table_prefix=prefix)
        store.sell_many(3000)
        close_shop(store)
        async with store.running():
            state = await arrived(hub, 3000)
            assert (state["duplicates"], state["orderViolationCount"], state["priorityInversions"]) == (0, 0, 0)
            assert state["digest"] == store.digest()
            status = await drained(store)
            assert status["outbox"]["sentTotal"] == 3000
            await until(lambda: store.count("sent") == 3000, "the till's file says so")
        jsonschema.validate(store.status(), json.loads(SCHEMA.read_bytes()))


async def test_a_sale_is_at_hq_a_moment_after_its_commit(tmp_path: Path) -> None:
    async with flow_hub("real") as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await until(lambda: store.status()["inbound"]["caughtUp"], "it is connected and idle")
            took = []
            for number in range(1, 6):
                store.sell([("Receipt", number, "Create", "{}", 1)])
                began = time.monotonic()
                await arrived(hub, number)
                took.append(time.monotonic() - began)
            assert min(took) < 0.3  # the test itself looks every 20 ms; a poll of the database every second would show
            assert (await counted(hub))["batches"] == 5


async def test_hq_knows_who_speaks_before_the_first_row(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url(), store_id="017")
        store.sell_many(10)
        async with store.running():
            state = await arrived(hub, 10)
            assert (state["lastHeartbeat"]["storeId"], list(state["heartbeatsByStore"])) == ("017", ["017"])
            await until(lambda: store.status()["heartbeat"]["lastResponseAt"], "HQ has answered")
