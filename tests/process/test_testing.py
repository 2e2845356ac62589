"""`syncd.testing`, as a team's tests use it: what it does, and what it says where a test fails."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from syncd.testing import Hub, Store, wait_until
from tests.support.contract import SCHEMAS, problems, problems_of_exchange

if TYPE_CHECKING:
    from pathlib import Path

SALE = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES (?, ?, 'Create', '{}')"
AT = "2026-11-23T10:00:00Z"
PRICE = {"productId": 7, "price": Decimal("12.50"), "currency": "EUR", "updatedAt": AT, "correlationId": "p"}


def test_a_store_and_a_hub_go_through_all_that_a_test_wants_of_them(tmp_path: Path) -> None:
    database = tmp_path / "till.db"
    with closing(sqlite3.connect(database)) as till:  # the till was first
        till.execute("CREATE TABLE receipts (id)")
    with Hub(tmp_path) as hub, Store(tmp_path, hub.url, database=database, settings={"store.id": "DE-7"}) as store:
        hub.set_faults(refuseEntityIds=["2"])
        for entity in (1, 2, "A-3"):
            store.execute(SALE, "Receipt", entity)
        assert hub.wait_for_item("Receipt", "A-3")["storeId"] == "DE-7"
        wait_until(lambda: hub.state()["refused"], "the second is refused")
        assert [item["entityId"] for item in hub.items()] == [1, "A-3"]
        hub.set_faults()
        assert hub.wait_for_item("Receipt", 2)["sequence"] == 2

        assert hub.push("ReceivePriceUpdate", PRICE, store="DE-7") == 1
        assert store.wait_for_row("SELECT price FROM prices") == ("12.50",)
        assert hub.invoke("ReceivePriceUpdate", {**PRICE, "price": "dear"})["success"] is False
        with pytest.raises(AssertionError, match=r"product_id = 8\. In the quarantine: ReceivePriceUpdate: Price: price must be a decimal"):
            store.wait_for_row("SELECT price FROM prices WHERE product_id = 8", timeout_seconds=0)
        hub.publish(
            {"entityType": "Inventory", "operation": "Update", "payload": '{"productId":7,"quantityOnHand":5,"updatedAt":"2026-11-23"}'}
        )
        assert hub.cut() == 1
        assert store.wait_for_row("SELECT quantity_on_hand FROM inventory") == ("5",)

        store.kill()
        hub.stop()
        store.start(connected=False)
        store.execute(SALE, "Receipt", 4)
        hub.start()
        assert hub.wait_for_item("Receipt", 4)
        hub.reset()
        assert hub.state()["unique"] == 0
        wait_until(store.is_connected, "the status says that it is connected again")


def test_what_did_not_happen_is_said_with_what_did(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        with pytest.raises(AssertionError, match=r"HQ gets Receipt 1; the last that came: none"):
            hub.wait_for_item("Receipt", 1, timeout_seconds=0)
        with pytest.raises(AssertionError, match="no store is connected"):
            hub.push("ReceivePriceUpdate", PRICE)
        with pytest.raises(AssertionError, match="store 7 is not connected"):
            hub.push("ReceivePriceUpdate", PRICE, store=7)
        with pytest.raises(AssertionError, match=r"409 .*no store is connected"):
            hub.invoke("ReceivePriceUpdate", PRICE)
        with pytest.raises(AssertionError, match=r"400 there is no fault refuseEverry; did you mean refuseEvery\?"):
            hub.set_faults(refuseEverry=1)
    with pytest.raises(AssertionError, match="syncd is not running"):
        hub.state()


def test_a_store_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)it ended with 78:.*sync\.batch_size"):
        Store(tmp_path, "http://127.0.0.1:9/hubs/sync", settings={"sync.batch_size": "many"}).start()


def test_a_store_that_is_not_connected_in_time_is_not_left_running(tmp_path: Path) -> None:
    store = Store(tmp_path, "http://127.0.0.1:9/hubs/sync")
    with pytest.raises(AssertionError, match=r"in vain: syncd is connected"):
        store.start(timeout_seconds=0.5)
    with pytest.raises(AssertionError, match="syncd is not running"):
        store.is_connected()


def test_a_hub_comes_back_to_its_port_once_nobody_else_has_it(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        hub.stop()
        port = int(hub.url.split(":")[2].partition("/")[0])
        with socket.create_server(("127.0.0.1", port)) as other, ThreadPoolExecutor() as pool:
            started = pool.submit(hub.start)
            wait_until(lambda: "is taken" in hub._process.tail(), "it has found the port taken")
            other.close()
            started.result()
        assert hub.state()["unique"] == 0


def test_pytest_is_needed_by_its_plugin_only() -> None:
    code = "import sys; sys.modules['pytest'] = None; import syncd.testing; print(syncd.testing.Hub.__name__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "Hub\n"


def test_a_kind_that_the_test_declares_has_its_table(tmp_path: Path) -> None:
    declared = {"key": ["promotionId"], "fields": {"promotionId": "identifier", "name": {"type": "text", "required": True}, "from": "time"}}
    [promotion] = SCHEMAS["EntitySync"]["examples"]
    customer = {"entityType": "Customer", "entityId": 9, "operation": "Update", "payload": '{"name":"Ada"}', "timestamp": AT}
    assert problems("FeedItem", customer) == []
    with Hub(tmp_path) as hub, Store(tmp_path, hub.url, settings={"entities.Promotion": declared}) as store:
        hub.push("ReceivePromotionUpdate", promotion)
        assert store.wait_for_row('SELECT promotion_id, name, "from" FROM promotions') == (
            5,
            "Three for two",
            "2026-11-23T10:00:00.0000000Z",
        )
        answer = hub.invoke("ReceivePromotionUpdate", [{**promotion, "promotionId": 6}])
        exchange = {"target": "ReceivePromotionUpdate", "arguments": [promotion], "result": answer}
        assert problems_of_exchange(exchange, closed=True) == []
        assert hub.invoke("ReceiveSyncItem", customer)["success"]
        assert store.wait_for_row("SELECT entity_id, payload FROM entities") == (9, '{"name":"Ada"}')
        assert hub.state()["acksFailed"] == 0


def test_a_store_may_have_a_prefix(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub, Store(tmp_path, hub.url, settings={"database.table_prefix": "syncd_"}) as store:
        store.execute(SALE.replace("sync_outbox", "syncd_outbox"), "Receipt", 1)
        assert hub.wait_for_item("Receipt", 1)["sequence"] == 1
        assert hub.invoke("ReceivePriceUpdate", {**PRICE, "price": "dear"})["success"] is False
        with pytest.raises(AssertionError, match=r"In the quarantine: ReceivePriceUpdate: Price: price must be a decimal"):
            store.wait_for_row("SELECT price FROM syncd_prices", timeout_seconds=0)
