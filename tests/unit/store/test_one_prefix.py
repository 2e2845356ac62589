"""The tables of a store keep their prefix: another one is refused before anything is touched."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from syncd.config.entities import EntityDeclaration, FieldDeclaration
from syncd.errors import ConfigurationError
from syncd.store.admin import OutboxAdmin
from syncd.store.catalog import PRICE, PRODUCT, catalog_of
from syncd.store.inbox import Inbox
from syncd.store.migrate import ANOTHER_FILE, ANOTHER_PREFIX, migrations
from syncd.store.names import prefixed
from syncd.store.opening import open_store, require_possible_in
from syncd.store.quarantine_admin import QuarantineAdmin
from syncd.store.rebuild import FEW_ROWS
from syncd.store.resync import request_full_pull
from syncd.store.schema import RECORD, statements
from syncd.store.update import read_update
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, opened, paths

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.opening import StoreFiles

SYNCD = prefixed("syncd_")
PRODUCT_7 = {"productId": 7, "sku": "S", "name": "N", "barcode": "4006", "isActive": True, "updatedAt": "2026-11-23T10:00:00Z"}


def schema(path: Path) -> list[tuple[Any, ...]]:
    return execute(path, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")


async def apply(files: StoreFiles, *updates: Any) -> None:
    await Inbox(files.store, FakeClock()).apply(updates)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.mark.parametrize(("before", "after"), [("", "syncd_"), ("syncd_", ""), ("syncd_", "hq_"), ("syncd_", "syncd_hq_")])
async def test_another_prefix_is_refused_and_nothing_is_touched(tmp_path: Path, path: Path, before: str, after: str) -> None:
    async with opened(tmp_path, table_prefix=before):
        pass
    outbox = prefixed(before).of("sync_outbox")
    execute(path, f"INSERT INTO {outbox} (entity_type, entity_id, operation, payload) VALUES ('R', 1, 'Create', '{{}}')")
    there = schema(path)
    with pytest.raises(ConfigurationError) as caught:
        async with opened(tmp_path, table_prefix=after):
            pass
    assert f'database.table_prefix is "{after}"' in str(caught.value)
    assert f'have the prefix "{before}"' in str(caught.value)
    assert f'put table_prefix = "{before}" back' in str(caught.value)
    assert outbox in str(caught.value)
    assert schema(path) == there
    async with opened(tmp_path, table_prefix=before):
        assert execute(path, f"SELECT count(*) FROM {outbox}") == [(1,)]


@pytest.mark.parametrize("prefix", ["", "syncd_"])
async def test_an_outbox_that_a_pos_has_made_with_another_prefix_is_refused_too(tmp_path: Path, path: Path, prefix: str) -> None:
    other = prefixed("hq_" if prefix else "syncd_")
    for statement in statements(migrations("outbox", other)[0].script):
        execute(path, statement)
    with pytest.raises(ConfigurationError, match=f'have the prefix "{other.prefix}"'):
        async with opened(tmp_path, table_prefix=prefix):
            pass
    async with opened(tmp_path, table_prefix=other.prefix):
        assert execute(path, f"SELECT count(*) FROM {other.of('sync_schema')} WHERE component = 'outbox'") == [(2,)]


async def test_the_file_with_hqs_tables_is_looked_at_before_the_outbox_is_made_in_another(tmp_path: Path) -> None:
    async with opened(tmp_path, outbox_path=tmp_path / "old.db"):
        pass
    with pytest.raises(ConfigurationError, match=r'store\.db: database\.table_prefix is "syncd_"'):
        async with opened(tmp_path, outbox_path=tmp_path / "pos.db", table_prefix="syncd_"):
            pass
    assert schema(tmp_path / "pos.db") == []


async def test_a_pos_with_its_own_products_has_no_outbox_made_as_long_as_it_is_refused(tmp_path: Path, path: Path) -> None:
    execute(path, "CREATE TABLE products (id)")
    there = schema(path)
    with pytest.raises(ConfigurationError, match=r"database\.table_prefix"):
        async with opened(tmp_path):
            pass
    assert schema(path) == there


async def test_copies_that_somebody_has_put_aside_are_in_nobodys_way(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        pass
    for table in ("outbox", "schema"):
        execute(path, f"CREATE TABLE old_{table} AS SELECT * FROM sync_{table}")
    async with opened(tmp_path):
        pass


async def test_commands_with_another_prefix_say_so(tmp_path: Path) -> None:
    async with opened(tmp_path, table_prefix="syncd_"):
        pass
    for command in (
        lambda: OutboxAdmin(paths(tmp_path)), lambda: QuarantineAdmin(paths(tmp_path)),
        lambda: request_full_pull(paths(tmp_path), [], FakeClock().now()),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match='put table_prefix = "syncd_" back'):
            command()


async def test_a_running_store_refuses_another_prefix_and_takes_another_file_with_one(tmp_path: Path) -> None:
    catalog = catalog_of({})
    async with opened(tmp_path, outbox_path=tmp_path / "pos.db") as files:
        now = paths(tmp_path, outbox_path=tmp_path / "pos.db")
        await require_possible_in(files, now, now, catalog)
        for then in (now.model_copy(update={"table_prefix": "syncd_"}), paths(tmp_path, table_prefix="syncd_")):
            with pytest.raises(ConfigurationError, match=r'database\.table_prefix is "syncd_"'):
                await require_possible_in(files, now, then, catalog)
        await require_possible_in(files, now, paths(tmp_path / "another", table_prefix="syncd_"), catalog)


@pytest.mark.parametrize("table", ["outbox", "schema", "entity_types", "products_by_sku", "rebuilt_prices", "replaced_x", "x_by_name"])
async def test_a_kind_whose_table_would_have_a_name_of_syncds_own_is_refused(tmp_path: Path, path: Path, table: str) -> None:
    fields = {"id": FieldDeclaration(type="identifier"), "name": FieldDeclaration(type="text")}
    declared = {
        "Odd": EntityDeclaration(fields=fields, key=("id",), table=table),
        "Other": EntityDeclaration(fields=fields, key=("id",), table="x", indexes=(("name",),)),
    }
    with pytest.raises(ConfigurationError, match=f"entities.Odd.table: syncd_{table} is a name of syncd's own"):
        await open_store(paths(tmp_path, table_prefix="syncd_"), FakeClock(), structlog.get_logger(), catalog_of(declared))
    assert schema(path) == []
    (tmp_path / "without").mkdir()
    files = await open_store(paths(tmp_path / "without"), FakeClock(), structlog.get_logger(), catalog_of(declared))
    await files.close()


@pytest.mark.parametrize("more", [0, FEW_ROWS])
async def test_a_store_of_the_first_schema_is_upgraded_with_its_prefix_and_what_the_pos_has_added(
    tmp_path: Path, path: Path, more: int
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE [products] (mine)")  # the POS's, and in brackets it means this one
        for statement in (*statements(migrations("store", SYNCD)[0].script), SYNCD.script(RECORD)):
            connection.execute(statement)
        connection.execute("INSERT INTO syncd_schema VALUES ('store', 1, 'store', 'then')")
        connection.execute("INSERT INTO syncd_products (product_id, sku, barcode) VALUES (7, 'S', '4006')")
        prices = [(7, "1.50"), *((1000 + number, "9.99") for number in range(more))]
        connection.executemany("INSERT INTO syncd_prices (product_id, price) VALUES (?, ?)", prices)
        connection.execute("CREATE TRIGGER poss_own AFTER UPDATE ON syncd_prices BEGIN INSERT INTO [products] VALUES (NEW.price); END")
        connection.execute("CREATE INDEX poss_index ON syncd_prices (price) WHERE price <> '[products]'")
    async with opened(tmp_path, table_prefix="syncd_") as files:
        await apply(files, read_update(PRODUCT, PRODUCT_7))
        price = {"productId": 7, "price": "2.50", "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"}
        await apply(files, read_update(PRICE, price))
    assert execute(path, "SELECT price, effective_from FROM syncd_current_prices WHERE product_id = 7") == [("2.50", "")]
    assert execute(path, "SELECT count(*) FROM syncd_prices") == [(1 + more,)]
    assert execute(path, "SELECT mine FROM products") == [("2.50",)]
    assert execute(path, "SELECT barcode, product_id FROM syncd_barcodes") == [("4006", 7)]
    poss = dict(execute(path, "SELECT name, sql FROM sqlite_schema WHERE name LIKE 'poss%'"))
    assert "INSERT INTO [products] VALUES" in poss["poss_own"]
    assert poss["poss_index"].endswith("WHERE price <> '[products]'")
    others = execute(path, "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'syncd%' AND name NOT LIKE 'sqlite%' ORDER BY name")
    assert others == [("poss_index",), ("poss_own",), ("products",)]


async def test_what_somebody_drops_is_made_again_and_a_till_reads_the_prefix_in_what_it_did_wrong(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path, table_prefix="syncd_"):
        pass
    whole = schema(path)
    execute(path, "DROP INDEX syncd_outbox_by_priority")
    execute(path, "DROP TRIGGER syncd_barcodes_of_gone_product")
    async with opened(tmp_path, table_prefix="syncd_"):
        pass
    assert sorted(schema(path)) == sorted(whole)
    with pytest.raises(sqlite3.IntegrityError, match=r"syncd_outbox\.operation must be Create, Update or Delete"):
        execute(path, "INSERT INTO syncd_outbox (entity_type, entity_id, operation, payload) VALUES ('R', 1, 'Sell', '{}')")


@pytest.mark.parametrize(
    ("prefix", "table", "helps"),
    [
        ("", "products", f"{ANOTHER_PREFIX}, or {ANOTHER_FILE}; see docs/beside-a-pos.md"),
        ("", "sync_outbox", f"{ANOTHER_PREFIX}, or see docs/till.md on the outbox"),
        ("", "sync_change", f"{ANOTHER_PREFIX}, or {ANOTHER_FILE}; see docs/beside-a-pos.md"),
        ("syncd_", "syncd_products", 'another prefix than database.table_prefix = "syncd_" helps; see docs/beside-a-pos.md'),
        ("syncd_", "syncd_outbox", 'another prefix than database.table_prefix = "syncd_" helps; see docs/beside-a-pos.md'),
    ],
)
async def test_what_helps_beside_a_table_of_the_poss_is_said(tmp_path: Path, path: Path, prefix: str, table: str, helps: str) -> None:
    execute(path, f"CREATE TABLE {table} (mine)")
    there = schema(path)
    with pytest.raises(ConfigurationError, match=re.escape(helps) + "$"):
        async with opened(tmp_path, table_prefix=prefix):
            pass
    assert schema(path) == there


async def test_a_store_that_is_there_is_told_of_no_prefix(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        pass
    execute(path, "DROP VIEW active_products")
    execute(path, "ALTER TABLE products RENAME TO mine")
    execute(path, "CREATE TABLE products (mine)")
    with pytest.raises(ConfigurationError, match=f"syncd works with; {re.escape(ANOTHER_FILE)}"):
        async with opened(tmp_path):
            pass
