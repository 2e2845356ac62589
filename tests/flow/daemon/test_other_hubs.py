"""Other hubs that an HQ team might have written: typed and silent, single items only, behind a redirect, behind a token."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.flow import arrived, drained, make_store
from tests.support.hubs import counted, faults, items
from tests.support.refhub import RefHub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # the seed hub's cursor: as many seconds after this as it has given items


@pytest.fixture
async def hub() -> AsyncIterator[RefHub]:
    async with RefHub() as hub:
        yield hub


def prices(start: int, stop: int) -> list[dict[str, object]]:
    """Items for the hub's feed."""
    return [
        {
            "entityType": "Price", "entityId": n, "operation": "Update", "timestamp": "2026-11-23T10:00:00Z", "correlationId": f"f{n}",
            "payload": json.dumps({"productId": n, "price": n, "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"}),
        }
        for n in range(start, stop)
    ]  # fmt: skip


# ── the hub that returns nothing and knows integers only ────────────────────────────────────────────────────────────


async def test_a_hub_that_returns_nothing_has_accepted_all(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/seed"))
    store.sell_many(400, entities=100)
    async with store.running():
        state = await arrived(hub, 400)
        assert (state["duplicates"], state["digest"]) == (0, store.digest())
        assert (await drained(store))["outbox"]["sentTotal"] == 400
        assert state["lastHeartbeat"]["StoreId"] == 7


async def test_a_row_that_such_a_hub_cannot_hold_fails_alone(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/seed"), sync__max_attempts=2)
    store.sell([("Receipt", "text" if n == 70 else n, "Create", "{}", 3) for n in range(200)])
    async with store.running():
        await arrived(hub, 199)
        status = await drained(store)
        assert (status["outbox"]["failed"], status["outbox"]["recentErrors"][-1]["entityId"]) == (1, "text")
        assert (await counted(hub))["duplicates"] == 0


async def test_one_throw_after_some_of_a_batch_were_taken_doubles_rows_that_hq_knows_and_loses_none(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/seed"), sync__max_attempts=1)
    await faults(hub, refuseEntityIds=["13"])
    store.sell([("Receipt", n, "Create", "{}", 3) for n in range(200)])
    async with store.running():
        await arrived(hub, 199)
        assert (await drained(store))["outbox"]["failed"] == 1


async def test_a_cursor_that_is_a_time_is_asked_for_with_an_overlap_and_skips_nothing(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/seed"), sync__pull_batch_size=10, sync__cursor_overlap_seconds=3)
    await hub.control("POST", "feed", prices(0, 35))
    for count, stale in ((35, 0), (42, 3)):
        async with store.running():
            await until(lambda: store.status()["inbound"]["caughtUp"], "it is caught up")
            assert store.query("SELECT count(*) FROM prices") == [(count,)]
            assert store.status()["inbound"]["stale"] == stale  # what comes twice is a no-op
            cursor = datetime.fromisoformat(store.status()["inbound"]["cursor"])
            assert cursor == EPOCH + timedelta(seconds=count)
        await hub.control("POST", "feed", prices(35, 42))


async def test_updates_are_acknowledged_one_by_one_where_the_hub_knows_no_lists_of_them(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/seed"))
    await hub.control("POST", "feed", prices(0, 30))
    async with store.running():

        async def all_known() -> bool:
            return bool((await counted(hub))["acksOkDistinct"] == 30)

        await until(all_known, "HQ knows of all of them")


# ── single items only ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_hub_for_single_items_gets_them_one_by_one_in_order(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/item"))
    store.sell_many(300, entities=20)
    async with store.running():
        state = await arrived(hub, 300)
        assert (state["maxBatchItems"], state["orderViolationCount"], state["duplicates"]) == (1, 0, 0)
        assert state["digest"] == store.digest()
        assert {item["attempt"] for item in await items(hub)} == {1}
        status = await drained(store)
        assert status["outbox"]["failed"] == 0
        assert any("RequestBatchSync" in reason for reason in status["reasons"])


async def test_a_refused_single_item_holds_its_entity_and_no_other(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/item"))
    await faults(hub, refuseEntityIds=["3"])
    store.sell_many(100, entities=10)
    async with store.running():
        await arrived(hub, 90)
        await until(lambda: len(store.events("row_refused")) >= 2, "it is tried again")
        assert len({event["id"] for event in store.events("row_refused")}) == 1
        await faults(hub)
        assert (await arrived(hub, 100))["orderViolationCount"] == 0


# ── redirects and tokens ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_redirect_leads_to_the_hub_that_takes_the_rows(tmp_path: Path, hub: RefHub) -> None:
    store = await make_store(tmp_path, hub.url("/hubs/redirect"))
    store.sell_many(50)
    async with store.running():
        assert (await arrived(hub, 50))["digest"] == store.digest()


async def token(hub: RefHub, seconds: int) -> str:
    return str(await hub.control("POST", f"token?store=7&seconds={seconds}"))


async def store_with_token(folder: Path, hub: RefHub, text: str, **settings: Any) -> tuple[Store, Path]:
    path = folder / "token"
    path.write_text(text, encoding="ascii")
    return await make_store(folder, hub.url(), hub__access_token_file=str(path), **settings), path


async def test_a_token_that_expires_is_read_anew_and_the_store_comes_back_by_itself(tmp_path: Path) -> None:
    async with RefHub("--auth=1") as hub:
        store, path = await store_with_token(tmp_path, hub, "made when all else is ready, since it does not live long")
        store.sell_many(30)
        path.write_text(await token(hub, 6), encoding="ascii")
        async with store.running():
            await arrived(hub, 30)
            assert (await counted(hub))["connects"] == 1
            path.write_text(await token(hub, 3600), encoding="ascii")

            async def back() -> bool:
                state = await counted(hub)
                return bool(state["connects"] == 2 and state["connections"] == 1)

            await until(back, "the hub closed at the expiry, and the store is back")
            store.sell_many(30)
            await arrived(hub, 60)
            assert (await drained(store))["health"] == "healthy"


async def test_a_token_that_hq_does_not_accept_is_said_in_plain_words_and_costs_no_row_an_attempt(tmp_path: Path) -> None:
    async with RefHub("--auth=1") as hub:
        store, path = await store_with_token(tmp_path, hub, "wrong")
        store.sell_many(30)
        async with store.running():
            await until(lambda: store.status()["connection"]["reconnectAttempts"] >= 2, "it has tried twice")
            status = await until(lambda: store.status()["health"] == "degraded" and store.status(), "the status file says so")
            assert any("HQ does not accept our token" in reason for reason in status["reasons"])
            assert "401" in status["connection"]["lastError"]
            assert status["outbox"]["pending"]["total"] == 30
            assert not any("wrong" in line for line in (store.log_path.read_text(), json.dumps(status)))
            path.write_text(await token(hub, 3600), encoding="ascii")
            await arrived(hub, 30)
            assert {item["attempt"] for item in await items(hub)} == {1}
            assert (await drained(store))["health"] == "healthy"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"negotiateStatus": 503, "retryAfterSeconds": 1}, "503"),
        ({"negotiateStatus": 404}, "there is no hub at this address"),
        ({"upgradeStatus": 403}, "403"),
        ({"captivePortal": True}, "page"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_whatever_keeps_the_store_from_the_hub_costs_no_attempt_and_passes(
    tmp_path: Path, hub: RefHub, fault: dict[str, object], words: str
) -> None:
    store = await make_store(tmp_path, hub.url())
    await faults(hub, **fault)
    store.sell_many(30)
    async with store.running():
        await until(lambda: words in str(store.status()["connection"]["lastError"]), "the status file says why")
        await faults(hub)
        await arrived(hub, 30)
        assert {item["attempt"] for item in await items(hub)} == {1}
