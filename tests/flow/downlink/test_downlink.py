"""HQ to store: what the hub pushes or a catch-up fetches is in the till's tables, exact to the digit, before HQ hears that it is."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from syncd.clock import iso_ms
from syncd.downlink.downlink import Downlink
from syncd.downlink.queue import MAX_UPDATES
from syncd.status.report import InboundStatus
from syncd.store.catalog import OWN_KINDS
from syncd.store.inbox import Inbox
from syncd.store.inbox_log import InboxLog
from syncd.store.replay import ReplayRequests
from tests.support.flow import close_shop, make_store
from tests.support.hub_rig import eventually, hub_settings, make_rig, running
from tests.support.hubs import BOTH, FlowHub, counted, flow_hub
from tests.support.refhub import RefHub
from tests.support.settings import make_settings
from tests.support.store import Store, until
from tests.support.storefiles import execute, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AT = "2026-11-23T10:00:00.000Z"
LATER = "2026-11-23T11:00:00.000Z"
TEMPLATES = {
    "ReceiveProductUpdate": '{"productId":{n},"sku":"S{n}","name":"Müsli {n}","isActive":true,"taxRate":7.00,'
    '"updatedAt":"%s","correlationId":"p{n}"}',
    "ReceivePriceUpdate": '{"productId":{n},"price":12.50,"currency":"EUR","updatedAt":"%s","correlationId":"c{n}"}',
    "ReceiveInventoryUpdate": '{"productId":{n},"quantityOnHand":0.100,"updatedAt":"%s","correlationId":"i{n}"}',
    "ReceiveTransaction": '{"transactionId":"T{n}","storeId":9,"type":"Sale","total":1e2,"currency":"EUR",'
    '"occurredAt":"%s","updatedAt":"%s","correlationId":"t{n}","payload":{"lines":[1.10]}}',
}


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


def a_price(**fields: object) -> dict[str, object]:
    return {"productId": 1, "price": 5, "currency": "EUR", "updatedAt": AT, "correlationId": "c1"} | fields


def an_item(number: int, kind: str = "Price", operation: str = "Update", payload: object = None, **fields: object) -> dict[str, object]:
    """A `SyncItem` with a price of product `number`, unless the payload is another."""
    body = {"productId": number, "price": number, "currency": "EUR", "updatedAt": AT} if payload is None else payload
    return {
        "entityType": kind, "entityId": number, "operation": operation, "payload": body if isinstance(body, str) else json.dumps(body),
        "timestamp": AT, "storeId": 7, "correlationId": f"f{number}",
    } | fields  # fmt: skip


async def online(store: Store, hub: FlowHub) -> None:
    """Connected, and done with its first catch-up."""
    await until(lambda: store.status()["inbound"]["caughtUp"], "the first catch-up is done")
    assert (await counted(hub))["connections"] == 1


async def push(hub: FlowHub, method: str, *messages: str | dict[str, object]) -> None:
    """Push these; text goes out as it stands, so that numbers keep theirs."""
    arguments = ",".join(message if isinstance(message, str) else json.dumps(message) for message in messages)
    await hub.control("POST", "push", f'{{"method":"{method}","args":[{arguments}]}}'.encode())


async def invoke(hub: FlowHub, method: str, message: object) -> Any:
    return await hub.control("POST", "invoke", {"method": method, "args": [message]})


async def acknowledged(hub: FlowHub, *, ok: int = 0, failed: int = 0) -> dict[str, Any]:
    async def enough() -> dict[str, Any] | None:
        state = await counted(hub)
        return state if (state["acksOk"], state["acksFailed"]) == (ok, failed) else None

    return dict(await until(enough, f"{ok} acknowledgements of success and {failed} of failure are at HQ"))


def cursor_is(store: Store, number: int) -> bool:
    """Whether the status file says that the catch-up has come so far."""
    return bool(store.status()["inbound"]["cursor"] == str(number))


# ── the four messages ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("per_message", [1, 25])
async def test_pushes_of_each_type_are_applied_exact_to_the_digit_and_acknowledged(tmp_path: Path, hub: FlowHub, per_message: int) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        for method, template in TEMPLATES.items():
            body = {"method": method, "template": template.replace("%s", AT), "from": 0, "count": 100, "perMessage": per_message}
            await hub.control("POST", "push-many", body)
        state = await acknowledged(hub, ok=400)
        assert state["acksOkDistinct"] == 400
        stamp = "2026-11-23T10:00:00.0000000Z"
        assert store.query("SELECT product_id, sku, name, is_active, tax_rate, updated_at FROM products WHERE product_id = 99") == [
            (99, "S99", "Müsli 99", 1, "7.00", stamp)
        ]
        assert store.query("SELECT price_list, price, typeof(price), currency FROM prices WHERE product_id = 0") == [
            ("default", "12.50", "text", "EUR")
        ]
        assert store.query("SELECT location_id, quantity_on_hand FROM inventory WHERE product_id = 5") == [("default", "0.100")]
        assert store.query("SELECT store_id, total, payload FROM transactions WHERE transaction_id = 'T7'") == [
            (9, "100", '{"lines":[1.10]}')
        ]
        kept = "SELECT count(*), count(DISTINCT correlation_id) FROM inbox WHERE outcome = 'applied' AND source = 'live'"
        await until(lambda: execute(store.database.state_path, kept) == [(400, 400)], "our own file has the last updates")
        status = await until(lambda: sum(store.status()["inbound"]["appliedTotal"].values()) == 400 and store.status(), "400 are counted")
        assert status["inbound"]["appliedTotal"] == {"product": 100, "price": 100, "inventory": 100, "transaction": 100}


async def test_field_names_match_in_any_case_and_unknown_fields_are_kept_with_their_digits(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        message = (
            f'{{"PRODUCTID":1,"Price":12.50,"currency":"EUR","UpdatedAt":"{AT}","correlationid":"c1","margin":0.10,'
            '"deep":{"big":123456789012345678901234567890,"list":[1.0,null,true]}}'
        )
        await push(hub, "receivePRICEupdate", message)
        await acknowledged(hub, ok=1)
        ((price, extra),) = store.query("SELECT price, extra FROM prices")
        assert price == "12.50"
        assert extra == '{"margin":0.10,"deep":{"big":123456789012345678901234567890,"list":[1.0,null,true]}}'


async def test_a_sync_item_is_applied_by_its_type_and_one_without_a_type_is_kept_aside(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        await push(hub, "ReceiveSyncItem", an_item(1))
        await push(hub, "ReceiveSyncItem", an_item(2, ""))
        await push(hub, "ReceiveSyncItem", an_item(1, operation="Delete", payload="", timestamp=LATER, correlationId="gone"))
        state = await acknowledged(hub, ok=2, failed=1)
        (ack,) = state["failedAcks"]
        assert (ack["correlationId"], ack["success"], ack["retryable"]) == ("f2", False, False)
        assert ack["errorMessage"] == "entityType is missing"
        assert store.query("SELECT product_id, price, is_deleted FROM prices") == [(1, "1", 1)]
        ((method, reason, raw),) = store.query("SELECT method, reason, raw FROM sync_quarantine")
        assert (method, reason, json.loads(raw)["entityId"]) == ("ReceiveSyncItem", "entityType is missing", 2)


# ── newer wins, twice is once ───────────────────────────────────────────────────────────────────────────────────────


async def test_an_older_update_after_a_delete_changes_nothing(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        await push(hub, "ReceivePriceUpdate", a_price(isDeleted=True, updatedAt=LATER))
        await push(hub, "ReceivePriceUpdate", a_price(price=9))
        await acknowledged(hub, ok=2)
        assert store.query("SELECT price, is_deleted FROM prices") == [("5", 1)]
        await until(lambda: store.status()["inbound"]["stale"] == 1, "it is counted as stale")


async def test_the_version_decides_where_both_have_one_else_the_time_and_what_is_not_newer_is_a_success(
    tmp_path: Path, hub: FlowHub
) -> None:
    cases: dict[str, tuple[dict[str, object], dict[str, object], bool]] = {
        "newer version": ({"version": 9}, {"version": 10, "updatedAt": "2020-01-01T00:00:00Z"}, True),
        "older version": ({"version": 10}, {"version": 9, "updatedAt": LATER}, False),
        "equal version": ({"version": 3}, {"version": 3, "updatedAt": LATER}, False),
        "version on one side": ({"version": 3}, {"updatedAt": LATER}, True),
        "newer time": ({}, {"updatedAt": LATER}, True),
        "older time by its zone": ({}, {"updatedAt": "2026-11-23T10:00:00+01:00"}, False),
        "equal time": ({}, {}, False),
    }
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        for name, (first, second, _) in cases.items():
            await push(hub, "ReceivePriceUpdate", a_price(productId=name, **first))
            await push(hub, "ReceivePriceUpdate", a_price(productId=name, price=9, correlationId="c2", **second))
        await acknowledged(hub, ok=2 * len(cases))
        found = dict(store.query("SELECT product_id, price FROM prices"))
        assert found == {name: "9" if wins else "5" for name, (_, _, wins) in cases.items()}
        await until(lambda: store.status()["inbound"]["stale"] == 4, "what is old news is counted")


async def test_a_time_far_ahead_is_applied_and_warned_about_once_by_name(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        await push(hub, "ReceivePriceUpdate", a_price(productId="P1", updatedAt="2099-01-01T00:00:00Z"))
        await push(hub, "ReceivePriceUpdate", a_price(productId="P1", updatedAt="2099-01-01T00:00:00Z"))
        await push(hub, "ReceivePriceUpdate", a_price(productId="P1", price=6))
        await push(hub, "ReceivePriceUpdate", a_price(productId="P2", updatedAt="2099-01-01T00:00:00Z", version=1))
        await acknowledged(hub, ok=4)
        assert store.query("SELECT price FROM prices WHERE product_id = 'P1'") == [("5",)]
        (event,) = store.events("update_from_the_future")
        assert (event["entity_type"], event["entity_id"], event["updated_at"]) == ("Price", "P1/default", "2099-01-01T00:00:00.0000000Z")


async def test_a_price_that_no_decimal_can_hold_is_refused_and_one_with_an_exponent_is_written_out(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        for number, price in enumerate(["1e300", "1e2", "12.50", "1e29"]):
            message = f'{{"productId":{number},"price":{price},"currency":"EUR","updatedAt":"{AT}","correlationId":"c{number}"}}'
            await push(hub, "ReceivePriceUpdate", message)
        await acknowledged(hub, ok=2, failed=2)
        assert store.query("SELECT product_id, price FROM prices ORDER BY 1") == [(1, "100"), (2, "12.50")]
        assert [json.loads(raw)["productId"] for (raw,) in store.query("SELECT raw FROM sync_quarantine ORDER BY id")] == [0, 3]


async def test_a_price_of_tomorrow_leaves_todays_in_force_and_a_delete_without_a_date_takes_both(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    tomorrow = iso_ms(datetime.now(UTC) + timedelta(days=1))
    async with store.running():
        await online(store, hub)
        await push(hub, "ReceivePriceUpdate", a_price(price=10))
        await push(hub, "ReceivePriceUpdate", a_price(price=12, effectiveFrom=tomorrow, correlationId="c2"))
        await hub.control(
            "POST", "feed", [an_item(2), an_item(2, payload=json.dumps(a_price(productId=2, price=3, effectiveFrom=tomorrow)))]
        )
        await hub.control("POST", "cut")
        await acknowledged(hub, ok=4)
        assert store.query("SELECT product_id, price FROM current_prices ORDER BY product_id") == [(1, "10"), (2, "2")]
        assert store.query("SELECT count(*) FROM prices") == [(4,)]
        await push(hub, "ReceiveSyncItem", an_item(1, operation="Delete", payload="", timestamp=LATER, correlationId="gone"))
        await acknowledged(hub, ok=5)
        assert store.query("SELECT product_id FROM prices WHERE is_deleted = 0") == [(2,), (2,)]


# ── what cannot be applied ──────────────────────────────────────────────────────────────────────────────────────────


async def test_malformed_updates_without_a_name_that_come_one_a_message_are_all_kept_as_they_came(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        body = {"method": "ReceivePriceUpdate", "template": '{"productId":{n},"price":"free"}', "from": 0, "count": 60, "perMessage": 1}
        await hub.control("POST", "push-many", body)
        await push(hub, "ReceivePriceUpdate", a_price())
        await acknowledged(hub, ok=1)
        kept = store.query("SELECT raw FROM sync_quarantine ORDER BY id")
        assert [raw for (raw,) in kept] == [f'{{"productId":{number},"price":"free"}}' for number in range(60)]


async def test_a_malformed_update_is_refused_and_kept_while_the_rest_of_its_list_goes_on(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        bad: list[Any] = [a_price(price="free", correlationId="b1"), {"correlationId": "b2"}, 17, None, "text", [[]]]
        await push(hub, "ReceivePriceUpdate", json.dumps([a_price(), *bad, a_price(productId=2, correlationId="c2")]))
        await push(hub, "ReceivePriceUpdate")
        await push(hub, "ReceivePriceUpdate", "null")
        state = await acknowledged(hub, ok=2, failed=2)
        assert {ack["correlationId"] for ack in state["failedAcks"]} == {"b1", "b2"}
        await until(lambda: store.query("SELECT count(*) FROM sync_quarantine") == [(4,)], "all are kept")
        ((reason, raw),) = store.query("SELECT reason, raw FROM sync_quarantine WHERE correlation_id = 'b1'")
        assert ("'free'" in reason, json.loads(raw)) == (True, bad[0])
        assert store.query("SELECT product_id FROM prices ORDER BY 1") == [(1,), (2,)]
        status = await until(lambda: store.status()["inbound"]["quarantined"] == 4 and store.status(), "they are counted")
        ((reason, raw),) = store.query("SELECT reason, raw FROM sync_quarantine WHERE raw LIKE '17%'")
        assert (reason.startswith("4 of 8 elements cannot be read, the first: "), raw) == (True, '17\nnull\n"text"\n[[]]')
        assert status["health"] == "warning"
        assert [(event["messages"], event["of"]) for event in store.events("update_malformed")] == [(6, 8), (1, 1)]


async def test_a_method_that_nobody_knows_is_answered_counted_and_kept_as_it_came(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await online(store, hub)
            with pytest.raises(RuntimeError, match="syncd has no method 'ReceivePromotionUpdate'"):
                await invoke(hub, "ReceivePromotionUpdate", {"promotionId": 5})
            await push(hub, "ReceivePromotionUpdate", '{"promotionId":5,"percent":12.50}')
            query = "SELECT method, reason, raw FROM sync_quarantine ORDER BY id"
            kept = await until(lambda: len(found := store.query(query)) == 2 and found, "both are kept")
            assert [row[:2] for row in kept] == [("ReceivePromotionUpdate", "an unknown method")] * 2
            assert json.loads(kept[0][2])["arguments"] == [{"promotionId": 5}]
            assert '"arguments":[{"promotionId":5,"percent":12.50}]' in kept[1][2]
            status = await until(lambda: store.status()["inbound"]["unreadable"] == 2 and store.status(), "they are counted")
            assert any("ReceivePromotionUpdate: an unknown method" in reason for reason in status["reasons"])
            assert status["health"] == "warning"


async def test_a_constraint_that_the_till_put_on_its_table_refuses_its_own_row_alone(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        store.query("CREATE TRIGGER no_thirteen BEFORE INSERT ON prices WHEN new.product_id = 13 BEGIN SELECT RAISE(ABORT, 'unlucky'); END")
        close_shop(store)
        async with store.running():
            await online(store, hub)
            body = {"method": "ReceivePriceUpdate", "template": TEMPLATES["ReceivePriceUpdate"].replace("%s", AT), "from": 0, "count": 50}
            await hub.control("POST", "push-many", body | {"perMessage": 50})
            state = await acknowledged(hub, ok=49, failed=1)
            assert (state["failedAcks"][0]["correlationId"], state["failedAcks"][0]["errorMessage"]) == ("c13", "unlucky")
            assert store.query("SELECT count(*) FROM prices") == [(49,)]
            assert store.query("SELECT correlation_id, reason FROM sync_quarantine") == [("c13", "unlucky")]


@pytest.mark.parametrize("action", ["ABORT", "ROLLBACK"])
@pytest.mark.parametrize("way", ["one list", "one by one", "catch-up"])
async def test_a_correction_of_what_a_trigger_refused_is_applied_and_only_the_refused_one_is_a_failure(
    tmp_path: Path, hub: FlowHub, way: str, action: str
) -> None:
    store = await make_store(tmp_path, hub.url())
    for event in ("INSERT", "UPDATE"):
        store.query(
            f"CREATE TRIGGER no_negative_{event} BEFORE {event} ON prices WHEN new.price LIKE '-%' "
            f"BEGIN SELECT RAISE({action}, 'negative'); END"
        )
    prices = [
        a_price(price=price, version=version, correlationId=f"f{n}") for n, (price, version) in enumerate([(5, 1), (-7, 3), (6, 3), (4, 2)])
    ]
    if way == "catch-up":
        await hub.control("POST", "feed", [an_item(n, payload=json.dumps(price)) for n, price in enumerate(prices)])
    async with store.running():
        await online(store, hub)
        if way == "one list":
            await push(hub, "ReceivePriceUpdate", json.dumps(prices))
        elif way == "one by one":
            for price in prices:
                await push(hub, "ReceivePriceUpdate", price)
        state = await acknowledged(hub, ok=3, failed=1)
        assert [(ack["correlationId"], ack["errorMessage"]) for ack in state["failedAcks"]] == [("f1", "negative")]
        assert store.query("SELECT price, version FROM prices") == [("6", 3)]
        ((raw,),) = store.query("SELECT raw FROM sync_quarantine")
        kept = json.loads(raw)
        assert json.loads(kept["payload"]) if way == "catch-up" else kept == prices[1]
        await until(lambda: {"quarantined": 1, "stale": 1}.items() <= store.status()["inbound"].items(), "both are counted")
        assert store.status()["health"] == "warning"


async def test_a_hub_that_waits_for_a_result_gets_the_sync_ack_after_the_commit(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        ack = await invoke(hub, "ReceivePriceUpdate", a_price())
        assert store.query("SELECT price FROM prices") == [("5",)]
        assert (ack["correlationId"], ack["success"], "errorMessage" in ack) == ("c1", True, False)
        ack = await invoke(hub, "ReceivePriceUpdate", a_price(currency=None, correlationId="bad"))
        assert (ack["correlationId"], ack["success"], ack["retryable"]) == ("bad", False, False)
        assert "currency" in ack["errorMessage"]
        assert store.query("SELECT correlation_id FROM sync_quarantine") == [("bad",)]
        acks = await invoke(hub, "ReceivePriceUpdate", [a_price(productId=2, correlationId="c2"), a_price(), {}])
        assert [(ack["correlationId"], ack["success"]) for ack in acks] == [("c2", True), ("c1", True), ("", False)]
        state = await counted(hub)
        assert (state["acksOk"], state["acksFailed"]) == (0, 0)  # the result was the acknowledgement


async def test_an_error_that_hq_tells_is_in_the_status_beside_the_last_one_of_the_line(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        await hub.control("POST", "cut")
        await until(
            lambda: store.status()["connection"]["lastError"] and store.status()["state"] == "online", "the line was cut, and is back"
        )
        line_error = store.status()["connection"]["lastError"]
        await push(hub, "Error", '"the warehouse is closed"')
        await until(lambda: (store.status()["lastHubError"] or {}).get("error") == "the warehouse is closed", "HQ's words are there")
        assert store.status()["connection"]["lastError"] == line_error
        assert store.events("hub_error")


async def test_what_hq_says_of_itself_is_in_the_status_file_and_no_message_ends_the_daemon(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running() as daemon:
        await online(store, hub)
        for method in ("SyncComplete", "SyncProgress", "HeartbeatResponse", "Error", "ReceiveSyncItem", "NoSuchMethod"):
            for odd in ("", "null", "[]", '"text"', "17", '{"totalItems":"many","completedAt":5}', "1,2,3"):
                await push(hub, method, *([odd] if odd else []))
        await push(hub, "Error", '"the warehouse is closed"')
        await until(lambda: "warehouse" in str(store.status()["lastHubError"]), "HQ's words are there")
        progress = {"totalItems": 9, "completedItems": 3, "failedItems": 1, "currentItem": "Price 3", "isComplete": False}
        await push(hub, "SyncProgress", progress | {"progressPercent": 33.3})
        await until(lambda: (store.status()["lastSyncProgress"] or {}).get("progressPercent") == 33.3, "so is its progress")
        assert progress.items() <= store.status()["lastSyncProgress"].items()
        assert {event["completed_items"] for event in store.events("sync_progress")} == {0, 3}
        complete = {"storeId": 7, "totalItems": 5, "completedItems": 4, "failedItems": 1, "completedAt": AT}
        await push(hub, "SyncComplete", complete)
        await until(lambda: store.status()["lastSyncComplete"] == complete, "the last word counts")
        assert daemon.process is not None
        assert daemon.process.returncode is None
        assert (await counted(hub))["connects"] == 1


# ── catching up ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_catch_up_goes_page_by_page_and_its_cursor_outlives_a_restart(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__pull_batch_size=10)
    await hub.control("POST", "feed", [an_item(n) for n in range(95)])
    async with store.running():
        state = await acknowledged(hub, ok=95)
        assert (state["acksOkDistinct"], state["batchRequests"]) == (95, 10)
        assert store.query("SELECT count(*) FROM prices") == [(95,)]
        assert store.query("SELECT cursor FROM sync_cursor") == [("95",)]
        await until(partial(cursor_is, store, 95), "the status file says so")
    await hub.control("POST", "feed", [an_item(200)])
    async with store.running():
        state = await acknowledged(hub, ok=96)
        assert state["batchRequests"] == 11
        assert store.query("SELECT count(*) FROM prices") == [(96,)]


async def test_what_is_published_while_connected_is_fetched_at_the_interval(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__pull_interval_seconds=0.3)
    async with store.running():
        await online(store, hub)
        await hub.control("POST", "feed", [an_item(1), an_item(2, "Weather", payload="["), an_item(3, payload="{")])
        await acknowledged(hub, ok=1, failed=2)
        assert (await counted(hub))["connects"] == 1
        assert store.query("SELECT method FROM sync_quarantine") == [("RequestBatchSync",)] * 2


async def test_live_updates_and_a_catch_up_may_cross(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__pull_batch_size=20)
    newer = TEMPLATES["ReceivePriceUpdate"].replace("%s", LATER)
    await hub.control("POST", "feed", [an_item(n) for n in range(1000)])
    async with store.running():
        await until(lambda: store.status()["connection"]["state"] == "connected", "it is connected")
        body = {"method": "ReceivePriceUpdate", "template": newer, "from": 0, "count": 1000, "perMessage": 50}
        await hub.control("POST", "push-many", body)
        await until(partial(cursor_is, store, 1000), "the catch-up is through")
        state = await acknowledged(hub, ok=2000)
        assert state["acksOkDistinct"] == 2000
        assert store.query("SELECT count(*), min(price), max(price) FROM prices") == [(1000, "12.50", "12.50")]


async def test_only_the_entity_types_that_are_asked_for_are_fetched(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__entity_types=["Price"])
    await hub.control("POST", "feed", [an_item(1, "Product"), an_item(2)])
    async with store.running():
        await acknowledged(hub, ok=1)
        assert store.query("SELECT product_id FROM prices") == [(2,)]
        assert store.status()["inbound"]["quarantined"] == 0


async def test_uploading_and_downloading_do_not_wait_for_each_other(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    await hub.control("POST", "feed", [an_item(n) for n in range(500)])
    store.sell_many(2000)
    close_shop(store)
    async with store.running():

        async def done() -> bool:
            state = await counted(hub)
            return bool((state["unique"], state["acksOkDistinct"]) == (2000, 500))

        await until(done, "both directions are through")
        assert (await counted(hub))["digest"] == store.digest()


async def test_a_line_that_is_cut_while_updates_come_in_is_made_good_by_the_next_catch_up(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    async with store.running():
        await online(store, hub)
        for start in (0, 100, 200):
            await hub.control("POST", "feed", [an_item(n) for n in range(start, start + 100)])
            await hub.control("POST", "cut")
            await until(partial(cursor_is, store, start + 100), "the catch-up is through")
        assert store.query("SELECT count(*) FROM prices") == [(300,)]

        async def all_known() -> bool:
            return bool((await counted(hub))["acksOkDistinct"] == 300)

        await until(all_known, "HQ knows that all are applied")


async def test_a_line_that_flaps_before_a_stuck_database_leaves_no_more_than_the_queue_holds(tmp_path: Path) -> None:
    store = await make_store(tmp_path, "http://127.0.0.1:1/hubs/sync")
    async with RefHub() as hub, opened(tmp_path) as files:
        await files.store.database.run(lambda connection: connection.execute("PRAGMA busy_timeout = 10"))
        await hub.control("POST", "feed", [an_item(n) for n in range(3000)])
        rig = make_rig(hub_settings(hub.url(), reconnect_delay_seconds=0.1))
        troubles: list[object] = []
        downlink = Downlink(
            hub=rig.hub, inbox=Inbox(files.store, rig.clock), inbox_log=InboxLog(files.journal, rig.clock),
            replay_requests=ReplayRequests(files.journal_maintenance, rig.clock), catalog=OWN_KINDS,
            settings=make_settings(tmp_path), clock=rig.clock, log=structlog.get_logger(), status=InboundStatus(),
            on_trouble=troubles.append, on_change=lambda: None,
        )  # fmt: skip

        async def greet(_: object) -> None:
            downlink.catch_up.connected()

        rig.hub.on_connected(greet)
        task = asyncio.create_task(downlink.run())
        with closing(store.till()) as till:
            till.execute("BEGIN IMMEDIATE")
            async with running(rig):
                template = TEMPLATES["ReceivePriceUpdate"].replace("%s", AT)
                for turn in range(1, 6):
                    session = await rig.hub.session()
                    body = {"method": "ReceivePriceUpdate", "template": template, "from": 10_000 * turn, "count": 5000, "perMessage": 500}
                    await hub.control("POST", "push-many", body)
                    await eventually(lambda: downlink.waiting >= MAX_UPDATES and troubles and troubles[-1] is not None)
                    await hub.control("POST", "cut")
                    await session.lost.wait()
                assert downlink.waiting <= MAX_UPDATES + 500 + 3 * 500, "the bound, one list, and the pages of one catch-up"
                till.execute("ROLLBACK")
                await until(lambda: store.query("SELECT count(*) FROM prices WHERE product_id < 3000") == [(3000,)], "HQ's feed is applied")
                await eventually(lambda: downlink.idle)
        task.cancel()
        assert isinstance(await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 10), list)
