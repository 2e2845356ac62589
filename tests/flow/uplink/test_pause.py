"""`syncd pause` and `syncd resume` beside the running daemon, and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema

from syncd.store.pause import pause_file
from tests.support.commands import succeeded, syncd
from tests.support.flow import arrived, make_store
from tests.support.hubs import counted, flow_hub
from tests.support.store import until
from tests.unit.status.test_file import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_pause_holds_sales_back_over_a_restart_lets_prices_through_and_ends(tmp_path: Path) -> None:
    async with flow_hub("development") as hub:
        store = await make_store(tmp_path, hub.url())
        done = await syncd(store, "pause", "--for", "2h")
        assert (done.code, done.err) == (0, "syncd is not running; the pause holds when it is started\n")
        assert "Nothing is sent to HQ until" in done.out
        store.sell_many(30)
        async with store.running():
            status = await until(lambda: store.status() if store.status()["state"] == "online" else None, "it is connected")
            jsonschema.validate(status, SCHEMA)
            assert status["outbox"]["paused"]["by"]
            await until(lambda: store.status()["outbox"]["pending"]["total"] == 30, "the rows are counted")
            price = {"productId": 1, "price": 2.5, "currency": "EUR", "updatedAt": "2026-11-24T09:00:00Z", "correlationId": "p"}
            await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [price]})
            await until(lambda: store.query("SELECT price FROM prices") == [("2.5",)], "the price is in the table")
            assert (await counted(hub))["received"] == 0
            assert any("sending is paused until" in reason for reason in store.status()["reasons"])
        async with store.running():
            await until(lambda: store.status()["state"] == "online", "it is connected again")
            assert store.status()["outbox"]["paused"]
            assert "The pause is over" in await succeeded(store, "resume")
            await arrived(hub, 30)
            await until(lambda: store.status()["outbox"]["paused"] is None, "the status says so")
            assert "There is no pause" in await succeeded(store, "resume")
            await succeeded(store, "pause", "--for", "1s")
            await until(lambda: not pause_file(store.database.state_path).exists(), "it ends by itself")
            await until(lambda: store.status()["outbox"]["paused"] is None, "the status says so")
            assert next(event["reason"] for event in store.events("sending_resumed")) == "syncd resume"
        assert (await syncd(store, "pause", "--for", "8d")).code == 64
        assert (await syncd(store, "pause", "--for", "soon")).code == 64
