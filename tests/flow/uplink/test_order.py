"""An entity's rows keep their order while the till writes and the queue is busy: where pages and counts cross, it is easily lost."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from tests.support.refhub import RefHub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from pathlib import Path


async def test_rows_of_one_transaction_and_different_priorities_never_overtake_each_other(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = Store(tmp_path, hub.url())
        store.python_options = ()
        await store.create()
        sales = 3000
        async with store.running():
            with closing(store.till()) as till:
                for sale in range(sales):
                    till.execute("BEGIN IMMEDIATE")
                    for operation, priority in (("Create", 1), ("Update", 3)):
                        till.execute(
                            "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES ('Sale', ?, ?, ?, ?)",
                            (sale, operation, json.dumps({"sale": sale}), priority),
                        )
                    till.execute("COMMIT")

            async def arrived() -> bool:
                return int((await hub.state())["unique"]) == 2 * sales

            await until(arrived, "every row is at HQ")
            assert (await hub.state())["orderViolationCount"] == 0
