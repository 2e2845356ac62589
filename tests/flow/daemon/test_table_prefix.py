"""A store with `database.table_prefix` in the file of a POS that has tables of all the names that syncd has without one."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncd.store.migrate import newest_schema
from syncd.store.names import UNPREFIXED
from tests.support.commands import succeeded, syncd
from tests.support.flow import QUICK, arrived, drained
from tests.support.hubs import BOTH, FlowHub, faults, flow_hub
from tests.support.store import Store, until
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WATCHED = Path(__file__).parents[2] / "support" / "watched"
OUR_NAMES = sorted(
    {
        item.name
        for component in ("outbox", "store")
        for item in newest_schema(component, UNPREFIXED).values()
        if item.kind in ("table", "view")
    }
)
PROMOTION = """
[entities.Promotion]
key = ["promotionId"]
indexes = [["startsAt"]]
fields = { promotionId = "identifier", name = { type = "text", required = true }, startsAt = "time" }
"""
DATED = {"updatedAt": "2026-11-23T10:00:00Z"}
CART = ("Cart", 99, "Create", "{}", 3)


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every table that syncd touches is written down, by the daemon and by commands."""
    monkeypatch.setenv("PYTHONPATH", str(WATCHED))
    monkeypatch.setenv("WATCHED_TABLES", str(tmp_path / "watched.txt"))
    return tmp_path / "watched.txt"


def touched(watched: Path, path: Path) -> set[str]:
    """In this file: the tables, but for SQLite's own and its functions."""
    lines = [line.rsplit(" ", 2) for line in watched.read_text(encoding="utf-8").splitlines()]
    tables = {table for file, schema, table in lines if file == str(path) and schema == "main"}
    return {table for table in tables if not table.startswith(("sqlite_", "json_", "pragma_"))}


def a_pos(pos: Path) -> None:
    """Tables of the POS's own that have all of our names, each with a row."""
    for name in OUR_NAMES:
        execute(pos, f'CREATE TABLE "{name}" (mine TEXT)')
        execute(pos, f'INSERT INTO "{name}" VALUES (?)', name)


def poss_own(store: Store) -> list[tuple[Any, ...]]:
    """All of the POS's tables as they are."""
    schema = store.query("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'syncd%' AND name NOT LIKE 'sqlite%' ORDER BY name")
    return [*schema, *(row for name in OUR_NAMES for row in store.query(f'SELECT * FROM "{name}"'))]


async def push(hub: FlowHub, method: str, **fields: object) -> None:
    await hub.control("POST", "push", {"method": method, "args": [fields | DATED]})


async def push_item(hub: FlowHub, kind: str, identifier: object, payload: str) -> None:
    item = {"entityType": kind, "entityId": identifier, "operation": "Update", "payload": payload, "timestamp": DATED["updatedAt"]}
    await hub.control(
        "POST", "push", {"method": "ReceiveSyncItem", "args": [item | {"storeId": 7, "correlationId": f"{kind}{identifier}"}]}
    )


async def test_everything_works_beside_a_pos_with_tables_of_all_our_names(tmp_path: Path, hub: FlowHub, watched: Path) -> None:
    pos = tmp_path / "pos.db"
    a_pos(pos)
    store = Store(tmp_path, hub.url(), **(QUICK | {"database__path": str(pos), "sync__max_attempts": 1}))
    before = poss_own(store)
    refused = await syncd(store, "check")
    assert refused.code == 78
    assert 'database.table_prefix = "syncd_"' in refused.out
    assert poss_own(store) == before

    store.declarations = PROMOTION
    store.write_config(database__table_prefix="syncd_")
    await succeeded(store, "check", "--db")
    await faults(hub, refuseEntityIds=["99"])
    async with store.running() as daemon:
        store.sell_many(200, entities=50)
        store.sell([CART, CART])
        await arrived(hub, 200)
        await push(hub, "ReceiveProductUpdate", productId=7, sku="S", name="HQ's", isActive=True, barcode="4006381333931")
        await push(hub, "ReceivePriceUpdate", productId=7, price=12.5, currency="EUR")
        await push(hub, "ReceiveInventoryUpdate", productId=7, quantityOnHand=3)
        await push(hub, "ReceivePromotionUpdate", promotionId="P1", name="Week", startsAt="2026-12-01T00:00:00Z")
        await push(hub, "ReceivePromotionUpdate", name="no key")
        await push_item(hub, "Customer", 1, '{"name":"Ä"}')
        row = """
        SELECT p.name, c.price, i.quantity_on_hand, b.barcode, o.name, e.payload, p.change_seq > 0
        FROM syncd_products AS p JOIN syncd_current_prices AS c USING (product_id) JOIN syncd_inventory AS i USING (product_id)
        JOIN syncd_barcodes AS b USING (product_id) JOIN syncd_promotions AS o JOIN syncd_entities AS e
        """
        found = ("HQ's", "12.5", "3", "4006381333931", "Week", '{"name":"Ä"}', 1)
        await until(lambda: store.query(row) == [found], "all of them are in tables with the prefix")
        await until(lambda: store.count("failed") == 2 and store.count("sent") == 200, "the till's column follows")
        await the_commands(store, hub)
        store.write_config(database__table_prefix="hq_")
        daemon.reload()
        (refusal,) = await until(lambda: store.events("configuration_refused"), "another prefix is refused")
        assert 'put table_prefix = "syncd_" back' in refusal["error"]
        store.write_config(database__table_prefix="syncd_")
        store.sell_many(1)
        await arrived(hub, 202)
        await drained(store)
    assert poss_own(store) == before
    tables = touched(watched, pos)
    assert tables == {table for table in tables if table.startswith("syncd_")}
    assert {"syncd_outbox", "syncd_outbox_generation", "syncd_products", "syncd_barcodes", "syncd_quarantine", "syncd_cursor"} < tables


async def the_commands(store: Store, hub: FlowHub) -> None:
    """Each says what it says without a prefix."""
    rows = [json.loads(line) for line in (await succeeded(store, "outbox", "list", "--status", "failed", "--json")).splitlines()]
    first, second = (str(row["id"]) for row in rows)
    assert "Cart 99" in await succeeded(store, "why", first)
    assert "Cart" in await succeeded(store, "outbox", "show", first)
    assert await succeeded(store, "outbox", "cancel", first, "--yes") == "1 row cancelled\n"
    await faults(hub)
    assert await succeeded(store, "outbox", "retry", second) == "1 row will be sent again\n"
    await arrived(hub, 201)
    await until(lambda: store.count("sent") == 201, "the mark follows")
    assert await succeeded(store, "outbox", "purge", "--entity", "Receipt", "--yes") == "200 rows deleted\n"
    why = await succeeded(store, "why", "Price/7")
    assert "12.5" in why
    assert "in force" in why
    assert "Customer" in await succeeded(store, "why", "Customer/1")
    (entry,) = (await succeeded(store, "quarantine", "list", "--json")).splitlines()
    number = str(json.loads(entry)["id"])
    assert "no key" in await succeeded(store, "quarantine", "show", number)
    assert (await syncd(store, "quarantine", "replay", number)).code == 1
    assert await succeeded(store, "quarantine", "drop", number, "--yes") == "1 entry deleted\n"
    await succeeded(store, "resync", "--type", "Price")
    await until(lambda: store.query("SELECT count(*) FROM syncd_resync") == [(0,)], "the daemon has taken it")
    assert "outbox, version" in await succeeded(store, "check", "--db")
    bundle = store.folder / "bundle.tar.gz"
    await succeeded(store, "support-bundle", "--output", str(bundle))
    with tarfile.open(bundle) as archive:
        (member,) = (name for name in archive.getnames() if name.endswith("database.json"))
        content = archive.extractfile(member)
        assert content is not None
        figures = json.load(content)
    assert figures["store"]["products"][0]["count(*)"] == 1
    assert {row["status"] for row in figures["outbox"]["byStatus"]} == {"cancelled", "sent"}
    certificate = json.loads(await succeeded(store, "drain", "--certify", "--json"))
    assert (certificate["certified"], certificate["atHQ"]["rows"], certificate["atHQ"]["cancelled"]) == (True, 1, 1)
