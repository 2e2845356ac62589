"""A POS that has its own `products`: what syncd says, what helps, and that both live side by side then."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.store.check import read_without_a_trace
from syncd.store.names import UNPREFIXED
from tests.support.flow import QUICK, arrived
from tests.support.hubs import BOTH, FlowHub, flow_hub
from tests.support.store import Store, until
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OWN = "CREATE TABLE products (id INTEGER PRIMARY KEY, title TEXT)"
ADVICE = "give HQ's tables a file of their own: database.path another file, database.outbox_path this one; see docs/beside-a-pos.md"


@pytest.fixture(params=BOTH)
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[FlowHub]:
    async with flow_hub(request.param) as hub:
        yield hub


def check(store: Store) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "syncd", "check", "--config", str(store.config_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_a_pos_with_its_own_products_is_told_what_helps_and_has_hqs_beside_them(tmp_path: Path, hub: FlowHub) -> None:
    pos = tmp_path / "pos.db"
    execute(pos, OWN)
    execute(pos, "INSERT INTO products VALUES (1, 'Its own')")
    store = Store(tmp_path, hub.url(), **(QUICK | {"database__path": str(pos)}))
    before = pos.read_bytes()
    refused = check(store)
    assert refused.returncode == 78
    assert f"{pos}: there is a table products already" in refused.stdout
    assert ADVICE in refused.stdout
    assert pos.read_bytes() == before

    store.write_config(database__path=str(tmp_path / "hq.db"), database__outbox_path=str(pos))
    assert check(store).returncode == 0
    async with store.running():
        store.sell([("Receipt", 1, "Create", "{}", 2)])
        await arrived(hub, 1)
        product = {"productId": 7, "sku": "S", "name": "HQ's", "isActive": True, "updatedAt": "2026-11-23T10:00:00Z"}
        await hub.control("POST", "push", {"method": "ReceiveProductUpdate", "args": [product]})
        with closing(store.till()) as till:
            till.execute("ATTACH DATABASE ? AS hq", (str(tmp_path / "hq.db"),))
            both = "SELECT (SELECT title FROM main.products), (SELECT name FROM hq.products WHERE change_seq > 0)"
            await until(lambda: till.execute(both).fetchone() == ("Its own", "HQ's"), "the till reads both over one connection")
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    tables = read_without_a_trace(pos, UNPREFIXED, lambda connection: connection.execute(query).fetchall())
    assert [name for (name,) in tables] == ["products", "sync_outbox", "sync_outbox_generation", "sync_schema"]
