"""What a till asks for: what has changed since, and whose barcode this is; also in a store of a former release."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import structlog

from syncd.errors import ConfigurationError
from syncd.store.catalog import OWN_KINDS, PRICE, PRODUCT
from syncd.store.field_values import MalformedError
from syncd.store.fill import Fill
from syncd.store.inbox import Inbox
from syncd.store.migrate import migrations
from syncd.store.schema import RECORD, statements
from syncd.store.update import Update, read_update
from syncd.wire.json import parse_json
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, opened

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.opening import StoreFiles


def product(number: int, version: int = 1, *, delete: bool = False, **fields: object) -> Update:
    message = {"productId": number, "sku": "S", "name": "N", "isActive": True, "updatedAt": "2026-11-23T10:00:00Z", "version": version}
    return read_update(PRODUCT, message | fields, delete=delete)


def price(number: int, version: int = 1, **fields: object) -> Update:
    message = {"productId": number, "price": 5, "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z", "version": version}
    return read_update(PRICE, message | fields)


async def apply(files: StoreFiles, *updates: Update) -> None:
    applied = await Inbox(files.store, FakeClock()).apply(updates)
    assert applied.whole
    assert applied.refused == {}


async def fill(files: StoreFiles) -> None:
    await Fill(files, OWN_KINDS, FakeClock(), structlog.get_logger(), lambda _: None).run()


def barcodes(path: Path) -> list[tuple[object, ...]]:
    return execute(path, "SELECT barcode, product_id, unit, quantity FROM barcodes ORDER BY barcode, product_id")


# ── what has changed ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_number_grows_across_all_tables_with_every_change_and_with_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    numbers = (
        "SELECT 'product', product_id, change_seq FROM products UNION ALL SELECT 'price', product_id, change_seq FROM prices ORDER BY 3"
    )
    async with opened(tmp_path) as files:
        await apply(files, product(1), price(1), price(2))
        assert execute(path, numbers) == [("product", 1, 1), ("price", 1, 2), ("price", 2, 3)]
        await apply(files, price(1), product(1))
        assert execute(path, numbers)[-1] == ("price", 2, 3), "equal is no change"
        await apply(files, price(1, version=2), read_update(PRICE, {"productId": 2, "version": 2}, delete=True), product(1, version=2))
        assert execute(path, numbers) == [("price", 1, 4), ("price", 2, 5), ("product", 1, 6)]
    async with opened(tmp_path) as files:
        await apply(files, price(3))
        assert execute(path, numbers)[-1] == ("price", 3, 7), "over a restart"


async def test_a_delete_of_all_dates_numbers_each_of_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as files:
        await apply(files, price(1), price(1, effectiveFrom="2026-12-01T00:00:00Z"), price(1, effectiveFrom="2026-12-24T00:00:00Z"))
        await apply(files, read_update(PRICE, {"productId": 1, "version": 9}, delete=True))
        assert execute(tmp_path / "store.db", "SELECT is_deleted, change_seq FROM prices ORDER BY change_seq") == [(1, 4), (1, 5), (1, 6)]


async def test_the_number_never_goes_back_where_another_program_has_dropped_its_table(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        await apply(files, *(price(n) for n in range(20)))
    execute(path, "DROP TABLE sync_change")
    async with opened(tmp_path) as files:
        await apply(files, price(99))
        assert execute(path, "SELECT change_seq FROM prices WHERE product_id = 99") == [(21,)]


# ── barcodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_barcode_of_a_product_leads_to_it_with_its_unit_and_its_exact_quantity(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    more = parse_json('["222", {"Barcode": "333", "UNIT": "box", "quantity": 12.50}, {"barcode": 444}]')
    async with opened(tmp_path) as files:
        await apply(files, product(1, barcode="111", barcodes=more), product(2, barcode="222"), product(3))
        assert barcodes(path) == [
            ("111", 1, None, None), ("222", 1, None, None), ("222", 2, None, None), ("333", 1, "box", "12.50"), ("444", 1, None, None),
        ]  # fmt: skip
        await apply(files, product(1, version=2, barcode="333", barcodes=parse_json('[{"barcode":"333","unit":"bag"},"333"]')))
        assert barcodes(path) == [("222", 2, None, None), ("333", 1, "bag", None)]
        await apply(files, read_update(PRODUCT, {"productId": 2, "version": 2}, delete=True), product(1, version=3))
        assert barcodes(path) == []
        await apply(files, product(2, version=3, barcode="222"))
        assert barcodes(path) == [("222", 2, None, None)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"1,2"', "barcodes must be a list, this is text"),
        ('[{"code": "1"}]', r"barcodes \[0\] must be text, this is null"),
        ('["1", {"barcode": "2", "quantity": "many"}]', r"barcodes \[1\] must be a decimal"),
    ],
)
def test_a_list_that_holds_no_barcodes_is_malformed(text: str, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        product(1, barcodes=parse_json(text))


# ── a store of a former release ─────────────────────────────────────────────────────────────────────────────────────


def former_release(path: Path, products: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*statements(migrations("store")[0].script), RECORD):
            connection.execute(statement)
        connection.execute("INSERT INTO sync_schema VALUES ('store', 1, 'store', '2026-11-23T10:00:00.000Z')")
        rows = [(n, f"B{n}", f'{{"barcodes":["C{n}"],"color":"red"}}', n % 10 == 9) for n in range(products)]
        connection.executemany("INSERT INTO products (product_id, barcode, extra, is_deleted) VALUES (?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO prices (product_id, price) VALUES (1, '1.10')")
        connection.execute("INSERT INTO sync_quarantine (method, reason, raw, received_at) VALUES ('m', ?, '{}', '')", (UNKNOWN,))


UNKNOWN = "unknown entityType 'Promotion'; known are Product, Price, Inventory, Transaction"


async def test_rows_of_a_former_release_get_numbers_and_barcodes_and_what_it_could_not_keep_is_fetched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    former_release(path, 1000)
    os.utime(path, (0, 0))  # the shop is closed: nothing is paced for its till
    async with opened(tmp_path) as files:
        await apply(files, price(1))
        assert execute(path, "SELECT price, change_seq FROM prices") == [("5", 1)]
        await fill(files)
        assert execute(path, "SELECT count(DISTINCT change_seq), min(change_seq) > 0 FROM products") == [(1000, 1)]
        assert execute(path, "SELECT barcodes, extra FROM products WHERE product_id = 8") == [('[{"barcode":"C8"}]', '{"color":"red"}')]
        assert execute(path, "SELECT count(*), count(DISTINCT product_id) FROM barcodes") == [(1800, 900)]
        assert execute(path, "SELECT entity_type FROM sync_resync") == [("",)]


@pytest.mark.parametrize("table", ["products", "prices"])
async def test_a_table_without_rowid_that_the_pos_made_is_refused_since_it_cannot_be_read_page_by_page(tmp_path: Path, table: str) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path):
        ((sql,),) = execute(path, "SELECT sql FROM sqlite_schema WHERE name = ?", table)
    path.unlink()
    execute(path, f"{sql} WITHOUT ROWID")
    with pytest.raises(ConfigurationError, match=rf"a table {table} already, and it has no rowid \(it was made WITHOUT ROWID\)"):
        async with opened(tmp_path):
            pytest.fail("it opened")
