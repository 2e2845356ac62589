"""A POS that does to its database what it should not, while the daemon sends."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.flow import arrived, drained, make_store
from tests.support.hubs import flow_hub
from tests.support.store import Store, until
from tests.support.storefiles import execute

PAGE = Path(__file__).parents[3] / "docs" / "trouble.md"


def the_way_out() -> str:
    """The SQL for an outbox whose ids are used up."""
    found = re.search(r"^## Outbox ids that are used up$.*?```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("outbox", ["store.db", "pos.db"], ids=["one file", "two files"])
async def test_a_dropped_index_is_made_again_and_sending_goes_on_without_a_restart(tmp_path: Path, outbox: str) -> None:
    async with flow_hub("real") as hub:
        store = await make_store(tmp_path, hub.url(), database__outbox_path=str(tmp_path / outbox))
        async with store.running() as daemon:
            store.sell_many(50)
            await arrived(hub, 50)
            store.query("DROP INDEX sync_outbox_by_priority")
            execute(store.path, "DROP VIEW active_products")
            store.sell_many(50)
            await arrived(hub, 100)
            await until(lambda: mended(store) == ["active_products", "sync_outbox_by_priority"], "it says so, once")
            await until(lambda: store.status()["health"] == "healthy", "all is well again")
            assert daemon.is_up(), "the same process"
            assert execute(store.path, "SELECT count(*) FROM active_products") == [(0,)]


def mended(store: Store) -> list[str]:
    return sorted(name for line in store.events("schema_mended") for name in line["made"])


async def test_a_column_that_the_pos_drops_ends_the_daemon_with_words(tmp_path: Path) -> None:
    async with flow_hub("real") as hub:
        store = await make_store(tmp_path, hub.url())
        async with store.running() as daemon:
            store.query("ALTER TABLE products DROP COLUMN description")
            assert await daemon.wait() == 78
        assert "a table products already, and it has no column description" in store.log_path.read_text(encoding="utf-8")


async def test_the_highest_id_there_is_is_told_with_a_way_out_that_loses_nothing(tmp_path: Path) -> None:
    async with flow_hub("real") as hub:
        store = await make_store(tmp_path, hub.url())
        store.sell_many(5)
        for trigger in ("sync_outbox_id_bounds", "sync_outbox_id_bounds_update"):
            store.query(f"DROP TRIGGER {trigger}")  # as it was before there were any
        sale = "INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload) VALUES (?, 'Receipt', 'last', 'Create', '{}')"
        store.query(sale, 2**63 - 1)
        async with store.running():
            await arrived(hub, 6)
            await until(lambda: store.status()["health"] == "critical", "the status says it")
            (reason,) = store.status()["reasons"]
            assert 'every sale fails with "database or disk is full"' in reason
            with pytest.raises(sqlite3.OperationalError, match="full"):
                store.sell_many(1)
            with closing(store.till()) as till:
                till.executescript(the_way_out())
            await until(lambda: store.status()["health"] == "healthy", "all is well again")
            store.sell_many(5)
            state = await arrived(hub, 11)
            assert state["duplicates"] <= 1, "the row with the new number may go again, by its correlation id"
            await drained(store)
            assert store.query("SELECT max(id) FROM sync_outbox") == [(11,)]
