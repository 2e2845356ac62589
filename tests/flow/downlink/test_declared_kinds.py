"""Kinds of the chain's own: on Monday HQ sends a promotion, and the tills have it as a table, by every way in which HQ can send it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.flow import close_shop, make_store
from tests.support.hubs import BOTH, FlowHub, counted, flow_hub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AT = "2026-11-23T10:00:00.000Z"
LATER = "2026-11-23T11:00:00.000Z"
PROMOTION = """
[entities.Promotion]
key = ["promotionId"]
indexes = [["startsAt"]]
fields = { promotionId = "identifier", name = { type = "text", required = true }, percent = "decimal", startsAt = "time" }
"""


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


def a_promotion(number: int, version: int = 1, percent: str = "12.50") -> str:
    return (
        f'{{"promotionId":"P{number}","name":"Müsli week","percent":{percent},"startsAt":"2026-12-01T00:00:00Z","color":"#ff0000",'
        f'"version":{version},"correlationId":"p{number}v{version}"}}'
    )


def an_item(kind: str, identifier: object, payload: str, operation: str = "Update", **fields: object) -> dict[str, Any]:
    return {
        "entityType": kind, "entityId": identifier, "operation": operation, "payload": payload, "timestamp": AT, "storeId": 7,
        "correlationId": f"{kind}{identifier}{operation}{len(payload)}",
    } | fields  # fmt: skip


async def push(hub: FlowHub, method: str, text: str) -> None:
    await hub.control("POST", "push", f'{{"method":"{method}","args":[{text}]}}'.encode())


def declare(store: Store, text: str = PROMOTION) -> None:
    store.declarations = text
    store.write_config()
    close_shop(store)


def promotions(store: Store) -> list[tuple[Any, ...]]:
    return store.query("SELECT promotion_id, percent, version, is_deleted FROM [promotions] ORDER BY promotion_id")


async def online(store: Store) -> None:
    await until(lambda: store.status().get("inbound", {}).get("caughtUp"), "the first catch-up is done")


async def test_a_promotion_comes_alone_in_lists_awaited_and_as_a_sync_item(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    declare(store)
    async with store.running():
        await online(store)
        await push(hub, "ReceivePromotionUpdate", a_promotion(1))
        await push(hub, "ReceivePromotionUpdate", f"[{a_promotion(2)},{a_promotion(3)}]")
        await push(hub, "ReceiveSyncItem", json.dumps(an_item("Promotion", "P4", a_promotion(4))))
        await push(hub, "ReceiveSyncItem", json.dumps(an_item("promotions", "P1", "", "Delete")))
        answer = await hub.control("POST", "invoke", {"method": "ReceivePromotionUpdate", "args": [json.loads(a_promotion(5))]})
        assert isinstance(answer, dict)
        assert (answer["success"], answer["correlationId"]) == (True, "p5v1")
        await until(lambda: len(promotions(store)) == 5, "all of them are in the table")
        await until(lambda: promotions(store)[0][3] == 1, "the first is a tombstone")
        assert promotions(store)[1:] == [(f"P{n}", "12.50" if n < 5 else "12.5", 1, 0) for n in range(2, 6)]
        assert store.query("SELECT DISTINCT name, starts_at, extra FROM promotions") == [
            ("Müsli week", "2026-12-01T00:00:00.0000000Z", '{"color":"#ff0000"}')
        ]
        await until(lambda: store.status()["inbound"]["appliedTotal"].get("promotion") == 6, "the status counts them")

        async def told() -> bool:
            return bool((await counted(hub))["acksOk"] >= 5)

        await until(told, "HQ has the acknowledgements")
        assert store.events("update_malformed") == []


async def test_one_that_lacks_its_key_or_does_not_fit_is_kept_aside_and_the_rest_of_its_list_goes_on(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    declare(store)
    async with store.running():
        await online(store)
        bad = f'{{"name":"no key","version":1,"correlationId":"bad"}},{a_promotion(2, percent=chr(34) + "many" + chr(34))}'
        await push(hub, "ReceivePromotionUpdate", f"[{a_promotion(1)},{bad},{a_promotion(3)}]")
        await until(lambda: [row[0] for row in promotions(store)] == ["P1", "P3"], "the good ones are in the table")
        assert store.query("SELECT method, reason FROM sync_quarantine ORDER BY id") == [
            ("ReceivePromotionUpdate", "Promotion: promotionId is missing"),
            ("ReceivePromotionUpdate", "Promotion: percent must be a decimal number, this is 'many'"),
        ]

        async def told() -> bool:
            state = await counted(hub)
            return (state["acksOk"], state["acksFailed"]) == (2, 2)

        await until(told, "HQ knows of both")


async def test_what_nobody_has_declared_is_kept_and_acknowledged_and_moves_once_somebody_has(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    feed = [an_item("Promotion", f"P{n}", a_promotion(n)) for n in range(700)]
    await hub.control("POST", "feed", [*feed, an_item("Customer", 1, '{"name":"Ä","points":1.50}'), an_item("Customer", 2, "", "Delete")])
    async with store.running():
        await online(store)
        rows = store.query(
            "SELECT entity_id, payload, is_deleted, updated_at FROM entities WHERE entity_type = 'Customer' ORDER BY entity_id"
        )
        assert rows == [(1, '{"name":"Ä","points":1.50}', 0, "2026-11-23T10:00:00.0000000Z"), (2, None, 1, "2026-11-23T10:00:00.0000000Z")]
        assert store.query("SELECT count(*) FROM entities WHERE entity_type = 'Promotion'") == [(700,)]
        assert store.query("SELECT count(*) FROM sync_quarantine") == [(0,)]
        await push(hub, "ReceiveSyncItem", json.dumps(an_item("Promotion", "P7", a_promotion(7, version=2, percent="20.00"))))
        await push(hub, "ReceiveSyncItem", json.dumps(an_item("Promotion", "P7", a_promotion(7, version=1, percent="1.00"))))
        await push(hub, "ReceiveSyncItem", json.dumps(an_item("Promotion", "P8", "", "Delete", timestamp=LATER)))
        newer = "SELECT count(*) FROM entities WHERE (entity_id = 'P7' AND version = 2) OR (entity_id = 'P8' AND is_deleted = 1)"
        await until(lambda: store.query(newer) == [(2,)], "newer wins, and a delete is a tombstone, there too")
        await until(lambda: store.status()["inbound"]["stale"] == 1, "older does not")
    assert [line for line in store.log() if line["level"] == "warning"] == []
    declare(store)
    async with store.running():
        await until(lambda: store.query("SELECT DISTINCT entity_type FROM entities") == [("Customer",)], "the promotions have moved")
        assert len(promotions(store)) == 700
        found = {row[0]: row[1:] for row in promotions(store)}
        assert (found["P7"], found["P8"][2], found["P9"]) == (("20.00", 2, 0), 1, ("12.50", 1, 0))
        await until(lambda: store.events("kind_moved"), "it is in the log")
        assert store.query("SELECT count(*) FROM sync_quarantine") == [(0,)]


@pytest.mark.parametrize("prefix", ["", "syncd_"])
async def test_promotions_are_whole_after_the_daemon_was_killed_amid_them(tmp_path: Path, hub: FlowHub, prefix: str) -> None:
    """Live, by the catch-up, and while they move from the table `entities` into their own."""
    store = await make_store(tmp_path, hub.url(), sync__pull_batch_size=20, database__table_prefix=prefix)
    await hub.control("POST", "feed", [an_item("Promotion", f"P{n}", a_promotion(n)) for n in range(300)])

    def kept() -> int:
        return int(store.query("SELECT count(*) FROM [entities]")[0][0])

    async with store.running() as daemon:
        await until(lambda: kept() > 50, "the catch-up is under way")
        await daemon.kill()
    close_shop(store)
    declare(store)
    async with store.running() as daemon:
        await until(lambda: len(promotions(store)) > 50, "some have moved, or come")
        await daemon.kill()
    close_shop(store)
    async with store.running() as daemon:
        await until(lambda: store.status().get("connection", {}).get("state") == "connected", "it is connected")
        await push(hub, "ReceivePromotionUpdate", ",".join(a_promotion(n, version=2, percent="99.00") for n in range(100)).join("[]"))
        await until(lambda: any(row[2] == 2 for row in promotions(store)), "live updates are being applied")
        await daemon.kill()
    close_shop(store)
    await hub.control("POST", "feed", [an_item("Promotion", f"P{n}", a_promotion(n, version=2, percent="99.00")) for n in range(100)])
    async with store.running():
        await until(lambda: len(promotions(store)) == 300 and kept() == 0, "all are there")
        await until(lambda: sum(row[1] == "99.00" for row in promotions(store)) == 100, "and the newer ones")
        assert store.query("SELECT count(DISTINCT change_seq) FROM [promotions]") == [(300,)]
        assert store.query("SELECT count(*) FROM [sync_quarantine]") == [(0,)]


async def test_a_kind_that_is_asked_for_later_is_fetched_from_its_beginning_and_pushes_are_not_narrowed(
    tmp_path: Path, hub: FlowHub
) -> None:
    store = await make_store(tmp_path, hub.url(), sync__entity_types=["Price"])
    declare(store)
    await hub.control("POST", "feed", [an_item("Promotion", f"P{n}", a_promotion(n)) for n in range(3)])
    async with store.running() as daemon:
        await online(store)
        assert promotions(store) == []
        await push(hub, "ReceivePromotionUpdate", a_promotion(9))
        await until(lambda: [row[0] for row in promotions(store)] == ["P9"], "a push is applied, whatever is asked for")
        store.write_config(sync__entity_types=["Price", "Promotion"])
        daemon.reload()
        await until(lambda: [row[0] for row in promotions(store)] == ["P0", "P1", "P2", "P9"], "those before are there")


async def test_a_reload_with_a_declaration_that_cannot_be_keeps_the_one_before(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    declare(store)
    async with store.running() as daemon:
        await online(store)
        declare(store, PROMOTION.replace('percent = "decimal"', 'percent = "text"'))
        daemon.reload()
        (refused,) = await until(lambda: store.events("configuration_refused"), "the new one is refused")
        assert "entities.Promotion.fields.percent = 'text': it is decimal in the store, and a type cannot change" in refused["error"]
        await push(hub, "ReceivePromotionUpdate", a_promotion(1))
        await until(lambda: promotions(store) == [("P1", "12.50", 1, 0)], "the one before it stays in use")
        declare(store, PROMOTION.replace('percent = "decimal"', 'percent = "decimal", color = "text"'))
        daemon.reload()
        color = "SELECT name FROM pragma_table_info('promotions') WHERE name = 'color'"
        await until(lambda: store.query(color) == [("color",)], "one that can be is taken")
        await until(lambda: store.query("SELECT color, extra FROM promotions") == [("#ff0000", None)], "and its column is filled")
