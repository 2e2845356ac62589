"""Rows that were kept before their kind was declared, and cannot simply move."""

from __future__ import annotations

import json
from contextlib import closing
from sqlite3 import connect
from typing import TYPE_CHECKING

from tests.flow.downlink.test_declared_kinds import a_promotion, an_item, declare, online, promotions, push
from tests.support.commands import succeeded
from tests.support.flow import close_shop, make_store
from tests.support.hubs import flow_hub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from pathlib import Path


def execute(store: Store, sql: str) -> None:
    with closing(connect(store.path)) as database, database:
        database.execute(sql)


async def test_what_cannot_be_read_or_is_refused_stops_no_daemon_and_is_not_lost(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url())
        declare(store)
        async with store.running():
            await online(store)
        execute(store, "CREATE TRIGGER pos BEFORE INSERT ON promotions WHEN NEW.promotion_id = 'P2' BEGIN SELECT RAISE(ABORT, 'no'); END")
        declare(store, "")
        async with store.running():
            await online(store)
            await push(hub, "ReceiveSyncItem", json.dumps(an_item("Promotion", "P0", " ")))
            for number in (1, 2):
                await push(hub, "ReceiveSyncItem", json.dumps(an_item("Promotion", f"P{number}", a_promotion(number))))
            await until(lambda: store.query("SELECT count(*) FROM entities") == [(3,)], "all of them are kept")
        declare(store)
        async with store.running():
            await until(lambda: store.events("kind_moved"), "what can move has moved")
            assert [row[0] for row in promotions(store)] == ["P1"]
            assert store.query("SELECT entity_id FROM entities") == [("P0",)]
            assert store.query("SELECT method, reason FROM sync_quarantine") == [("entities", "no")]
            execute(store, "DROP TRIGGER pos")
            close_shop(store)
            assert await succeeded(store, "quarantine", "replay", "--all", "--timeout", "60s") == "1  Promotion P2  applied\n"
            assert [row[0] for row in promotions(store)] == ["P1", "P2"]
