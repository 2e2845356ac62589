"""Store to HQ: what a till really writes, in which order it arrives, and what becomes of rows that HQ does not take."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from syncd.store.admin import OutboxAdmin
from syncd.uplink.breaker import OPEN_AFTER_ROWS, PROBE_ROWS
from tests.support.flow import arrived, close_shop, drained, make_store
from tests.support.hubs import BOTH, FlowHub, counted, faults, flow_hub, items
from tests.support.refhub import RefHub
from tests.support.scripted_hub import sending_hub
from tests.support.store import Daemon, Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CRITICAL, HIGH, NORMAL, LOW = 1, 2, 3, 4


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


def receipts(*entity_ids: object, priority: int = NORMAL) -> list[tuple[str, object, str, str, int]]:
    return [("Receipt", entity_id, "Create", json.dumps({"n": n}), priority) for n, entity_id in enumerate(entity_ids)]


def insert(store: Store, **columns: object) -> None:
    """One row as a till's own statement would have it."""
    row = {"entity_type": "Receipt", "entity_id": 1, "operation": "Create", "payload": "{}"} | columns
    with closing(store.till()) as till:
        till.execute(f"INSERT INTO sync_outbox ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def recent_errors(store: Store) -> list[dict[str, Any]]:
    return list(store.status()["outbox"]["recentErrors"])


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_critical_row_written_amid_a_backlog_goes_out_within_the_next_batches(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        store.sell(receipts(*range(20_000)))
        await faults(hub, delayMs=200)  # slow, so that a busy machine notices the commit within few batches
        async with store.running():
            await until_more_than(hub, 500)
            before = (await counted(hub))["received"]
            insert(store, entity_id=99_999, priority=CRITICAL, correlation_id="the-tax-one")

            async def place() -> int | None:
                arrivals = await hub.control("GET", "arrivals?count=20000")
                assert isinstance(arrivals, list)
                return arrivals.index("the-tax-one") if "the-tax-one" in arrivals else None

            behind = await until(place, "the Critical row is at HQ") - before
            assert behind <= 12 * 50  # four batches in flight, and what went out while the commit was noticed
            await faults(hub)
            assert (await arrived(hub, 20_001))["orderViolationCount"] == 0


async def test_an_earlier_row_of_the_same_entity_is_promoted_to_the_later_ones_priority(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    store.sell(receipts("sale", priority=LOW))
    store.sell(receipts(*range(300)))
    store.sell(receipts("sale", priority=CRITICAL))
    async with store.running():
        await arrived(hub, 302)
        assert [(item["sequence"], item["priority"]) for item in (await items(hub))[:2]] == [(1, LOW), (302, CRITICAL)]


async def test_an_entity_written_as_number_and_as_text_is_one_entity_in_one_order(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        store.sell(receipts(5, priority=LOW) + receipts("5", priority=NORMAL) + receipts(5.0, priority=HIGH))
        store.sell(receipts(*range(100, 200)))
        async with store.running():
            await arrived(hub, 103)
            assert [item["sequence"] for item in (await items(hub))[:3]] == [1, 2, 3]


# ── what tills write ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_entity_id_keeps_its_type_on_the_wire_and_javascripts_reals_are_whole_numbers(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    store.sell(receipts(5, "7", "R-9", 11.0, -3, 2**53 + 1))
    async with store.running():
        await arrived(hub, 6)
        assert [item["entityId"] for item in await items(hub)] == [5, "7", "R-9", 11, -3, 2**53 + 1]
        assert [type(item["entityId"]) for item in await items(hub)] == [int, str, str, int, int, int]


async def test_every_created_at_that_can_be_read_is_iso_8601_utc_on_the_wire(tmp_path: Path) -> None:
    wire_of = {
        "2026-11-23 10:00:00.1234567": "2026-11-23T10:00:00.1234567Z",
        "2026-11-23T10:00:00.000Z": "2026-11-23T10:00:00.000Z",
        "2026-11-23 12:00:00+02:00": "2026-11-23T10:00:00.000Z",
        "2026-11-23 10:00:00": "2026-11-23T10:00:00.000Z",
    }
    async with flow_hub("development") as hub:  # which shows the text as it came
        store = await make_store(tmp_path, hub.url())
        for written in wire_of:
            insert(store, created_at=written)
        async with store.running():
            await arrived(hub, 4)
            assert [item["timestamp"] for item in await items(hub)] == list(wire_of.values())
            assert not store.events("created_at_unreadable")


async def test_a_created_at_that_nobody_can_read_is_sent_as_when_it_was_seen_with_one_warning(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    began = datetime.now(UTC)
    for created_at in ("yesterday", "", "23.11.2026", "2026-13-45 99:00:00", 1795600000, b"\x00"):
        insert(store, entity_id=str(created_at), created_at=created_at)
    async with store.running():
        await arrived(hub, 6)
        for item in await items(hub):
            assert began.replace(microsecond=0) <= datetime.fromisoformat(item["timestamp"]) <= datetime.now(UTC)
        assert len(store.events("created_at_unreadable")) == 1


async def test_a_guid_in_upper_case_is_sent_as_it_stands(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    guid = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
    insert(store, correlation_id=guid)
    async with store.running():
        await arrived(hub, 1)
        assert (await items(hub))[0]["correlationId"] == guid
        assert (await drained(store))["outbox"]["failed"] == 0


async def test_a_payload_arrives_byte_for_byte(tmp_path: Path, hub: FlowHub) -> None:
    payloads = [
        '{"total": 12.50,  "a":1e3}', '{"n":"Müsli 麵 🧾 \\u0000 \\ud83d"}', '{"sep":"\u2028\u2029\u0085"}', "not even JSON", "",
        '{"quote":"\\"","slash":"\\/","rs":"\\u001e"}', "\r\n\t{ }", "\ufeff{}", "raw NUL \x00, raw RS \x1e, raw DEL \x7f", "<&'+>",
    ]  # fmt: skip
    store = await make_store(tmp_path, hub.url())
    store.sell([("Receipt", n, "Create", payload, NORMAL) for n, payload in enumerate(payloads)])
    async with store.running():
        state = await arrived(hub, len(payloads))
        assert [item["payload"] for item in await items(hub)] == payloads
        assert state["digest"] == store.digest()


async def test_an_insert_with_explicit_nulls_takes_the_defaults(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url())
        nulls = ("priority", "correlation_id", "created_at", "status", "attempts", "next_attempt_at", "last_error", "sent_at")
        insert(store, id=None, **dict.fromkeys(nulls))
        assert store.query("SELECT id, priority, status, attempts FROM sync_outbox") == [(1, NORMAL, "pending", 0)]
        async with store.running():
            await arrived(hub, 1)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("entity_type", "", "entity_type must not be empty"),
        ("entity_id", 1.5, "entity_id must be INTEGER or TEXT"),
        ("operation", "create", "operation must be Create, Update or Delete"),
        ("payload", b"{}", "payload must be TEXT"),
        ("priority", 5, "priority must be 1, 2, 3 or 4"),
        ("correlation_id", "", "correlation_id must not be empty"),
        ("status", "in_progress", "status must be pending, sent, failed or cancelled"),
    ],
)
async def test_a_row_that_breaks_a_rule_fails_at_the_till_with_words_that_name_it(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    store = await make_store(tmp_path, "http://127.0.0.1:1/hubs/sync")
    with pytest.raises(sqlite3.IntegrityError, match=message):
        insert(store, **{column: value})


async def test_a_text_that_is_no_utf_8_fails_its_own_row_alone(tmp_path: Path) -> None:
    columns = ("payload", "entity_type", "entity_id", "correlation_id")
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        for column in columns:
            store.sell(receipts(f"before {column}"))
            insert(store, entity_id="bad", correlation_id=f"bad {column}")
            with closing(store.till()) as till:
                till.execute(f"UPDATE sync_outbox SET {column} = CAST(x'7bff7d' AS TEXT) WHERE correlation_id = ?", [f"bad {column}"])
        store.sell(receipts(*range(3), priority=CRITICAL))
        close_shop(store)
        async with store.running():
            await arrived(hub, 7)
            status = await until(lambda: store.status()["outbox"]["failed"] == 4 and store.status(), "the four are failed")
            assert all("UTF-8" in error["error"] for error in status["outbox"]["recentErrors"])
            await until(lambda: (store.count("failed"), store.count("sent")) == (4, 7), "the till's file says so")
            await drained(store)


# ── verdicts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_row_is_retried_with_growing_delays_while_only_its_own_entity_waits(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    await faults(hub, refuseEntityIds=["3"])
    store.sell(receipts(3, 3, *range(10, 110)))
    async with store.running():
        await arrived(hub, 100)
        await until(lambda: len(store.events("row_refused")) >= 3, "it is tried three times")
        assert {event["id"] for event in store.events("row_refused")} == {1}
        delays = [event["retry_in_seconds"] for event in store.events("row_refused")][:3]
        assert delays == [pytest.approx(seconds, abs=0.11) for seconds in (0.2, 0.4, 0.8)]  # and some chance on top
        status = store.status()
        assert status["outbox"]["pending"]["total"] == 2
        assert status["outbox"]["failed"] == 0
        assert (recent_errors(store)[0]["error"], recent_errors(store)[0]["final"]) == ("refused by fault", False)
        await faults(hub)
        assert (await arrived(hub, 102))["orderViolationCount"] == 0
        assert [(item["sequence"], item["attempt"] > 3) for item in (await items(hub))[-2:]] == [(1, True), (2, False)]
        await drained(store)


async def test_after_the_last_attempt_a_row_is_failed_with_its_error_and_releases_the_later_ones(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__max_attempts=2, sync__retry_base_seconds=1)
    await faults(hub, refuseEntityIds=["3"])
    store.sell(receipts(3, 3, 3))
    async with store.running():
        await until(lambda: store.status()["outbox"]["failed"] == 1, "the first row is failed")
        await faults(hub)
        assert (await arrived(hub, 2))["orderViolationCount"] == 0
        status = await drained(store)
        assert status["outbox"]["failed"] == 1
        assert status["health"] == "warning"
        assert [error["final"] for error in recent_errors(store)][:2] == [False, True]
        assert [(event["id"], event["error"]) for event in store.events("row_failed")] == [(1, "refused by fault")]


async def test_a_failed_row_holds_its_entity_back_over_a_restart_where_that_is_asked_for(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url(), sync__hold_entity_on_failure=True)
        await faults(hub, refuseEntityIds=["3"], refuseRetryable=False)
        store.sell(receipts(3, 3, 3))
        for start in (10, 20):
            store.sell(receipts(3, *range(start, start + 5)))
            async with store.running():
                await arrived(hub, start - 5 if start == 10 else 10)
                await until(lambda: store.status()["outbox"]["failed"] == 1, "the first row is failed")
            await faults(hub)
        assert [item["entityId"] for item in await items(hub)] == [*range(10, 15), *range(20, 25)]
        assert store.status()["outbox"]["pending"]["total"] == 4


async def test_a_failed_row_that_is_retried_goes_before_a_later_failed_one_that_still_holds_the_entity(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url(), sync__hold_entity_on_failure=True)
        store.sell(receipts(7, 7, 7))
        with closing(store.till()) as till:
            till.execute("UPDATE sync_outbox SET status = 'failed', attempts = 5 WHERE id < 3")
        async with store.running():
            await until(lambda: store.status()["outbox"]["failed"] == 2, "both are failed")
            with OutboxAdmin(store.database) as outbox:
                assert outbox.retry([1]) == 1
            await arrived(hub, 1)
            assert [item["sequence"] for item in await items(hub)] == [1]
            await until(lambda: store.status()["outbox"]["failed"] == 1, "the other is still failed")
            with OutboxAdmin(store.database) as outbox:
                assert outbox.retry([2]) == 1
            await arrived(hub, 3)
            assert [item["sequence"] for item in await items(hub)] == [1, 2, 3]
            assert (await drained(store))["health"] == "healthy"


async def test_a_row_that_hq_refuses_for_good_is_failed_at_once(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    await faults(hub, refuseEntityIds=["3"], refuseRetryable=False)
    store.sell(receipts(3, 4, 5))
    close_shop(store)
    async with store.running():
        await arrived(hub, 2)
        assert (await drained(store))["outbox"]["failed"] == 1
        assert (await counted(hub))["refused"] == 1
        await until(lambda: store.count("failed") == 1, "the till's file says so")
        found = store.query("SELECT entity_id, attempts, last_error FROM sync_outbox WHERE status = 'failed'")
        assert found == [(3, 1, "refused by fault")]


async def test_a_refusal_costs_the_entitys_later_rows_in_the_same_batch_no_attempt(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    await faults(hub, refuseEntityIds=["3"])
    store.sell(receipts(3, 3, 3, 3))
    async with store.running():
        await until(lambda: store.events("row_refused"), "the batch is refused")
        await faults(hub)
        assert (await arrived(hub, 4))["orderViolationCount"] == 0
        assert [item["attempt"] for item in await items(hub)][1:] == [1, 1, 1]
        assert {event["id"] for event in store.events("row_refused")} == {1}


async def test_rows_without_a_verdict_go_again_at_no_cost(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url())
    await faults(hub, halfVerdicts=True)
    store.sell_many(400, entities=40)
    async with store.running():
        state = await arrived(hub, 400)
        assert (state["orderViolationCount"], state["duplicates"]) == (0, 0)
        assert {item["attempt"] for item in await items(hub)} == {1}
        await drained(store)


async def test_a_row_that_makes_the_hub_throw_is_found_by_halving_and_the_others_go_through(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__max_attempts=1)
    await faults(hub, throwForEntityIds=["13"])
    store.sell(receipts(*range(200)))
    async with store.running():
        state = await arrived(hub, 199)
        status = await drained(store)
        assert status["outbox"]["failed"] == 1
        assert state["batches"] <= 4 + 12  # 2 * log2(50) extra calls
        assert state["duplicates"] == 0
        (error,) = recent_errors(store)
        assert error["entityId"] == 13
        assert "an item that HQ cannot process" in error["error"]


async def test_after_bisecting_a_batch_the_logs_figures_are_those_of_each_message(tmp_path: Path, hub: FlowHub) -> None:
    store = await make_store(tmp_path, hub.url(), sync__max_attempts=1, log__level="debug")
    await faults(hub, throwForEntityIds=["13"])
    store.sell(receipts(*range(50)))
    async with store.running():
        await arrived(hub, 49)
        await drained(store)
    messages = [line for line in store.events("batch_sent") if line["accepted"]]
    ids = sorted(n for line in messages for n in range(line["first_id"], line["last_id"] + 1))
    assert ids == [n for n in range(1, 51) if n != 14]  # each row in one line, and no line beyond its own rows
    assert all(line["rows"] == line["accepted"] == line["last_id"] - line["first_id"] + 1 for line in messages)
    assert not any(line["refused"] for line in messages)
    sums = store.events("batches_sent")
    for figure in ("rows", "bytes", "accepted", "refused"):
        assert sum(line[figure] for line in sums) == sum(line[figure] for line in store.events("batch_sent"))


@pytest.mark.parametrize("fault", [{"cutAfterEvery": 4}, {"cutBeforeEvery": 3}, {"silentEvery": 4}], ids=lambda f: next(iter(f)))
async def test_a_line_that_breaks_again_and_again_loses_doubles_and_disorders_nothing(
    tmp_path: Path, hub: FlowHub, fault: dict[str, int]
) -> None:
    store = await make_store(tmp_path, hub.url(), hub__invocation_timeout_seconds=0.4)
    await faults(hub, **fault)
    store.sell_many(250, entities=90)
    async with store.running():
        state = await arrived(hub, 250)
        assert state["orderViolationCount"] == 0
        assert state["digest"] == store.digest()
        assert {item["attempt"] for item in await items(hub)} == {1}
        status = await drained(store)
        assert (status["outbox"]["failed"], status["outbox"]["sentTotal"]) == (0, 250)
        assert (await counted(hub))["connects"] > 1
        assert not store.events("row_refused")


# ── hubs and daemons that end ───────────────────────────────────────────────────────────────────────────────────────


async def until_more_than(hub: FlowHub, count: int) -> None:
    async def more() -> bool:
        return bool((await counted(hub))["unique"] > count)

    await until(more, f"more than {count} rows are at HQ")


async def test_a_hub_that_is_killed_amid_a_backlog_and_comes_back_gets_the_rest(tmp_path: Path) -> None:
    async with RefHub(data=tmp_path / "hq") as hub:
        store = await make_store(tmp_path, hub.url())
        store.sell_many(4000, entities=500)
        await faults(hub, delayMs=10)
        async with store.running():
            await until_more_than(hub, 1000)
            await hub.kill()
            status = await until(lambda: store.status()["connection"]["reconnectAttempts"] >= 2 and store.status(), "it tries to come back")
            assert status["state"] == "reconnecting"
            assert status["outbox"]["pending"]["total"] > 2000
            assert "refuses connections" in status["connection"]["lastError"]
            assert status["connection"]["nextAttemptAt"] or status["connection"]["state"] == "reconnecting"
            await hub.start()
            state = await arrived(hub, 4000)
            assert (state["orderViolationCount"], state["digest"]) == (0, store.digest())
            assert (await drained(store))["connection"]["reconnectAttempts"] == 0


async def test_a_store_that_starts_without_a_hub_is_offline_and_well_and_sends_once_there_is_one(tmp_path: Path) -> None:
    async with RefHub() as hub:
        await hub.kill()
        store = await make_store(tmp_path, hub.url(), hub__max_reconnect_attempts=2)
        store.sell_many(20)
        async with store.running():
            await until(lambda: store.status()["state"] == "offline", "it is offline")
            status = await until(lambda: store.status()["connection"]["nextAttemptAt"] and store.status(), "it says when it tries again")
            assert status["connection"]["reconnectAttempts"] >= 2
            assert status["outbox"]["pending"] == {"critical": 5, "high": 5, "normal": 5, "low": 5, "total": 20}
            assert status["health"] == "warning"
            assert any("20 rows wait" in reason for reason in status["reasons"])
            assert len(store.events("hub_offline")) == 1
            await hub.start()
            await arrived(hub, 20)
            status = await drained(store)
            assert (status["state"], status["health"], status["connection"]["reconnectAttempts"]) == ("online", "healthy", 0)


@pytest.mark.parametrize("prefix", ["", "syncd_"])
async def test_five_times_killed_at_random_moments_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path, prefix: str) -> None:
    chance = random.Random(5)
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url(), database__table_prefix=prefix)
        store.sell_many(5000, entities=700)
        close_shop(store)
        await faults(hub, delayMs=8)
        for _ in range(5):
            daemon = Daemon(store)
            await daemon.start(wait=False)
            await until_more_than(hub, (await counted(hub))["unique"] + chance.randrange(700))
            await daemon.kill()
        await faults(hub)
        async with store.running():
            state = await arrived(hub, 5000)
            assert (state["orderViolationCount"], state["digest"]) == (0, store.digest())
            assert (await drained(store))["outbox"]["sentTotal"] == 5000
            await until(lambda: store.count("sent") == 5000, "the till's file says so")


async def test_a_hub_that_throws_for_everything_costs_no_row_an_attempt_and_all_arrive_once_it_works(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = Store(tmp_path, hub.url(), sync__retry_base_seconds=0.2, sync__retry_max_seconds=1, sync__max_attempts=2)
        await store.create()
        store.sell_many(60)
        await hub.control("PUT", "/control/faults", {"throwForEntityIds": [str(n) for n in range(60)]})
        async with store.running():
            await until(lambda: store.status()["health"] == "degraded", "the status says that the hub has trouble")
            assert any("every row with an error" in reason for reason in store.status()["reasons"])
            await until(lambda: len(store.events("send_backoff_started")) >= 2, "it has tried again")
            await hub.control("PUT", "/control/faults", {})
            await until(lambda: store.status()["outbox"]["sentTotal"] == 60, "all arrive")
            assert store.status()["outbox"]["failed"] == 0
            await until(lambda: store.count("sent") == 60, "the till's file says so")
            assert store.query("SELECT max(attempts) FROM sync_outbox") == [(0,)]


async def test_rows_sold_one_by_one_while_the_hub_throws_for_all_lose_no_attempt_and_a_row_that_it_alone_throws_for_is_failed(
    tmp_path: Path,
) -> None:
    failing: set[object] = {1, 2, 3}
    tried: list[object] = []

    def answer(_: str, items: list[Any]) -> dict[str, Any]:
        ids = [item["entityId"] for item in items]
        tried.extend(ids)
        return {"error": "HubException: the database is down"} if failing.intersection(ids) else {"result": None}

    async with sending_hub(answer) as hub:
        store = await make_store(tmp_path, hub.url, sync__max_attempts=2)
        async with store.running():
            for entity_id in (1, 2, 3):
                store.sell(receipts(entity_id))
                await until(lambda: entity_id in tried, "it has been tried")  # noqa: B023 - at once
            await until(lambda: min(tried.count(n) for n in (1, 2, 3)) >= 4, "all are tried again")
            assert any("every row with an error" in reason for reason in store.status()["reasons"])
            assert not store.events("row_refused")
            failing.difference_update((1, 2))
            store.sell(receipts(4, 5))
            await until(lambda: store.status()["outbox"]["failed"] == 1, "the row at fault is failed")
            await until(lambda: store.status()["outbox"]["sentTotal"] == 4, "the others are sent")
            assert [event["entity_id"] for event in store.events("row_failed")] == [3]


async def test_a_line_that_is_cut_for_every_batch_is_said_to_after_a_minute(tmp_path: Path) -> None:
    async with sending_hub(lambda *_: None) as hub:
        store = await make_store(tmp_path, hub.url)
        store.sell(receipts(*range(20)))
        async with store.running():
            status = await until(lambda: store.status()["health"] == "degraded" and store.status(), "the status says so", 90)
            assert status["reasons"][0].startswith("HQ has accepted no row since ")
            assert (status["outbox"]["pending"]["total"], status["outbox"]["failed"]) == (20, 0)


async def test_where_hq_refuses_every_row_the_status_says_so_with_its_words_and_few_rows_are_tried_until_it_accepts_one(
    tmp_path: Path,
) -> None:
    rows = OPEN_AFTER_ROWS + 1000
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url(), sync__retry_base_seconds=1)
        store.sell_many(rows)
        await faults(hub, refuseEvery=1, refuseRetryable=True)
        async with store.running():
            await until(lambda: store.events("hub_accepts_nothing"), "the uplink goes slowly")
            await until(lambda: store.status()["health"] == "degraded", "the status says so")
            (reason,) = store.status()["reasons"]
            assert reason.startswith("HQ has accepted no row since ")
            assert "first words: refused by fault" in reason
            assert store.status()["outbox"]["pending"]["total"] == rows
            state = await until_refused(hub, OPEN_AFTER_ROWS + 2 * PROBE_ROWS)
            assert state["refused"] < OPEN_AFTER_ROWS + 500, "the whole backlog goes on losing its attempts"
            assert len(store.events("row_refused")) < 20
            insert(store, entity_type="Order", priority=LOW)
            await faults(hub)
            await arrived(hub, rows + 1)
            await drained(store)
            assert store.status()["health"] == "healthy"
            assert store.events("hub_accepts_again")
            assert (await counted(hub))["orderViolationCount"] == 0


async def until_refused(hub: RefHub, count: int) -> dict[str, Any]:
    async def enough() -> dict[str, Any] | None:
        state = await counted(hub)
        return state if state["refused"] >= count else None

    return dict(await until(enough, f"{count} rows were refused"))
