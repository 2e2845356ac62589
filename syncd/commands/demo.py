"""`syncd demo`: the main job on this machine with nothing else: a shop, the real daemon as a process of its own, and a small HQ.

It proves as much as it shows: the exit code is 0 only where every figure of the reckoning is what it must be.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from syncd.clock import SystemClock, iso_ms
from syncd.commands.demo_shop import PRODUCTS, SALES, TIMEOUT_SECONDS, DemoFailedError, Shop
from syncd.devhub.faults import Faults
from syncd.devhub.server import DevHub
from syncd.errors import ExitCode
from syncd.status.reader import read_health

LINE_DELAY_MILLISECONDS = 60  # so that there is something to see
NAMES = ("Espresso", "Filter coffee", "Croissant", "Rye bread", "Oat milk", "Orange juice", "Butter", "Honey", "Green tea", "Apple cake")


@click.command("demo")
def command() -> int:
    """Show a day of a store in a minute: a till, syncd and an HQ, all on this machine, in a temporary folder.

    \b
    Example:  syncd demo
    """
    return run_demo()


def run_demo() -> int:
    """Run it; the process' exit code."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="syncd-demo-") as folder:
        try:
            all_right = asyncio.run(_demo(Path(folder), console))
        except DemoFailedError as error:
            console.print(f"[bold red]The demo failed:[/] {error}")
            log = Path(folder, "syncd.log")
            if log.exists():
                console.print(
                    "The last lines of the daemon's log:", *log.read_text(encoding="utf-8").splitlines()[-10:], sep="\n", markup=False
                )
            return ExitCode.BUG
    return ExitCode.OK if all_right else ExitCode.BUG


async def _demo(folder: Path, console: Console) -> bool:
    began = time.monotonic()
    async with DevHub(faults=Faults(delay_ms=LINE_DELAY_MILLISECONDS)) as hub:
        shop = Shop(folder, hub)
        await shop.open()
        console.print(f"A shop with {PRODUCTS} products in [bold]{shop.path}[/], and an HQ at [bold]{hub.url}[/].")
        console.print(f"The line was down: {SALES:,} sales have left {shop.rows:,} outbox rows of all four priorities. Now syncd starts.")
        await shop.start()
        try:
            await shop.wait(lambda: shop.status().get("connection", {}).get("state") == "connected", "the daemon connects")
            cut_at = await _drain(shop, hub, console)
            pushed = await _push(shop, hub, console)
            await shop.wait(lambda: shop.status()["state"] == "online", "the daemon is online with nothing to do")
            daemon = read_health(shop.status_path)
        finally:
            code = await shop.stop()
        return _reckon(shop, hub, console, pushed=pushed, cut_at=cut_at, health=daemon.health, code=code, seconds=time.monotonic() - began)


async def _drain(shop: Shop, hub: DevHub, console: Console) -> int:
    """Show the backlog drain; cut the line half-way. Returns how many rows HQ had then."""
    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    cut_at = 0
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Sending the backlog", total=shop.rows)
        while (unique := _figure(hub, "unique")) < shop.rows:
            state = shop.status().get("state", "starting")
            progress.update(bar, completed=unique, description=f"Sending the backlog ({state})")
            if not cut_at and unique > shop.rows // 2:
                cut_at = unique
                await hub.cut()
                progress.console.print(f"[yellow]The line is cut[/] after {unique:,} rows. syncd comes back by itself:")
            if time.monotonic() > deadline:
                raise DemoFailedError(f"only {unique:,} of {shop.rows:,} rows arrived within {TIMEOUT_SECONDS:g} s")
            await asyncio.sleep(0.05)
        progress.update(bar, completed=shop.rows, description="Sending the backlog (done)")
    return cut_at


async def _push(shop: Shop, hub: DevHub, console: Console) -> int:
    """HQ sends new prices, products and stock; returns how many updates that were."""
    hub.faults = Faults()
    now = iso_ms(SystemClock().now())
    for number in range(1, PRODUCTS + 1):
        common = {"productId": number, "updatedAt": now}
        product = {"sku": f"SKU-{number:04}", "name": f"{NAMES[number % len(NAMES)]} No. {number}", "isActive": True}
        await hub.push("ReceiveProductUpdate", {**common, **product, "correlationId": f"product-{number}"})
        await hub.push("ReceivePriceUpdate", {**common, "price": "3.50", "currency": "EUR", "correlationId": f"price-{number}"})
        await hub.push("ReceiveInventoryUpdate", {**common, "quantityOnHand": "12.000", "correlationId": f"inventory-{number}"})
    pushed = 3 * PRODUCTS
    with console.status(f"HQ pushes {pushed} updates of products, prices and stock …"):
        await shop.wait(lambda: _figure(hub, "acksOkDistinct") == pushed, "every update is applied and acknowledged")
    console.print(f"HQ pushed {pushed} updates of products, prices and stock; all are applied.")
    return pushed


def _reckon(shop: Shop, hub: DevHub, console: Console, *, pushed: int, cut_at: int, health: str, code: int, seconds: float) -> bool:
    applied = sum(shop.count(f"SELECT count(*) FROM {table}") for table in ("products", "prices", "inventory"))  # noqa: S608 - these three
    prices = shop.count("SELECT count(*) FROM prices WHERE price = '3.50'")
    arrived = hub.headquarters.arrivals(0, sys.maxsize)
    twice = len(arrived) - len(set(arrived))
    disorder, connects, acknowledged = (_figure(hub, name) for name in ("orderViolationCount", "connects", "acksOkDistinct"))
    lines: list[tuple[str, object, bool]] = [
        ("rows the till wrote", shop.rows, True),
        ("of these, rows HQ has", len(set(arrived)), set(arrived) == shop.correlation_ids()),
        ("duplicates at HQ", twice, twice == 0),
        ("repeats after the cut, known by their correlation id", _figure(hub, "duplicates"), True),
        ("rows of an entity out of order", disorder, disorder == 0),
        ("connections, the first of them cut", connects, cut_at > 0 and connects == 2),
        ("updates HQ pushed", pushed, True),
        ("updates applied in the store's tables", applied, applied == pushed and prices == PRODUCTS),
        ("updates acknowledged", acknowledged, acknowledged == pushed),
        ("status file", health, health == "healthy"),
        ("exit code of the daemon", code, code == 0),
    ]
    table = Table("Reckoning", "", "")
    for name, value, right in lines:
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value), "[green]✓[/]" if right else "[red]✗[/]")
    console.print(table)
    good = all(right for _, _, right in lines)
    console.print(f"{'[bold green]All is well' if good else '[bold red]Something is wrong'}[/] after {seconds:.1f} s.")
    return good


def _figure(hub: DevHub, name: str) -> int:
    value = hub.state()[name]
    assert isinstance(value, int)
    return value
