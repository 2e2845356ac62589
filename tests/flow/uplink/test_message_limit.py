"""A hub that takes smaller messages than we were told: the limit is learned from few closes, kept, and stops only what is above it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.flow import arrived, drained, make_store
from tests.support.hubs import counted, faults, items
from tests.support.refhub import RefHub
from tests.support.store import Store, until

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "--max-message-bytes=8192"


def sell(store: Store, *sizes: int, filler: str = "x", first: int = 0) -> None:
    """A row of each size: so many characters of payload."""
    store.sell([("Receipt", first + n, "Create", json.dumps(filler * size, ensure_ascii=False), 3) for n, size in enumerate(sizes)])


async def test_a_backlog_passes_a_smaller_limit_after_few_closes(tmp_path: Path) -> None:
    async with RefHub(SMALL) as hub:
        store = await make_store(tmp_path, hub.url())
        store.sell_many(1000, entities=200, payload_bytes=400)
        async with store.running():
            state = await arrived(hub, 1000)
            assert (state["orderViolationCount"], state["digest"]) == (0, store.digest())
            assert state["connects"] <= 6
            assert {item["attempt"] for item in await items(hub)} == {1}
            assert (await drained(store))["outbox"]["failed"] == 0


async def test_a_learned_limit_is_known_after_a_restart(tmp_path: Path) -> None:
    async with RefHub(SMALL) as hub:
        store = await make_store(tmp_path, hub.url())
        store.sell_many(300, payload_bytes=400)
        async with store.running():
            await arrived(hub, 300)
            await drained(store)
        store.sell_many(300, payload_bytes=400)
        before = (await counted(hub))["connects"]
        async with store.running():
            await arrived(hub, 600)
            await drained(store)
        assert (await counted(hub))["connects"] == before + 1
        assert (await counted(hub))["maxBatchItems"] > 1


async def test_a_row_above_the_hubs_limit_is_failed_with_a_reason_and_the_others_arrive(tmp_path: Path) -> None:
    async with RefHub(SMALL) as hub:
        store = await make_store(tmp_path, hub.url())
        sell(store, *[100] * 60, 9000, *[100] * 60, 20_000, *[7000] * 5)
        async with store.running():
            await arrived(hub, 125)
            status = await drained(store)
            assert status["outbox"]["failed"] == 2
            assert {error["entityId"] for error in status["outbox"]["recentErrors"] if error["final"]} == {60, 121}
            assert all("closed the connection" in event["error"] or "closes" in event["error"] for event in store.events("row_failed"))
            assert (await counted(hub))["connects"] <= 12


async def test_a_row_above_our_own_limit_never_goes_out(tmp_path: Path) -> None:
    async with RefHub("--max-message-bytes=1000000") as hub:
        store = await make_store(tmp_path, hub.url())
        sell(store, 100, 40_000, 100)
        async with store.running():
            await arrived(hub, 2)
            status = await drained(store)
            assert status["outbox"]["failed"] == 1
            (error,) = status["outbox"]["recentErrors"]
            assert "hub.max_message_bytes is 32768" in error["error"]
            assert (await counted(hub))["connects"] == 1


async def test_a_payload_is_measured_in_bytes_as_it_goes_over_the_wire(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        for number, filler in enumerate(("麵", '"', "\\", "\x01", "🧾", "<")):
            sell(store, *[3000] * 6, filler=filler, first=number * 10)
        async with store.running():
            state = await arrived(hub, 36)
            assert state["digest"] == store.digest()
            assert state["connects"] == 1


async def test_a_row_of_exactly_the_limit_passes_and_one_byte_more_does_not(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        sell(store, *range(32_300, 32_600, 10))
        async with store.running():
            await until(lambda: len(store.events("row_failed")) >= 1, "the larger ones are failed")
            status = await drained(store)
            assert (await counted(hub))["unique"] + status["outbox"]["failed"] == 30
            assert (await counted(hub))["connects"] == 1
            smallest = min(event["entity_id"] for event in store.events("row_failed"))
            assert status["outbox"]["failed"] == 30 - smallest


async def test_a_hub_that_cuts_the_line_at_every_batch_for_a_while_fails_no_row(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        sell(store, *range(500, 504))
        await faults(hub, cutBeforeEvery=1)
        async with store.running():

            async def often() -> bool:
                return bool((await counted(hub))["connects"] >= 9)

            await until(often, "it was cut off again and again")
            await faults(hub)
            await arrived(hub, 4)
            assert {item["attempt"] for item in await items(hub)} == {1}
            assert (await drained(store))["outbox"]["failed"] == 0
