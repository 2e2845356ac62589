"""A flood of updates while none can be applied: sales go on, what has no room is shed and counted, and a catch-up brings it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.support.flow import arrived, close_shop, make_store
from tests.support.program import of_process
from tests.support.refhub import RefHub
from tests.support.store import until

if TYPE_CHECKING:
    from pathlib import Path

FLOOD = 20_000  # of 2 kB: more than the dispatcher holds
SALES = 100
AT = "2026-11-23T10:00:00.000Z"


def an_item(number: int) -> dict[str, object]:
    payload = json.dumps({"productId": number, "price": 9, "currency": "EUR", "updatedAt": AT, "version": 2})
    item = {"entityType": "Price", "entityId": number, "operation": "Update", "payload": payload}
    return item | {"timestamp": AT, "storeId": 7, "correlationId": f"f{number}"}


async def test_a_flood_of_updates_that_cannot_be_applied_stops_no_sale_and_is_made_up_for_by_a_catch_up(tmp_path: Path) -> None:
    async with RefHub() as hub:
        timeouts: dict[str, Any] = {"hub__keep_alive_interval_seconds": 1, "hub__server_timeout_seconds": 20}
        store = await make_store(tmp_path, hub.url(), database__outbox_path=str(tmp_path / "outbox.db"), **timeouts)
        async with store.running() as daemon:
            await until(lambda: store.status()["inbound"]["caughtUp"], "the first catch-up is done")
            with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                template = f'{{"productId":{{n}},"price":1,"currency":"EUR","updatedAt":"{AT}","version":1,"pad":"{"x" * 2000}"}}'
                body = {"method": "ReceivePriceUpdate", "template": template, "from": 0, "count": FLOOD}
                await hub.control("POST", "push-many", body)
                store.sell_many(SALES)
                await arrived(hub, SALES)
                status = await until(
                    lambda: store.status()["inbound"]["shed"] > 0 and store.status(), "the status says that updates were shed"
                )
                assert any("HQ sends more than can be applied" in reason for reason in status["reasons"])
                await hub.control("POST", "feed", [an_item(number) for number in range(FLOOD - 50, FLOOD)])
                other.execute("ROLLBACK")
            close_shop(store)
            found = "SELECT count(*) FROM prices WHERE price = '9'"
            with closing(sqlite3.connect(store.path)) as reader:
                await until(lambda: reader.execute(found).fetchone() == (50,), "the catch-up has brought what was shed")
            await until(
                lambda: not any("more than can be applied" in reason for reason in store.status()["reasons"]), "the status is clean"
            )
            assert (await hub.state())["connects"] == 1
            assert peak_bytes(daemon.pid) < 300_000_000


def peak_bytes(pid: int) -> int:
    (line,) = [line for line in of_process(pid, "status").decode().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])
