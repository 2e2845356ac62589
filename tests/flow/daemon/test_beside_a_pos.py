"""A POS that has its own `products`: what syncd says, what helps, and that both live side by side then, as docs/beside-a-pos.md tells."""

from __future__ import annotations

import tomllib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.store.check import read_without_a_trace
from syncd.store.names import UNPREFIXED, names_in
from tests.support.commands import succeeded, syncd
from tests.support.flow import QUICK, arrived, drained
from tests.support.hubs import BOTH, FlowHub, counted, flow_hub
from tests.support.pages import blocks_of
from tests.support.store import Store, until
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PAGE = "docs/beside-a-pos.md"
OWN = "CREATE TABLE products (id INTEGER PRIMARY KEY, title TEXT)"
PREFIX = 'give syncd\'s tables names of their own: database.table_prefix = "syncd_"'
FILES = "give HQ's tables a file of their own: database.path another file, database.outbox_path this one; see docs/beside-a-pos.md"
PRODUCT = {"productId": 7, "sku": "S", "name": "HQ's", "isActive": True, "updatedAt": "2026-11-23T10:00:00Z"}
PRICE = {"productId": 7, "price": 12.5, "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"}


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


async def beside(folder: Path, hub: FlowHub) -> Store:
    """A POS's database that syncd has refused with words, and has not touched."""
    pos = folder / "pos.db"
    execute(pos, OWN)
    execute(pos, "INSERT INTO products VALUES (7, 'Its own')")
    store = Store(folder, hub.url(), **(QUICK | {"database__path": str(pos)}))
    before = pos.read_bytes()
    refused = await syncd(store, "check")
    assert refused.code == 78
    assert f"{pos}: there is a table products already" in refused.out
    assert f"{PREFIX}, or {FILES}" in refused.out
    assert pos.read_bytes() == before
    return store


def configured(heading: str, folder: Path) -> dict[str, str]:
    """The keys of a section's block, with files in this folder."""
    (block,) = blocks_of(PAGE, "toml", heading)
    keys = tomllib.loads(block)["database"]
    return {f"database__{key}": value if key == "table_prefix" else str(folder / value.rpartition("/")[2]) for key, value in keys.items()}


async def test_a_pos_with_its_own_products_has_hqs_beside_them_by_a_prefix(tmp_path: Path, hub: FlowHub) -> None:
    store = await beside(tmp_path, hub)
    store.write_config(**configured("Names of their own", tmp_path))
    assert store.database.path == tmp_path / "pos.db"
    await succeeded(store, "check")
    sell, look = blocks_of(PAGE, "sql", "Names of their own")[0].strip().split("\n", 1)
    async with store.running():
        execute(store.database.path, sell)
        await arrived(hub, 1)
        await hub.control("POST", "push", {"method": "ReceiveProductUpdate", "args": [PRODUCT]})
        await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [PRICE]})
        await until(lambda: store.query(look) == [("Its own", "HQ's", "12.5")], "the till reads both side by side")


async def test_the_prefix_of_a_store_is_changed_with_its_outbox_renamed_and_no_row_is_lost(tmp_path: Path, hub: FlowHub) -> None:
    store = Store(tmp_path, "http://127.0.0.1:9/hubs/sync", **QUICK)
    await store.create()
    store.sell([("Receipt", 1, "Create", "{}", 2), ("Receipt", 2, "Create", "{}", 3)])
    rows = store.query("SELECT id, correlation_id FROM sync_outbox ORDER BY id")
    store.write_config(database__table_prefix="syncd_", hub__url=hub.url())
    refused = await syncd(store, "run")
    assert refused.code == 78
    assert 'put table_prefix = "" back, or see docs/beside-a-pos.md on another prefix' in refused.err + refused.out

    (block,) = blocks_of(PAGE, "sql", "Another prefix for a store that has one")
    with closing(store.till()) as till:
        till.executescript(block)
    assert store.query("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'") == [("syncd_outbox",)]
    async with store.running():
        await arrived(hub, 2)
        await drained(store)
        assert (await counted(hub))["digest"] == store.digest()
        await until(lambda: store.count("sent") == 2, "the column follows")
        correlation_ids = "SELECT id, correlation_id FROM syncd_outbox ORDER BY id"
        assert store.query(correlation_ids) == rows


@pytest.mark.parametrize("prefix", ["", "syncd_"])
async def test_a_pos_with_its_own_products_has_hqs_beside_them_in_another_file(tmp_path: Path, hub: FlowHub, prefix: str) -> None:
    store = await beside(tmp_path, hub)
    pos = store.database.path
    store.write_config(**configured("Two files", tmp_path), database__table_prefix=prefix)
    assert store.database.outbox_path == pos
    await succeeded(store, "check")
    async with store.running():
        store.sell([("Receipt", 1, "Create", "{}", 2)])
        await arrived(hub, 1)
        await hub.control("POST", "push", {"method": "ReceiveProductUpdate", "args": [PRODUCT]})
        with closing(store.till()) as till:
            till.execute("ATTACH DATABASE ? AS hq", (str(tmp_path / "hq.db"),))
            both = f"SELECT (SELECT title FROM main.products), (SELECT name FROM hq.{prefix}products WHERE change_seq > 0)"
            await until(lambda: till.execute(both).fetchone() == ("Its own", "HQ's"), "the till reads both over one connection")
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    tables = read_without_a_trace(pos, UNPREFIXED, lambda connection: connection.execute(query).fetchall())
    ours = [names_in(store.database).of(name) for name in ("sync_outbox", "sync_outbox_generation", "sync_schema")]
    assert [name for (name,) in tables] == ["products", *ours]
