"""Acks to HQ: none is lost for another's sake, none costs the connection again and again, and the status says what HQ does not get."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from syncd.downlink import acknowledgements
from syncd.downlink.acknowledgements import Acknowledgements
from syncd.status.health import assess
from syncd.status.report import InboundStatus, Report
from tests.support.clock import BEGINNING
from tests.support.flow import arrived, make_store
from tests.support.hub_rig import eventually, hub_settings, make_rig, running
from tests.support.hubs import counted
from tests.support.refhub import RefHub
from tests.support.scripted_hub import ScriptedHub, Wire
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

AT = "2026-11-23T10:00:00.000Z"
CONNECTS = 5  # at most, until acks pass at a hub that takes 8 KiB a message

Ack = dict[str, Any]


def an_ack(number: int) -> Ack:
    return {"correlationId": f"c{number}", "success": True, "processedAt": AT}


def ids(count: int) -> list[str | None]:
    return [f"c{number}" for number in range(count)]


def a_price(number: int, **fields: object) -> dict[str, object]:
    return {"productId": number, "price": 5, "currency": "EUR", "updatedAt": AT, "correlationId": f"{number:036d}"} | fields


def an_item(number: int) -> dict[str, object]:
    payload = json.dumps({"productId": number, "price": 5, "currency": "EUR", "updatedAt": AT})
    return {
        "entityType": "Price", "entityId": number, "operation": "Update", "timestamp": AT, "correlationId": f"c{number}", "payload": payload
    }  # fmt: skip


class AckHub:
    """A hub that answers acks as a test says.

    Attributes:
        taken: correlation ids, in order.
        calls: acks of each call of `AcknowledgeBatch`, and 1 for each of `Acknowledge`.
        connects: connections that came to be.
    """

    def __init__(self, answer: Callable[[str, list[Ack]], str | None]) -> None:
        """`answer` is given the method and the acks, and returns the error, "cut" to close the connection, or None."""
        self._answer = answer
        self._hub = ScriptedHub(self._serve)
        self.taken: list[str] = []
        self.calls: list[tuple[str, int]] = []
        self.connects = 0

    @asynccontextmanager
    async def acknowledging(self, **settings: Any) -> AsyncIterator[tuple[Acknowledgements, InboundStatus]]:
        """Acknowledgements that run against it."""
        async with self._hub:
            rig = make_rig(hub_settings(self._hub.url, reconnect_delay_seconds=0.1, **settings))
            async with running(rig):
                status = InboundStatus()
                acks = Acknowledgements(rig.hub, 32768, rig.clock, structlog.get_logger(), status, lambda: None)
                task = asyncio.create_task(acks.run())
                try:
                    yield acks, status
                finally:
                    task.cancel()
                    await asyncio.wait({task})

    async def _serve(self, wire: Wire) -> None:
        self.connects += 1
        while (message := await wire.listen()) is not None:
            if message.get("type") != 1 or "invocationId" not in message:
                continue
            method, argument = message["target"], message["arguments"][0]
            acks = argument if isinstance(argument, list) else [argument]
            self.calls.append((method, len(acks)))
            error = self._answer(method, acks)
            if error == "cut":
                return
            if error is None:
                self.taken += [ack["correlationId"] for ack in acks]
            await wire.say({"type": 3, "invocationId": message["invocationId"], **({"error": error} if error else {"result": None})})


# ── what a message holds ────────────────────────────────────────────────────────────────────────────────────────────


async def test_acks_above_what_the_hub_takes_go_in_smaller_messages_and_the_sales_go_on(tmp_path: Path) -> None:
    async with RefHub("--max-message-bytes=8192") as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await until(lambda: store.status()["inbound"]["caughtUp"], "it is caught up")
            await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [[a_price(n) for n in range(100)]]})
            await acknowledged(hub, 100)
            store.sell_many(5)
            await arrived(hub, 5)
            assert (await counted(hub))["connects"] <= CONNECTS
            assert store.status()["inbound"]["acksDropped"] == 0


async def test_refusals_with_long_reasons_all_reach_hq(tmp_path: Path) -> None:
    digits = "1234567890." + "1" * 400
    prices = [a_price(n, price=digits) for n in range(100)]
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running():
            await until(lambda: store.status()["inbound"]["caughtUp"], "it is caught up")
            await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [prices]})

            async def all_known() -> bool:
                return bool((await counted(hub))["acksFailed"] == 100)

            await until(all_known, "HQ knows of all refusals")
            assert (await counted(hub))["connects"] == 1


async def test_one_ack_that_is_too_large_for_any_message_is_counted_and_the_others_go() -> None:
    hub = AckHub(lambda _, __: None)
    async with hub.acknowledging() as (acks, status):
        acks.add(["c1", "x" * 40_000, "c3"], {}, BEGINNING)
        await eventually(lambda: hub.taken == ["c1", "c3"])
        assert status.acks_dropped == 1
        acks.refresh_status()
        assert "above the limit" in (status.acks_dropped_reason or "")


async def test_an_ack_for_which_the_hub_closes_the_connection_is_dropped_with_a_reason_and_the_others_go() -> None:
    hub = AckHub(lambda _, acks: "cut" if an_ack(17) in acks else None)
    async with hub.acknowledging() as (acks, status):
        acks.add(ids(100), {}, BEGINNING)
        await eventually(lambda: len(set(hub.taken)) == 99)
        acks.refresh_status()
        assert (status.acks_dropped, status.acks_waiting) == (1, 0)
        report = Report(store_id=7, hub_url="http://127.0.0.1/", started_at=BEGINNING, inbound=status)
        health, reasons = assess(report)
        assert health == "warning"
        assert "1 ack " in reasons[0]


# ── what a hub refuses ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_the_hub_throws_for_lists_every_ack_goes_alone() -> None:
    hub = AckHub(lambda method, _: "An unexpected error occurred invoking it" if method == "AcknowledgeBatch" else None)
    async with hub.acknowledging() as (acks, status):
        acks.add(ids(300), {}, BEGINNING)
        await eventually(lambda: len(hub.taken) == 300)
        assert len(set(hub.taken)) == 300
        assert status.acks_dropped == 0
        assert sum(method == "AcknowledgeBatch" for method, _ in hub.calls) < 20  # it learns that lists are not to be had


async def test_one_ack_that_the_hub_refuses_takes_no_other_with_it() -> None:
    hub = AckHub(lambda _, acks: "no such update" if an_ack(17) in acks else None)
    async with hub.acknowledging() as (acks, status):
        acks.add(ids(100), {}, BEGINNING)
        await eventually(lambda: len(hub.taken) == 99)
        await eventually(lambda: status.acks_dropped == 1)
        assert len(hub.calls) < 20


async def test_calls_that_a_lost_connection_took_are_made_again_though_another_was_refused() -> None:
    def answer(method: str, acks: list[Ack]) -> str | None:
        if method == "AcknowledgeBatch":
            return "Unknown hub method 'AcknowledgeBatch'"
        if acks[0] == an_ack(0):
            return "no such update"
        return "cut" if acks[0] == an_ack(5) and hub.connects == 1 else None

    hub = AckHub(answer)
    async with hub.acknowledging() as (acks, status):
        acks.add(ids(50), {}, BEGINNING)
        await eventually(lambda: set(hub.taken) == {f"c{n}" for n in range(1, 50)})
        assert status.acks_dropped == 1


async def test_a_single_ack_goes_as_a_list_where_the_hub_takes_nothing_else() -> None:
    hub = AckHub(lambda method, _: None if method == "AcknowledgeBatch" else "Unknown hub method 'Acknowledge'")
    async with hub.acknowledging() as (acks, _):
        acks.add(ids(1), {}, BEGINNING)
        await eventually(lambda: hub.taken == ["c0"])


# ── how many wait ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_acks_above_the_bound_are_counted_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "KEPT_ACKS", 100)
    rig = make_rig(hub_settings("http://127.0.0.1:1/hub"))
    status = InboundStatus()
    acks = Acknowledgements(rig.hub, 32768, rig.clock, structlog.get_logger(), status, lambda: None)
    acks.add(ids(110), {}, BEGINNING)
    acks.refresh_status()
    assert (status.acks_waiting, status.acks_dropped) == (100, 10)
    assert "more than 100 waited" in (status.acks_dropped_reason or "")


async def test_a_catch_up_waits_while_too_many_acks_wait_and_goes_on_where_hq_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "NEARLY_FULL", 10)
    hub = AckHub(lambda _, __: None)
    async with hub.acknowledging() as (acks, _):
        acks.add(ids(30), {}, BEGINNING)
        waiting = asyncio.create_task(acks.room())
        await eventually(waiting.done)
        assert len(hub.taken) > 20  # there is room because they went
    monkeypatch.setattr(acknowledgements, "STUCK_SECONDS", 0.01)
    acks.add(ids(30), {}, BEGINNING)
    await acks.room()  # nobody takes them


async def acknowledged(hub: RefHub, count: int) -> None:
    async def all_known() -> bool:
        return bool((await counted(hub))["acksOkDistinct"] == count)

    await until(all_known, f"HQ knows that {count} are applied")


async def test_a_daemon_that_is_told_to_stop_gives_hq_the_acks_of_all_that_is_applied(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = await make_store(tmp_path, hub.url())
        await hub.control("POST", "feed", [an_item(n) for n in range(3000)])
        async with store.running() as daemon:
            await until(lambda: in_store(store) >= 1000, "a part is applied")
            await daemon.stop()
        assert (await counted(hub))["acksOkDistinct"] == in_store(store)


def in_store(store: Store) -> int:
    return int(store.query("SELECT count(*) FROM prices")[0][0])
