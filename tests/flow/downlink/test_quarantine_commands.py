"""`syncd quarantine` as a technician calls it, beside the running daemon and without it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import succeeded, syncd
from tests.support.flow import make_store
from tests.support.hubs import flow_hub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "http://127.0.0.1:9/hubs/sync"


def keep(store: Store, method: str, raw: str, *, at: str = "2026-11-20T10:00:00.000Z") -> None:
    store.query(
        "INSERT INTO sync_quarantine (method, correlation_id, reason, raw, received_at) VALUES (?, 'c', 'no good', ?, ?)", method, raw, at
    )


async def test_entries_are_listed_shown_and_dropped_and_the_daemon_notices(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await until(lambda: store.status()["state"] == "online", "it is connected")
            price = {"productId": 7, "price": "dear", "currency": "EUR", "updatedAt": "2026-11-24T09:00:00Z", "correlationId": "p"}
            await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [price]})
            await until(lambda: store.status()["inbound"]["quarantined"] == 1, "it is in quarantine")
            (line,) = (await succeeded(store, "quarantine", "list", "--entity", "price/7", "--json")).splitlines()
            entry = json.loads(line)
            assert (entry["entity_type"], entry["entity_id"], entry["correlation_id"], "raw" in entry) == ("Price", "7", "p", False)
            shown = await succeeded(store, "quarantine", "show", str(entry["id"]))
            assert '"price":"dear"' in shown
            assert entry["reason"] in shown
            done = await syncd(store, "quarantine", "drop", str(entry["id"]))
            assert (done.code, "say --yes" in done.err) == (64, True)
            assert await succeeded(store, "quarantine", "drop", str(entry["id"]), "--yes") == "1 entry deleted\n"
            await until(lambda: store.status()["inbound"]["quarantined"] == 0, "the status follows")


async def test_whatever_hq_sent_is_listed_and_filters_name_what_can_be_read(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    for method, raw in (
        ("ReceiveSyncItem", '{"EntityType":"Product","entityId":5,"payload":"x"}'),
        ("RequestBatchSync", '{"entityType":"Tax","entityId":"a/b"}'),
        ("ReceiveInventoryUpdate", "[1, 2"),
        ("(unknown)", "\x1b[31m" + "[" * 5000),
    ):
        keep(store, method, raw)
    keep(store, "ReceiveTransaction", '{"transactionId":9}', at="2026-11-23T10:00:00.000Z")

    async def listed(*filters: str) -> list[int]:
        return [json.loads(line)["id"] for line in (await succeeded(store, "quarantine", "list", "--json", *filters)).splitlines()]

    assert await listed() == [1, 2, 3, 4, 5]
    assert await listed("--entity", "Product/5") == [1]
    assert await listed("--entity", "Tax/a/b") == [2]
    assert await listed("--entity", "Inventory") == [3]
    assert await listed("--since", "2026-11-22T00:00:00Z") == [5]
    assert await listed("--limit", "2") == [1, 2]
    assert "\x1b" not in await succeeded(store, "quarantine", "show", "4")
    assert (await syncd(store, "quarantine", "show", "1", "99")).code == 1
    assert (await syncd(store, "quarantine", "drop", "98", "99", "--yes")).code == 1
    assert await succeeded(store, "quarantine", "drop", "--all", "--before", "2026-11-22T00:00:00Z", "--yes") == "4 entries deleted\n"
    assert await listed() == [5]
    assert await succeeded(store, "quarantine", "drop", "--all", "--before", "2026-11-22T00:00:00Z") == "No such entries.\n"


async def test_where_there_is_no_database_yet_it_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    done = await syncd(store, "quarantine", "list")
    assert (done.code, "there is no such database; `syncd run` makes it" in done.err) == (74, True)


PRICE = {"productId": 7, "price": 2.50, "currency": "EUR", "updatedAt": "2026-11-24T09:00:00Z", "correlationId": "p"}


async def test_what_a_trigger_of_the_pos_refused_is_applied_once_that_is_mended_and_hq_is_told(tmp_path: Path) -> None:
    async with flow_hub("real") as hub:
        store = await make_store(tmp_path, hub.url())
        store.query("CREATE TRIGGER no_price BEFORE INSERT ON prices BEGIN SELECT RAISE(ABORT, 'no prices today'); END")
        async with store.running():
            await until(lambda: store.status()["state"] == "online", "it is connected")
            await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [PRICE]})
            await until(lambda: store.status()["inbound"]["quarantined"] == 1, "it is in quarantine")
            done = await syncd(store, "quarantine", "replay", "1", "--timeout", "90s")
            assert (done.code, done.out) == (1, "1  Price 7  refused: no prices today\n")
            assert store.query("SELECT count(*) FROM sync_quarantine") == [(1,)], "it is one entry still"
            store.query("DROP TRIGGER no_price")
            assert (
                await succeeded(store, "quarantine", "replay", "--all", "--entity", "Price", "--timeout", "90s") == "1  Price 7  applied\n"
            )
            assert store.query("SELECT product_id, price FROM prices") == [(7, "2.5")]
            assert store.query("SELECT count(*) FROM sync_quarantine") == [(0,)]

            async def told() -> bool:
                return int(str((await hub.state())["acksOk"])) == 1

            await until(told, "HQ has the acknowledgement")
            await until(lambda: store.status()["inbound"]["quarantined"] == 0, "the status follows")
            assert [event["outcome"] for event in store.events("quarantine_replayed")] == ["refused", "applied"]


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        ("x" * 600, "x" * 301),
        ("see https://office:geheim@intranet/rules", "geheim"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijkl", "eyJhbGciOiJIUzI1NiJ9"),
    ],
    ids=["long", "password in a URL", "token"],
)
async def test_what_is_refused_again_is_kept_whatever_of_its_reason_is_not_shown(tmp_path: Path, words: str, hidden: str) -> None:
    store = await make_store(tmp_path, NOBODY)
    store.query(f"CREATE TRIGGER no_price BEFORE INSERT ON prices BEGIN SELECT RAISE(ABORT, '{words}'); END")
    keep(store, "ReceivePriceUpdate", json.dumps(PRICE))
    async with store.running():
        for _ in range(2):  # the first refusal is for another reason than the entry's, the second for the same
            (entry,) = store.query("SELECT id FROM sync_quarantine")[0]
            done = await syncd(store, "quarantine", "replay", str(entry), "--timeout", "90s")
            assert (done.code, "Price 7  refused: " in done.out, hidden in done.out) == (1, True, False)
            assert store.query("SELECT correlation_id, reason FROM sync_quarantine") == [("p", words)]


async def test_a_stopped_daemon_does_it_at_its_start_without_a_line_and_what_cannot_be_applied_says_why(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    keep(store, "ReceivePriceUpdate", json.dumps(PRICE))
    keep(store, "ReceiveSyncItem", json.dumps({"entityType": "Product", "entityId": 5, "operation": "Update", "payload": "{}"}))
    keep(store, "ReceivePriceUpdate", json.dumps(PRICE)[:40])
    keep(store, "SetTheClock", "{}")
    done = await syncd(store, "quarantine", "replay", "--all")
    assert (done.code, [line.split("  ")[2] for line in done.out.splitlines()]) == (0, ["not yet"] * 4)
    assert "as soon as it runs" in done.err
    async with store.running():
        await until(lambda: len(store.events("quarantine_replayed")) == 4, "all are decided")
        assert store.query("SELECT price FROM prices") == [("2.5",)]
        assert store.query("SELECT id FROM sync_quarantine ORDER BY id") == [(2,), (3,), (4,)]
        done = await syncd(store, "quarantine", "replay", "2", "3", "4", "9", "--timeout", "90s")
        assert done.code == 1
        assert "refused: Product: " in done.out
        assert "3  Price  refused: what was kept is not whole, or no JSON" in done.out
        assert "4  SetTheClock  refused: SetTheClock is no method that brings updates" in done.out
        assert "There is no entry with the id 9" in done.err


async def test_an_entry_that_is_older_than_what_has_come_since_is_told_as_superseded_and_leaves(tmp_path: Path) -> None:
    store = await make_store(tmp_path, NOBODY)
    keep(store, "ReceivePriceUpdate", json.dumps(PRICE | {"price": 3, "updatedAt": "2026-11-24T10:00:00Z"}))
    keep(store, "ReceivePriceUpdate", json.dumps(PRICE))
    async with store.running():
        done = await succeeded(store, "quarantine", "replay", "1", "2", "--timeout", "90s")
        assert done == "1  Price 7  applied\n2  Price 7  superseded: it is older than what the store has, or the same\n"
        assert store.query("SELECT price FROM prices") == [("3",)]
        assert store.query("SELECT count(*) FROM sync_quarantine") == [(0,)]
