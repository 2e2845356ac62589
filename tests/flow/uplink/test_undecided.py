"""Rows on which HQ says nothing: a query that hangs, a verdict that is null. All others flow, and these go once HQ is well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.flow import arrived, drained, make_store
from tests.support.hubs import counted, faults, items
from tests.support.refhub import RefHub
from tests.support.scripted_hub import sending_hub
from tests.support.store import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.store import Store

NORMAL = 3


def receipts(*entity_ids: object) -> list[tuple[str, object, str, str, int]]:
    return [("Receipt", entity_id, "Create", "{}", NORMAL) for entity_id in entity_ids]


def deferred_ids(store: Store) -> set[Any]:
    return {row["entityId"] for row in store.status()["outbox"]["deferred"]["rows"]}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("hanging", [[213], [3, 4, 120, 255, 399]], ids=["one", "five"])
async def test_rows_that_hang_hq_are_deferred_while_all_others_arrive_and_go_by_themselves_once_it_is_well(
    tmp_path: Path, hanging: list[int]
) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url(), hub__invocation_timeout_seconds=0.5)
        await faults(hub, hangForEntityIds=[str(n) for n in hanging])
        store.sell(receipts(*range(400), hanging[0]))
        async with store.running():
            await arrived(hub, 400 - len(hanging), seconds=240)  # each hanging row costs several time-outs and reconnects
            await until(lambda: deferred_ids(store) == set(hanging), "the status names the rows", 240)
            status = store.status()
            assert status["health"] == "warning"
            first = status["outbox"]["deferred"]["rows"][0]
            assert any("HQ gives no answer" in reason and f"Receipt {first['entityId']} since" in reason for reason in status["reasons"])
            row = next(row for row in status["outbox"]["deferred"]["rows"] if row["entityId"] == hanging[0])
            assert "did not answer within" in row["reason"]
            assert row["since"] < row["nextTryAt"]
            store.sell([("Receipt", 1000 + n, "Create", "{}", 1) for n in range(20)])
            await arrived(hub, 420 - len(hanging))
            await faults(hub)
            state = await arrived(hub, 421, seconds=240)
            assert (state["orderViolationCount"], state["digest"]) == (0, store.digest())
            assert {item["attempt"] for item in await items(hub)} == {1}
            status = await drained(store)
            assert (status["health"], status["outbox"]["deferred"], status["outbox"]["failed"]) == ("healthy", {"total": 0, "rows": []}, 0)


async def test_a_hub_for_single_items_that_one_row_hangs_gets_all_others(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url("/hubs/item"), hub__invocation_timeout_seconds=0.5)
        await faults(hub, hangForEntityIds=["13"])
        store.sell(receipts(*range(100), 13))
        async with store.running():
            await arrived(hub, 99)
            await until(lambda: deferred_ids(store) == {13}, "the status names the row")
            await faults(hub)
            assert (await arrived(hub, 101))["orderViolationCount"] == 0
            await drained(store)


async def test_a_hub_that_answers_nothing_at_all_is_said_to_and_no_row_is_at_fault(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url(), hub__invocation_timeout_seconds=0.3)
        await faults(hub, hangForEntityIds=[str(n) for n in range(100)])
        store.sell(receipts(*range(100)))
        async with store.running():
            status = await until(lambda: store.status()["health"] == "degraded" and store.status(), "the status says that HQ is silent")
            assert any("answers none" in reason for reason in status["reasons"])
            assert status["outbox"]["deferred"]["total"] == 0
            await faults(hub)
            state = await arrived(hub, 100)
            assert (state["orderViolationCount"], state["duplicates"]) == (0, 0)
            assert {item["attempt"] for item in await items(hub)} == {1}
            assert (await drained(store))["health"] == "healthy"


async def test_a_null_among_the_verdicts_is_no_verdict_for_its_own_row_and_keeps_no_other(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        await faults(hub, nullForEntityIds=["3", "120", "399"])
        store.sell(receipts(*range(400), 3))
        async with store.running():
            state = await arrived(hub, 397)
            assert state["duplicates"] == 0, "what HQ has taken is not sent again"
            await until(lambda: deferred_ids(store) == {3, 120, 399}, "the status names the rows")
            status = store.status()
            assert status["health"] == "warning"
            assert any("no verdict" in reason and "null" in reason for reason in status["reasons"])
            assert not store.events("send_backoff_started")
            before = (await counted(hub))["batches"]
            store.sell([("Receipt", 1000, "Create", "{}", 1)])
            await arrived(hub, 398)
            assert (await counted(hub))["batches"] - before < 12, "they are tried at a pace of their own"
            await faults(hub)
            state = await arrived(hub, 402)
            assert (state["orderViolationCount"], state["digest"]) == (0, store.digest())
            assert {item["attempt"] for item in await items(hub)} == {1}
            assert (await drained(store))["health"] == "healthy"


async def test_the_status_names_what_was_sent_last(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        await faults(hub, delayMs=100)
        store.sell(receipts(*range(1000)))
        async with store.running():

            def named() -> object:
                progress = store.status()["progress"]
                return progress and re.fullmatch(r"Receipt \d+", progress["currentItem"])

            await until(named, "the status names what was sent last")


@pytest.mark.parametrize("sent", ["one by one", "in halves"])
async def test_after_an_answer_that_cannot_be_read_no_later_row_of_its_entity_goes_before_it(tmp_path: Path, sent: str) -> None:
    answers = 0
    taken: list[int] = []

    def answer(method: str, items: list[Any]) -> dict[str, Any]:
        nonlocal answers
        if sent == "one by one" and method == "SendSyncBatch":
            return {"error": "Method does not exist: Unknown hub method 'SendSyncBatch'"}
        if sent == "in halves" and not answers and len(items) == 4:
            return {"error": "HubException: one of them is bad"}
        answers += 1
        if answers == 1:
            return {"result": 7}
        taken.extend(item["sequence"] for item in items)
        return {"result": None}

    async with sending_hub(answer) as hub:
        store = await make_store(tmp_path, hub.url)
        store.sell(receipts(77, 77, 77, 77))
        async with store.running():
            await until(lambda: len(taken) == 4, "HQ has all four")
            assert taken == [1, 2, 3, 4]
