"""The catch-up over the years: other kinds, another HQ, an HQ whose feed begins anew. Whatever HQ has, the store has, too."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.flow import make_store
from tests.support.hubs import BOTH, FlowHub, counted, flow_hub
from tests.support.odd_feed import OddFeed, prices
from tests.support.refhub import RefHub
from tests.support.scripted_hub import ScriptedHub, Wire
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AT = "2026-11-23T10:00:00.000Z"
AN_HOUR_HALF_A_SECOND = 0.5 / 3600


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


def a_product(number: int) -> dict[str, object]:
    payload = {"productId": number, "sku": f"S{number}", "name": "Müsli", "isActive": True, "updatedAt": AT}
    return {
        "entityType": "Product", "entityId": number, "operation": "Create", "payload": json.dumps(payload), "timestamp": AT,
        "correlationId": f"product{number}",
    }  # fmt: skip


async def caught_up(store: Store, what: str, *amounts: int) -> None:
    """The status says so, and the store has these prices."""
    await until(lambda: store.status()["inbound"]["caughtUp"] and has(store, *amounts), what)


def has(store: Store, *amounts: int) -> bool:
    return store.query("SELECT price FROM prices ORDER BY product_id") == [(str(amount),) for amount in amounts]


async def feed(hub: FlowHub, items: list[dict[str, object]]) -> None:
    await hub.control("POST", "feed", items)


async def requests(hub: FlowHub) -> int:
    return int((await counted(hub))["batchRequests"])


# ── a cursor belongs to a hub and to kinds ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wider", [["Price", "Product"], []])
async def test_kinds_that_are_asked_for_later_are_fetched_from_their_beginning(tmp_path: Path, hub: FlowHub, wider: list[str]) -> None:
    store = await make_store(tmp_path, hub.url(), sync__entity_types=["Price"])
    await feed(hub, [a_product(n) for n in range(200)] + prices(1, 2, 3))
    async with store.running() as daemon:
        await caught_up(store, "the prices are there", 1, 2, 3)
        assert store.query("SELECT count(*) FROM products") == [(0,)]
        store.write_config(sync__entity_types=wider)
        daemon.reload()
        await until(lambda: store.query("SELECT count(*) FROM products") == [(200,)], "the products are there")
        await until(lambda: store.status()["inbound"]["caughtUp"], "and now it says so")
    before = await requests(hub)
    async with store.running():
        await caught_up(store, "nothing is new", 1, 2, 3)
    assert await requests(hub) == before + 1


async def test_fewer_kinds_keep_the_cursor_and_one_that_comes_back_is_fetched_from_its_beginning(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__pull_batch_size=10)
    await feed(hub, prices(*range(95)))
    async with store.running():
        await caught_up(store, "all are there", *range(95))
    before = await requests(hub)
    store.write_config(sync__entity_types=["Price"])
    await feed(hub, [a_product(n) for n in range(5)] + prices(100))
    async with store.running():
        await caught_up(store, "the new price is there", 100, *range(1, 95))
    assert await requests(hub) == before + 1
    assert store.query("SELECT count(*) FROM products") == [(0,)]
    store.write_config(sync__entity_types=[])
    async with store.running():
        await until(lambda: store.query("SELECT count(*) FROM products") == [(5,)], "what went by meanwhile is there")


async def test_another_hq_is_asked_from_its_beginning_and_the_first_one_from_where_it_was(tmp_path: Path) -> None:
    async with RefHub() as first, RefHub() as second:
        await feed(first, prices(*range(100)))
        await feed(second, prices(*range(1000, 1100)))
        store = await make_store(tmp_path, first.url())
        async with store.running():
            await caught_up(store, "the first HQ's prices", *range(100))
        store.write_config(hub__url=second.url() + "?key=s3cret")
        async with store.running():
            await caught_up(store, "the second HQ's prices", *range(1000, 1100))
        store.write_config(hub__url=first.url().upper().replace("/HUBS/SYNC", "/hubs/sync/").replace("HTTP", "ws"))
        before = await requests(first)
        async with store.running():
            await until(lambda: store.status()["inbound"]["caughtUp"], "the first HQ has nothing new")
        assert (await requests(first)) == before + 1
        assert "s3cret" not in store.path.read_bytes().decode("latin-1")


# ── a pass and its connection ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_pass_that_outlives_its_connection_does_not_say_that_it_is_caught_up_on_the_next_one(tmp_path: Path) -> None:
    wires: list[Wire] = []
    asked, answer = asyncio.Event(), asyncio.Event()

    async def serve(wire: Wire) -> None:
        wires.append(wire)
        is_first = len(wires) == 1
        while (message := await wire.listen()) is not None:
            result: dict[str, object] | None = None
            if message.get("target") == "RequestBatchSync":
                if not is_first:
                    asked.set()
                    await answer.wait()
                amounts = (1,) if is_first else (1, 2)
                result = {"success": True, "items": prices(*amounts), "hasMore": False, "nextCursor": str(len(amounts))}
            if "invocationId" in message:
                await wire.say({"type": 3, "invocationId": message["invocationId"], "result": result})
            if result and is_first:
                await wire.socket.close()

    async with ScriptedHub(serve) as hub:
        store = await make_store(tmp_path, hub.url)
        with closing(store.till()) as till:
            till.execute("BEGIN IMMEDIATE")  # what the first connection brought cannot be applied yet
            async with store.running():
                await until(lambda: len(wires) == 2 and store.status()["connection"]["state"] == "connected", "there is a second one")
                till.execute("COMMIT")
                await asyncio.wait_for(asked.wait(), 30)
                await wires[1].say({"type": 1, "target": "SyncProgress", "arguments": [{"totalItems": 1, "currentItem": "later"}]})
                await until(
                    lambda: (store.status()["lastSyncProgress"] or {}).get("currentItem") == "later", "the status was written after that"
                )
                assert not store.status()["inbound"]["caughtUp"]
                assert has(store, 1)
                answer.set()
                await caught_up(store, "all is there", 1, 2)


# ── a feed that begins anew ─────────────────────────────────────────────────────────────────────────────────────────


def started_over(store: Store) -> list[str]:
    return [event["reason"] for event in store.events("catch_up_started_over")]


async def another_feed(hub: RefHub, data: Path, *lost: str) -> None:
    """HQ stops, loses these files, and starts."""
    await hub.stop()
    for name in lost:
        (data / name).unlink()
    await hub.start()


@pytest.mark.parametrize("amounts", [(11, 12), (11, 12, 13, 14, 15, 16, 17, 18)])
async def test_a_feed_with_another_name_is_fetched_from_its_beginning(tmp_path: Path, amounts: tuple[int, ...]) -> None:
    data = tmp_path / "hq"
    async with RefHub("--feed-epochs=1", data=data) as hub:
        await feed(hub, prices(1, 2, 3, 4, 5, 6))
        store = await make_store(tmp_path, hub.url(), sync__pull_interval_seconds=0.3)
        async with store.running():
            await caught_up(store, "six prices", 1, 2, 3, 4, 5, 6)
            await another_feed(hub, data, "feed.jsonl", "feed.epoch")
            await feed(hub, prices(*amounts))
            await caught_up(store, "what the other feed says", *amounts, *range(len(amounts) + 1, 7))
            asked = await requests(hub)
            await until(lambda: requests_are_above(hub, asked + 3), "it is asked as before")
        assert len(started_over(store)) == 1
        assert store.query("SELECT cursor FROM sync_cursor") == [(str(len(amounts)),)]


async def requests_are_above(hub: FlowHub, number: int) -> bool:
    return await requests(hub) > number


async def test_a_cursor_that_hq_does_not_know_is_given_up(tmp_path: Path) -> None:
    data = tmp_path / "hq"
    async with RefHub("--feed-epochs=1", data=data) as hub:
        await feed(hub, prices(1, 2, 3, 4, 5, 6))
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await caught_up(store, "six prices", 1, 2, 3, 4, 5, 6)
        await another_feed(hub, data, "feed.jsonl")
        await feed(hub, prices(11, 12))
        async with store.running():
            await caught_up(store, "what HQ has now", 11, 12, 3, 4, 5, 6)
        assert started_over(store) == ["HQ does not know our cursor"]


async def test_an_empty_feed_after_a_full_one_is_said_once(tmp_path: Path) -> None:
    data = tmp_path / "hq"
    async with RefHub("--feed-epochs=1", data=data) as hub:
        await feed(hub, prices(1, 2, 3))
        store = await make_store(tmp_path, hub.url(), sync__pull_interval_seconds=0.2)
        async with store.running():
            await caught_up(store, "three prices", 1, 2, 3)
            await another_feed(hub, data, "feed.jsonl", "feed.epoch")
            await until(lambda: requests_are_above(hub, 5), "it is asked again and again")
        assert len(started_over(store)) == 1
        assert has(store, 1, 2, 3)


@pytest.mark.parametrize("path", ["/hubs/sync", "/hubs/seed"])
async def test_a_shorter_feed_without_a_name_is_fetched_from_its_beginning(tmp_path: Path, path: str) -> None:
    data = tmp_path / "hq"
    async with RefHub(data=data) as hub:
        await feed(hub, prices(1, 2, 3, 4, 5, 6))
        store = await make_store(tmp_path, hub.url(path), sync__pull_interval_seconds=0.3)
        async with store.running():
            await caught_up(store, "six prices", 1, 2, 3, 4, 5, 6)
            # Restored, and restored again:
            for amounts, then in (((11, 12, 13), (11, 12, 13, 4, 5, 6)), ((21,), (21, 12, 13, 4, 5, 6))):
                await another_feed(hub, data, "feed.jsonl")
                await feed(hub, prices(*amounts))
                await until(partial(has, store, *then), "what HQ has now")
            asked = await requests(hub)
            await until(lambda: requests_are_above(hub, asked + 3), "it is asked as before")
        assert len(started_over(store)) == 2


async def test_a_feed_that_has_grown_beyond_our_cursor_again_is_found_by_the_daily_full_pull(tmp_path: Path) -> None:
    data = tmp_path / "hq"
    async with RefHub(data=data) as hub:
        await feed(hub, prices(1, 2, 3, 4, 5, 6))
        store = await make_store(
            tmp_path, hub.url(), sync__pull_interval_seconds=0.2, sync__full_pull_interval_hours=AN_HOUR_HALF_A_SECOND
        )  # fmt: skip
        async with store.running():
            await caught_up(store, "six prices", 1, 2, 3, 4, 5, 6)
            await hub.stop()
            (data / "feed.jsonl").write_text("".join(json.dumps(item) + "\n" for item in pascal(prices(*range(11, 19)))), encoding="utf-8")
            await hub.start()
            await caught_up(store, "what HQ has now", *range(11, 19))
            await until(lambda: store.events("full_pull_finished"), "the log says so")
        assert started_over(store) == []


def pascal(items: list[dict[str, object]]) -> list[dict[str, object]]:
    """As the real hub writes its feed."""
    return [{name[0].upper() + name[1:]: value for name, value in item.items()} for item in items]


@pytest.mark.parametrize(("hours", "epochs"), [(24, "0"), (0, "0"), (AN_HOUR_HALF_A_SECOND, "1")])
async def test_no_full_pull_before_its_time_over_restarts_or_where_it_is_off_or_where_hq_names_its_feed(
    tmp_path: Path, hours: float, epochs: str
) -> None:
    async with RefHub(f"--feed-epochs={epochs}") as hub:
        await feed(hub, prices(*range(30)))
        store = await make_store(
            tmp_path, hub.url(), sync__pull_batch_size=10, sync__pull_interval_seconds=0.2, sync__full_pull_interval_hours=hours
        )  # fmt: skip
        for _ in range(2):
            async with store.running():
                before = await requests(hub)
                await until(partial(requests_are_above, hub, before + 6), "it is asked at every interval")
        assert store.events("full_pull_started") == []
        assert store.status()["inbound"]["stale"] == 0
        assert store.status()["inbound"]["fullyPulledAt"] is not None


async def test_a_full_pull_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    async with RefHub() as hub:
        await feed(hub, prices(*range(200)))
        store = await make_store(tmp_path, hub.url(), sync__pull_batch_size=5)
        async with store.running():
            await caught_up(store, "all are there", *range(200))
        assert (await resync(store))[0] == 0
        async with store.running() as daemon:
            await until(lambda: pulled_to(store) >= 50, "a part of it is done")
            await daemon.kill()
        part = pulled_to(store)
        before = await requests(hub)
        assert part < 200
        async with store.running():
            await until(lambda: store.events("full_pull_finished"), "the rest is done")
        assert await requests(hub) - before == 1 + (200 - part) / 5
        assert [event["event"] for event in store.log() if event["event"].startswith("full_pull")] == [
            "full_pull_started", "full_pull_resumed", "full_pull_finished",
        ]  # fmt: skip


def pulled_to(store: Store) -> int:
    return int(store.query("SELECT coalesce(max(full_pull_cursor), '0') FROM sync_cursor")[0][0])


def asked_more(hub: OddFeed, number: int) -> bool:
    return len(hub.requests) > number


# ── hubs with habits ────────────────────────────────────────────────────────────────────────────────────────────────


def a_feed(items: list[dict[str, object]], **answer: Any) -> Any:
    """A feed with number cursors; what an answer says is worked out by functions of the position asked for and the items from there."""

    def page(request: dict[str, Any]) -> dict[str, object]:
        at = int(request.get("cursor") or 0)
        found = items[at : at + request["batchSize"]]
        end = at + len(found)
        plain = {"items": found, "hasMore": end < len(items), "nextCursor": str(end), "totalItems": len(items)}
        return plain | {name: value(at, found) for name, value in answer.items()}

    return page


HABITS: dict[str, dict[str, Any]] = {
    "totalItems is what is left": {"totalItems": lambda at, _: 25 - at},
    "totalItems is what this page has": {"totalItems": lambda _, found: len(found)},
    "an empty page has the cursor 0": {"nextCursor": lambda at, found: str(at + len(found)) if found else "0"},
    "an empty page has no cursor": {"nextCursor": lambda at, found: str(at + len(found)) if found else None},
}


@pytest.mark.parametrize("habit", HABITS)
async def test_a_hub_whose_answers_only_look_like_another_feed_is_started_over_once_at_most(tmp_path: Path, habit: str) -> None:
    async with OddFeed(a_feed(prices(*range(25)), **HABITS[habit])) as hub:
        store = await make_store(tmp_path, hub.url, sync__pull_batch_size=10, sync__pull_interval_seconds=0.1)
        for _ in range(2):
            async with store.running():
                await until(partial(asked_more, hub, len(hub.requests) + 10), "it is asked again and again")
        assert has(store, *range(25))
        assert len(started_over(store)) <= 1
        beginnings = [request for request in hub.requests if "cursor" not in request]
        assert len(beginnings) <= 2


async def test_an_empty_page_that_repeats_the_earlier_time_it_was_asked_from_does_not_move_the_cursor_back(tmp_path: Path) -> None:
    end = "2026-11-23T10:00:00Z"

    def by_time(request: dict[str, Any]) -> dict[str, object]:
        since = request.get("sinceTimestamp")
        return {"items": [] if since else prices(1), "hasMore": False, "nextCursor": since or end, "totalItems": 0}

    async with OddFeed(by_time) as hub:
        store = await make_store(tmp_path, hub.url, sync__pull_interval_seconds=0.1)
        async with store.running():
            await until(lambda: len(hub.requests) > 5, "it is asked again and again")
        assert {request["sinceTimestamp"] for request in hub.requests[1:]} == {"2026-11-23T09:59:55.000Z"}
        assert started_over(store) == []


async def test_a_hub_with_another_name_in_every_answer_is_never_asked_in_a_loop(tmp_path: Path) -> None:
    plain = a_feed(prices(*range(25)))
    async with OddFeed(plain) as odd:
        odd.answer = lambda request: plain(request) | {"feedEpoch": f"turn {len(odd.requests)}"}
        store = await make_store(tmp_path, odd.url, sync__pull_batch_size=10)
        async with store.running():
            await caught_up(store, "the store has it all", *range(25))
        assert len(odd.requests) == 5  # two, and three from the beginning
        assert len(started_over(store)) == 1


async def test_while_another_feed_is_being_read_the_store_is_not_called_caught_up(tmp_path: Path) -> None:
    plain = a_feed(prices(*range(25)))
    async with OddFeed(plain) as odd:
        store = await make_store(
            tmp_path, odd.url, sync__pull_batch_size=10, sync__pull_interval_seconds=0.2, hub__invocation_timeout_seconds=300
        )  # fmt: skip
        async with store.running():
            await caught_up(store, "the store has it all", *range(25))
            odd.answer = lambda request: None if request.get("cursor") == "10" else plain(request) | {"feedEpoch": "another"}
            await until(lambda: started_over(store) and not store.status()["inbound"]["caughtUp"], "the status says so")


async def test_a_hub_that_knows_none_of_its_own_cursors_is_never_called_caught_up(tmp_path: Path) -> None:
    plain = a_feed(prices(*range(25)))
    unknown = {"items": [], "hasMore": False, "nextCursor": None, "cursorUnknown": True}
    async with OddFeed(lambda request: unknown if "cursor" in request else plain(request)) as odd:
        store = await make_store(tmp_path, odd.url, sync__pull_batch_size=10)
        async with store.running():
            await until(lambda: any("does not know the cursor" in reason for reason in store.status()["reasons"]), "the status says so")
            assert not store.status()["inbound"]["caughtUp"]
        assert len(odd.requests) < 10


async def test_a_hub_that_sends_us_round_in_circles_is_told_apart_from_one_that_has_more(tmp_path: Path) -> None:
    turn = {None: "a", "a": "b", "b": "a"}
    async with OddFeed(lambda request: {"items": [], "hasMore": True, "nextCursor": turn[request.get("cursor")]}) as hub:
        store = await make_store(tmp_path, hub.url)
        async with store.running():
            await until(lambda: any("gives no new cursor" in reason for reason in store.status()["reasons"]), "the status says so")
        assert len(hub.requests) < 10


# ── by hand ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def resync(store: Store, *arguments: str) -> tuple[int, str]:
    """The command's exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", "resync", "--config", str(store.config_path), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.parametrize("stopped", [False, True])
async def test_resync_brings_back_what_the_store_has_lost_and_twice_is_once(tmp_path: Path, hub: FlowHub, stopped: bool) -> None:
    store = await make_store(tmp_path, hub.url())
    await feed(hub, [*prices(1, 2, 3), a_product(1)])
    async with store.running():
        await caught_up(store, "three prices", 1, 2, 3)
        if not stopped:
            await lose_and_resync(store)
            await until(lambda: has(store, 1, 2, 3) and resynced(store), "they are back")
            await until(lambda: pulled(store) == (None, 3), "the status tells how many came")
    if stopped:
        await lose_and_resync(store)
        async with store.running():
            await until(lambda: has(store, 1, 2, 3) and resynced(store), "they are back")
    assert store.query("SELECT count(*) FROM products") == [(0,)], "another kind was not asked for"


def pulled(store: Store) -> tuple[list[str] | None, int]:
    """What is being fetched from the beginning, and how much of it has come."""
    inbound = store.status()["inbound"]
    return inbound["fullPullTypes"], inbound["fullPullItems"]


def resynced(store: Store) -> bool:
    """Nothing is asked for any more, and nothing under way."""
    waiting = store.query("SELECT (SELECT count(*) FROM sync_resync), (SELECT count(full_pull_types) FROM sync_cursor)")
    return waiting == [(0, 0)] and bool(store.events("full_pull_finished"))


async def lose_and_resync(store: Store) -> None:
    store.query("DELETE FROM prices")
    store.query("DELETE FROM products")
    for _ in range(2):
        code, said = await resync(store, "--type", "price")
        assert (code, "Price" in said) == (0, True)


async def test_resync_says_what_it_cannot_do(tmp_path: Path) -> None:
    store = Store(tmp_path, "http://127.0.0.1:1/hubs/sync", sync__entity_types=["Price"])
    code, said = await resync(store)
    assert (code, "`syncd run` makes it" in said) == (74, True)
    code, said = await resync(store, "--type", "Product")
    assert (code, "sync.entity_types has Price" in said) == (64, True)


async def test_a_page_above_our_bound_for_a_message_is_asked_for_again_with_fewer_updates(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> dict[str, object]:
        start = int(request.get("cursor") or 0)
        end = min(400, start + request["batchSize"])
        items = [a_product(n) for n in range(start, end)]
        for item in items:
            item["payload"] = json.dumps(json.loads(str(item["payload"])) | {"description": "x" * 100_000})
        return {"items": items, "hasMore": end < 400, "nextCursor": str(end), "totalItems": 400}

    async with OddFeed(answer) as hub:
        store = await make_store(tmp_path, hub.url, hub__invocation_timeout_seconds=60)
        async with store.running():
            await until(lambda: len(hub.requests) >= 3, "the next page is asked for", 60)
            asked = [(request["batchSize"], request.get("cursor")) for request in hub.requests[:3]]
            assert asked == [(500, None), (250, None), (250, "250")]


async def test_a_page_that_is_too_big_for_the_line_is_asked_for_with_fewer_updates_on_the_next_connection(tmp_path: Path) -> None:
    asked: list[int] = []

    async def serve(wire: Wire) -> None:
        while (message := await wire.listen()) is not None:
            if message.get("target") == "RequestBatchSync":
                asked.append(message["arguments"][0]["batchSize"])
                if asked[-1] > 250:
                    await wire.socket.close(code=1009)
                    return
                result = {"success": True, "items": prices(1, 2, 3), "hasMore": False, "nextCursor": "3"}
                await wire.say({"type": 3, "invocationId": message["invocationId"], "result": result})

    async with ScriptedHub(serve) as hub:
        store = await make_store(tmp_path, hub.url)
        async with store.running():
            await until(lambda: has(store, 1, 2, 3), "all are here")
            assert asked[:2] == [500, 250]


async def test_a_page_that_hq_does_not_answer_in_time_is_asked_for_with_fewer_updates_and_the_status_says_so(tmp_path: Path) -> None:
    asked: list[int] = []
    told: list[list[str]] = []

    async def serve(wire: Wire) -> None:
        while (message := await wire.listen()) is not None:
            if message.get("target") != "RequestBatchSync":
                if "invocationId" in message:  # a heartbeat without an answer would end the connection, too
                    await wire.say({"type": 3, "invocationId": message["invocationId"], "result": None})
                continue
            asked.append(message["arguments"][0]["batchSize"])
            if asked[-1] <= 125:
                told.append([finding["code"] for finding in store.status()["findings"]])
                result = {"success": True, "items": prices(1, 2, 3), "hasMore": False, "nextCursor": "3"}
                await wire.say({"type": 3, "invocationId": message["invocationId"], "result": result})

    async with ScriptedHub(serve) as hub:
        store = await make_store(tmp_path, hub.url, hub__invocation_timeout_seconds=1)
        async with store.running():
            await until(lambda: has(store, 1, 2, 3), "all are here")
            assert asked[:3] == [500, 250, 125]
            assert "catch_up_failed" in told[0]
            assert [event["batch_size"] for event in store.events("catch_up_page_halved")] == [250, 125]
            await until(lambda: store.status()["inbound"]["caughtUp"], "it has caught up")
            assert "catch_up_failed" not in [finding["code"] for finding in store.status()["findings"]]
