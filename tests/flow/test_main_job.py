"""The main job on real parts: the daemon as a process, a till's database, and a real hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.refhub import RefHub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_backlog_of_all_priorities_arrives_whole_once_and_in_order(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = Store(tmp_path, hub.url())
        await store.create()
        store.sell_many(3000)
        async with store.running():

            async def arrived() -> bool:
                return int((await hub.state())["unique"]) == 3000

            await until(arrived, "every row is at HQ")
            state = await hub.state()
            assert (state["duplicates"], state["orderViolationCount"], state["priorityInversions"]) == (0, 0, 0)
            assert state["digest"] == store.digest()
            await until(lambda: store.count("sent") == 3000, "the till's file says so")
            status = await until(lambda: store.status()["state"] == "online" and store.status(), "it is online")
            assert status["outbox"]["pending"]["total"] == 0
