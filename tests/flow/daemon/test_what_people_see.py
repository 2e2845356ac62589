"""A running store as people and monitors see it: `syncd status`, `syncd why`, the metrics file and the push, beside the daemon."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import succeeded, syncd
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

if TYPE_CHECKING:
    from pathlib import Path

NOON = f"NOON{datetime.now(UTC).hour - 12:+d}"
"""A time zone in which it is noon: today does not end while a test runs."""
UPDATED = "2026-11-24T09:00:00.000Z"


def price(version: int, amount: float) -> dict[str, Any]:
    named = {"productId": 4711, "currency": "EUR", "updatedAt": UPDATED, "correlationId": f"price-{version}"}
    return named | {"price": amount, "version": version}


def metric(path: Path, name: str, **labels: str) -> float | None:
    """A sample of the metrics file; None while there is none."""
    if not path.exists():
        return None
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


async def test_a_refused_sale_and_a_price_are_told_while_the_daemon_runs_and_after_it(tmp_path: Path) -> None:
    async with RefHub() as hub:
        await hub.control("PUT", "faults", {"refuseEntityIds": ["17"]})
        store = Store(
            tmp_path, hub.url(), heartbeat__interval_seconds=1, sync__retry_base_seconds=400, metrics__file=str(tmp_path / "syncd.prom")
        )
        await store.create()
        async with store.running():
            store.sell([("Receipt", number, "Create", "{}", 2) for number in (16, 17, 17, 18)])
            await until(lambda: store.status()["outbox"]["sentTotal"] == 2, "HQ has two of four rows")
            await until(lambda: store.status()["outbox"]["recentErrors"], "it has refused one")
            refused, behind = await succeeded(store, "why", "2"), await succeeded(store, "why", "3")
            assert "Receipt 17: Create, high priority" in refused
            assert "refused by HQ, 1 time by now" in refused
            assert "waits: for its next attempt, at 20" in refused
            assert "waits: behind row 2 of the same entity, which is tried again at 20" in behind
            assert "sent: HQ has it" in await succeeded(store, "why", "Receipt/16")

            for version, amount in ((2, 12.5), (1, 11.0)):
                await hub.control("POST", "push?hub=sync", {"method": "ReceivePriceUpdate", "args": [price(version, amount)]})
            await until(lambda: store.status()["inbound"]["stale"] == 1, "one of the two was older")
            await until(lambda: store.status()["inbound"]["lastApplied"]["price"], "the other was applied")

            async def is_told() -> bool:
                told = await succeeded(store, "why", "Price/4711")
                return "version 2, live: applied" in told and "version 1, live: older than what the store had" in told

            await until(is_told, "the price's story is there")
            assert "price 12.5" in await succeeded(store, "why", "Price/4711")
            status = await succeeded(store, "status")
            assert "2 rows wait (2 high)" in status
            assert "2 sent in all" in status
            await until(lambda: metric(tmp_path / "syncd.prom", "syncd_outbox_pending_rows", priority="high") == 2, "the metrics say so")
            await until(lambda: metric(tmp_path / "syncd.prom", "syncd_inbound_stale_updates_total") == 1, "and what was older")
            await until(lambda: metric(tmp_path / "syncd.prom", "syncd_connection_up") == 1, "and how the line is")
        assert metric(tmp_path / "syncd.prom", "syncd_state", state="stopped") == 1
        assert "waits: for syncd itself: syncd was stopped" in await succeeded(store, "why", "3")
        assert "Start it: systemctl start syncd" in (await syncd(store, "status")).out


async def test_today_is_counted_over_a_restart_and_the_metrics_are_pushed(tmp_path: Path) -> None:
    received: list[ExportMetricsServiceRequest] = []

    async def take(request: web.Request) -> web.Response:
        received.append(ExportMetricsServiceRequest.FromString(await request.read()))
        return web.Response()

    def sent() -> float:
        scopes = [scope for push in received[-1:] for resource in push.resource_metrics for scope in resource.scope_metrics]
        return max((m.sum.data_points[0].as_double for s in scopes for m in s.metrics if m.name == "syncd_outbox_sent_rows"), default=0)

    def knows(rows: int) -> bool:
        return bool(store.status()["outbox"]["sentToday"] == sent() == rows)

    application = web.Application()
    application.router.add_post("/v1/metrics", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with RefHub() as hub:
            endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/metrics"
            store = Store(tmp_path, hub.url(), metrics__otlp_endpoint=endpoint, metrics__otlp_interval_seconds=1)
            await store.create()
            for rows in (5, 10):
                store.sell_many(5)
                daemon = Daemon(store)
                await daemon.start(environ={"TZ": NOON})
                await until(partial(knows, rows), "HQ has them, today is known, and the receiver has been told")
                await daemon.kill()
    finally:
        await runner.cleanup()
    assert len(received) > 1
