"""All that passes between a store and either hub is as the published schemas say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.contract import METHODS, SCHEMAS, problems, problems_of_exchange
from tests.support.flow import arrived, make_store
from tests.support.hubs import BOTH, FlowHub, counted, faults, flow_hub
from tests.support.refhub import RefHub
from tests.support.store import Store, until
from tests.support.wire_tap import WireTap

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = "broken on purpose"
AT = "2026-11-23T10:00:00Z"
TIMES = (
    "2026-11-23 10:00:00.1234567",
    "2026-11-23T10:00:00.000Z",
    "2026-11-23T11:00:00+01:00",
    "2026-11-23",
    "0001-01-01 00:00:00",
    "noon",
)
"""As tills write them: .NET, JavaScript, others, and what nobody can read."""
KINDS = {
    "ReceiveProductUpdate": "ProductSync", "ReceivePriceUpdate": "PriceSync", "ReceiveInventoryUpdate": "InventorySync",
    "ReceiveTransaction": "TransactionSync",
}  # fmt: skip
TO_HQ = {name for name, method in METHODS.items() if method["$comment"] == "store to HQ"}


def check(tap: WireTap) -> set[str]:
    """Everything is as the schemas say, without a field more; the methods that were called.

    Only the arguments that this test has broken on purpose are not looked at, but what the store answers to them is.
    """
    for exchange in tap.exchanges:
        message = dict(exchange.message)
        if BROKEN in json.dumps(message["arguments"]) and not exchange.from_store:
            message["arguments"] = METHODS[exchange.target]["examples"][0]["arguments"]
        assert problems_of_exchange(message, closed=True) == [], exchange.message
        assert exchange.from_store == (exchange.target in TO_HQ)
    return {exchange.target for exchange in tap.exchanges}


def example(name: str, **changes: object) -> dict[str, Any]:
    return {**SCHEMAS[name]["examples"][0], **changes}


async def push(hub: FlowHub, method: str, *arguments: object) -> None:
    await hub.control("POST", "push", {"method": method, "args": arguments})


async def ask(hub: FlowHub, method: str, *arguments: object) -> Any:
    """As a hub that awaits the client's result."""
    return await hub.control("POST", "invoke?seconds=60", {"method": method, "args": arguments})


async def acknowledged(hub: FlowHub, count: int) -> None:
    async def enough() -> bool:
        return bool((await counted(hub))["acksOk"] >= count)

    await until(enough, f"{count} updates are acknowledged")


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("store_id", [7, "DE-007"])
async def test_all_that_passes_is_in_the_schemas(tmp_path: Path, kind: str, store_id: int | str) -> None:
    async with flow_hub(kind) as hub, WireTap(hub.url()) as tap:
        store = await make_store(tmp_path, tap.url, store__id=store_id, sync__batch_size=20, sync__entity_types=["Price", "Product"])
        await faults(hub, refuseEntityIds=["refused"], refuseRetryable=False)
        await hub.control("POST", "feed", [feed_item(n) for n in range(30)] + [feed_item(99, operation="Delete", payload="")])
        store.sell([(f"Kind{n % 3}", n if n % 2 else f"é-{n}", "Create", json.dumps({"n": n}), 1 + n % 4) for n in range(60)])
        store.sell([("Receipt", "refused", "Update", "{}", 2), ("Receipt", 2.0, "Delete", "", 1)])
        for created_at in TIMES:
            store.query(
                "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, created_at) VALUES ('Odd', -1, 'Update', '', ?)",
                created_at,
            )
        async with store.running():
            await arrived(hub, 61 + len(TIMES))
            await until(lambda: store.status()["outbox"]["failed"] == 1, "what HQ refuses for good has failed")
            await until(lambda: store.status()["inbound"]["caughtUp"], "the feed has been read")
            for method, name in KINDS.items():
                await push(hub, method, example(name))
                await push(hub, method, [example(name, version=n, correlationId=f"{name} {n}") for n in range(4, 8)])
                assert (await ask(hub, method, example(name, version=9)))["success"]
                answers = await ask(hub, method, [example(name, version=n) for n in (10, 11)] + [{"correlationId": BROKEN}])
                assert [answer["success"] for answer in answers] == [True, True, False]
            await push(hub, "ReceiveSyncItem", feed_item(7))
            await push(hub, "ReceivePriceUpdate", example("PriceSync", price="dear", correlationId=BROKEN))
            for method in ("SyncComplete", "SyncProgress", "Error"):
                await push(hub, method, METHODS[method]["examples"][0]["arguments"][0])
            await acknowledged(hub, 4 * 5 + 1)
            await until(lambda: store.status()["lastHubError"], "HQ's word has been heard")
        called = check(tap)
    assert called >= {*KINDS, "SendSyncBatch", "RequestBatchSync", "Heartbeat", "HeartbeatResponse", "AcknowledgeBatch"}
    assert called >= {"ReceiveSyncItem", "SyncComplete", "SyncProgress", "Error"}
    assert {ack["success"] for exchange in tap.exchanges for ack in acks_of(exchange.message)} == {True, False}


async def test_a_hub_that_knows_single_items_only_is_sent_what_the_schemas_say(tmp_path: Path) -> None:
    async with RefHub() as hub, WireTap(hub.url("/hubs/item")) as tap:
        store = await make_store(tmp_path, tap.url)
        store.sell_many(20)
        async with store.running():
            await arrived(hub, 20)
            await hub.control("POST", "push?hub=item", {"method": "ReceivePriceUpdate", "args": [example("PriceSync")]})
            await acknowledged(hub, 1)
        for exchange in tap.exchanges:  # what it does not know, it answers with an error
            assert problems_of_exchange(exchange.message, closed=True) == [], exchange.message
        answered = {exchange.target for exchange in tap.exchanges if "result" in exchange.message}
    assert answered >= {"SendSyncItem", "Acknowledge", "Heartbeat"}


async def test_what_the_schemas_take_is_applied_and_what_they_refuse_is_quarantined(tmp_path: Path) -> None:
    broken: list[tuple[str, str, dict[str, Any]]] = [
        ("ReceiveProductUpdate", "ProductSync", {"sku": None}), ("ReceiveProductUpdate", "ProductSync", {"isActive": 1}),
        ("ReceiveProductUpdate", "ProductSync", {"productId": ""}), ("ReceivePriceUpdate", "PriceSync", {"price": "12,50"}),
        ("ReceivePriceUpdate", "PriceSync", {"price": 1e30}), ("ReceivePriceUpdate", "PriceSync", {"updatedAt": "yesterday"}),
        ("ReceivePriceUpdate", "PriceSync", {"currency": None}), ("ReceiveInventoryUpdate", "InventorySync", {"quantityOnHand": True}),
        ("ReceiveTransaction", "TransactionSync", {"occurredAt": None}), ("ReceiveTransaction", "TransactionSync", {"storeId": 1.5}),
        ("ReceiveSyncItem", "FeedItem", {"entityType": None}), ("ReceiveSyncItem", "FeedItem", {"payload": "{"}),
    ]  # fmt: skip
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await until(lambda: store.status()["state"] == "online", "it is connected")
            for method, name in [*KINDS.items(), ("ReceiveSyncItem", "FeedItem")]:
                for message in SCHEMAS[name]["examples"]:
                    assert (await ask(hub, method, message))["success"], message
            assert quarantined(store) == 0
            for number, (method, name, changes) in enumerate(broken, 1):
                message = example(name, **changes)
                assert problems(name, message) or changes == {"payload": "{"}, message
                answer = await ask(hub, method, message)
                assert not answer["success"], message
                assert problems("SyncAck", answer, closed=True) == []
                assert quarantined(store) == number


def feed_item(number: int, **changes: object) -> dict[str, Any]:
    price = {"productId": number, "price": "1.50", "currency": "EUR", "updatedAt": AT}
    item = {"entityType": "Price", "entityId": number, "operation": "Update", "payload": json.dumps(price), "timestamp": AT}
    return {**item, "correlationId": f"feed {number}", **changes}


def acks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """HQ's verdicts in an exchange."""
    result = message.get("result")
    return result if message["target"] == "SendSyncBatch" and isinstance(result, list) else []


def quarantined(store: Store) -> int:
    return int(store.query("SELECT count(*) FROM sync_quarantine")[0][0])
