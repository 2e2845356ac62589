"""Filling beside a POS: what its triggers refuse keeps nothing else, and what it rebuilds meanwhile mixes no rows up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import capture_logs

from syncd.store.catalog import OWN_KINDS
from syncd.store.fill import Fill
from syncd.store.opening import open_store
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, opened, paths
from tests.unit.store.test_declared import FIRST, apply, promotions
from tests.unit.store.test_declared import opened as opened_and_filled
from tests.unit.store.test_lookups import former_release

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.catalog import Catalog
    from syncd.store.opening import StoreFiles

WITH_BADGE = promotions(FIRST | {"badge": "text"})


async def fill(files: StoreFiles, catalog: Catalog) -> list[Any]:
    """Fill in once; the warnings."""
    with capture_logs() as lines:
        await Fill(files, catalog, FakeClock(), structlog.get_logger(), lambda _: None).run()
    return [line for line in lines if line["log_level"] == "warning"]


def refuse(path: Path, table: str, *keys: str) -> None:
    condition = " OR ".join(f"OLD.{key}" for key in keys)
    execute(path, f"CREATE TRIGGER pos BEFORE UPDATE ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'not this one'); END")


def rebuild(path: Path, table: str, order: str) -> None:
    """As a POS's tool for migrations does it: a new table, the rows, and the old name."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        ((sql,),) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(sql.replace(table, "rebuilt", 1))
        connection.execute(f"INSERT INTO rebuilt SELECT * FROM {table} ORDER BY {order}")
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE rebuilt RENAME TO {table}")
        connection.execute("COMMIT")


async def test_a_row_that_a_trigger_of_the_pos_refuses_keeps_no_other_from_its_number(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    former_release(path, 1200)
    refuse(path, "products", "product_id = 7", "product_id = 700")
    async with opened(tmp_path) as files:
        (warning,) = await fill(files, OWN_KINDS)
        assert (warning["event"], warning["table"], warning["key"], warning["reason"]) == (
            "row_not_filled",
            "products",
            "7",
            "not this one",
        )
        assert execute(path, "SELECT product_id FROM products WHERE change_seq = 0") == [(7,), (700,)]
        assert execute(path, "SELECT count(DISTINCT change_seq) FROM products WHERE change_seq > 0") == [(1198,)]
        assert execute(path, "SELECT change_seq > 0 FROM prices") == [(1,)], "nor the tables after it"
        execute(path, "DROP TRIGGER pos")
        assert await fill(files, OWN_KINDS) == []
        assert execute(path, "SELECT count(*) FROM products WHERE change_seq = 0") == [(0,)]


async def test_a_row_that_a_trigger_of_the_pos_refuses_keeps_no_other_from_its_new_column(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened_and_filled(tmp_path, promotions()) as files:
        await apply(files, promotions(), *(f'{{"promotionId":{n},"name":"P","badge":"B{n}","version":1}}' for n in range(50)))
    refuse(path, "promotions", "promotion_id = 20")
    files = await open_store(paths(tmp_path), FakeClock(), structlog.get_logger(), WITH_BADGE)
    try:
        (warning,) = await fill(files, WITH_BADGE)
        assert (warning["event"], warning["key"]) == ("row_not_filled", "20")
        assert execute(path, "SELECT promotion_id, extra FROM promotions WHERE badge IS NULL") == [(20, '{"badge":"B20"}')]
        execute(path, "DROP TRIGGER pos")
        assert await fill(files, WITH_BADGE) == []
        assert execute(path, "SELECT count(*) FROM promotions WHERE badge = 'B' || promotion_id AND extra IS NULL") == [(50,)]
    finally:
        await files.close()


async def test_a_table_that_the_pos_rebuilds_meanwhile_gets_its_columns_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened_and_filled(tmp_path, promotions()) as files:
        await apply(files, promotions(), *(f'{{"promotionId":{n},"name":"P","badge":"B{n}","version":1}}' for n in range(50)))
    files = await open_store(paths(tmp_path), FakeClock(), structlog.get_logger(), WITH_BADGE)
    try:
        write = files.store.write

        async def after_a_rebuild(*arguments: Any, **options: Any) -> Any:
            files.store.write = write  # type: ignore[method-assign]
            rebuild(path, "promotions", "promotion_id DESC")
            return await write(*arguments, **options)

        files.store.write = after_a_rebuild  # type: ignore[method-assign]
        assert await fill(files, WITH_BADGE) == []
        assert execute(path, "SELECT count(*) FROM promotions WHERE badge = 'B' || promotion_id AND extra IS NULL") == [(50,)]
    finally:
        await files.close()
