"""HQ to store."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.backlog import connected_at, running, store_with, wait_for
from tests.bench.measures.sizes import SETTLE_SECONDS, Figures, Sizes, until_idle
from tests.bench.peers import peer_running, peers
from tests.support.refhub import RefHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.store import Daemon, Store

TILL = Path(__file__).parent.with_name("till.py")
PRODUCT = '{"productId":{n},"sku":"S{n}","name":"Product {n}","isActive":true,"updatedAt":"2026-11-24T00:00:00Z","correlationId":"p{n}"}'
PRODUCTS_A_CALL = 5000


async def live(sizes: Sizes) -> Figures:
    """Updates pushed one a message: how many a second, until the last one is acknowledged."""
    async with RefHub() as hub, store_with(0, hub.url()) as store, running(store) as daemon:
        await until_idle(store)
        figures = {"updates_per_second": await push(hub, sizes.updates, daemon.is_up)}
        assert store.query("SELECT count(*) FROM products") == [(sizes.updates,)]
    for name, program in peers().items():
        async with (
            RefHub() as hub,
            store_with(0, hub.url()) as store,
            peer_running(program, store, hub.url(), "--mode=receive", f"--rows={sizes.updates}") as peer,
        ):
            await connected_at(hub, peer.alive)
            await asyncio.sleep(SETTLE_SECONDS)
            figures[f"{name}.updates_per_second"] = await push(hub, sizes.updates, peer.alive)
            await peer.told()
            assert store.query("SELECT count(*) FROM peer_products") == [(sizes.updates,)]
    return figures


async def push(hub: RefHub, updates: int, alive: Callable[[], object]) -> float:
    """Updates a second from the first push to the last acknowledgement."""
    many = {"method": "ReceiveProductUpdate", "template": PRODUCT, "from": 1, "count": updates, "perMessage": 1}
    began = time.time()
    await hub.control("POST", "push-many", many)

    async def acknowledged() -> bool:
        return int((await hub.state())["acksOkDistinct"]) >= updates

    return updates / (await wait_for(acknowledged, alive) - began)


async def load(sizes: Sizes) -> Figures:
    """A new store fetches everything, its shop closed."""
    async with RefHub() as hub, store_with(0, hub.url()) as store:
        await publish(hub, sizes.products)
        return {"products_per_second": sizes.products / await _load(hub, store, sizes.products)}


async def selling(sizes: Sizes) -> Figures:
    """The same while a till sells twice a second; then the till alone, for as long."""
    async with RefHub() as hub, store_with(0, hub.url()) as store:
        await publish(hub, sizes.products)
        async with _till_selling(store) as stop:
            seconds = await _load(hub, store, sizes.products)
            during = await stop()
        async with _till_selling(store) as stop:
            await asyncio.sleep(seconds)
            alone = await stop()
    figures = {"products_per_second": sizes.products / seconds}
    for when, told in (("during", during), ("alone", alone)):
        figures |= {f"{when}.{name}": told[name] for name in ("commits", "p50", "p99", "max", "waits")}
    return figures


async def publish(hub: RefHub, products: int) -> None:
    """HQ has so many products to give."""
    for start in range(0, products, PRODUCTS_A_CALL):
        items = [
            {
                "entityType": "Product", "entityId": n, "operation": "Update", "timestamp": "2026-11-24T00:00:00Z",
                "correlationId": f"f{n}", "payload": PRODUCT.replace("{n}", str(n)),
            }
            for n in range(start, min(products, start + PRODUCTS_A_CALL))
        ]  # fmt: skip
        await hub.control("POST", "feed", items)


async def _load(hub: RefHub, store: Store, products: int) -> float:
    """Seconds from the connection until the till's file has the last product."""
    async with running(store) as daemon:
        began = await connected_at(hub, daemon.is_up)
        return await loaded_at(store, products, daemon) - began


async def loaded_at(store: Store, products: int, daemon: Daemon) -> float:
    """The Unix time at which the till's file has the last product, and so all."""
    moment = await wait_for(lambda: store.query(f"SELECT 1 FROM products WHERE product_id = {products - 1}"), daemon.is_up)
    assert store.query("SELECT count(*) FROM products") == [(products,)]
    return moment


@asynccontextmanager
async def _till_selling(store: Store) -> AsyncIterator[Callable[[], Any]]:
    """A till in Python that sells twice a second and sleeps 150 ms at a taken lock; what stops it gives its commit times (ms)."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(TILL), str(store.path), "2", "3600", stdout=asyncio.subprocess.PIPE)

    async def stop() -> dict[str, float]:
        process.terminate()
        output, _ = await process.communicate()
        told: dict[str, float] = json.loads(output)
        return told

    try:
        yield stop
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
