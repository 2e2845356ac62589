"""A long table that a step builds anew: beside a till that sells, a POS that writes into it, and whatever cuts it short."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from syncd.store.database import Database
from syncd.store.migrate import migrations, newest_schema
from syncd.store.names import UNPREFIXED
from syncd.store.opening import open_store
from syncd.store.rebuild import FEW_ROWS
from syncd.store.retention import Retention
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, paths
from tests.unit.store.test_fill import rebuild
from tests.unit.store.test_migrate import before_the_rebuild

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncd.store.opening import StoreFiles

ROWS = 3 * FEW_ROWS
KEPT = "SELECT product_id, price_list, price, coalesce(effective_from, ''), \"shelf label\" FROM {} ORDER BY price_list, price, product_id"


class Cut(Exception):
    """What cuts the upgrade short."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of the first release with many prices, and what its POS has added to their table."""
    path = tmp_path / "store.db"
    before_the_rebuild(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(n, f"{n}.00", None if n % 2 else "2026-12-01T00:00:00.0000000Z") for n in range(10, ROWS)]
        connection.executemany("INSERT INTO prices (product_id, price, effective_from) VALUES (?, ?, ?)", rows)
        connection.execute("DELETE FROM seen")
    return path


async def upgraded(path: Path, on_progress: Callable[[], None] = lambda: None) -> StoreFiles:
    return await open_store(paths(path.parent), FakeClock(), structlog.get_logger(), on_progress=on_progress)


class Meanwhile:
    """Does something after the n-th piece of the copy."""

    def __init__(self, **work: Callable[[], object]) -> None:
        self._work = {int(name.removeprefix("after_")): work for name, work in work.items()}
        self.pieces = 0

    def __call__(self) -> None:
        self.pieces += 1
        self._work.get(self.pieces, lambda: None)()


def raise_cut() -> None:
    raise Cut


async def test_it_is_copied_in_pieces_with_all_that_the_pos_has_added_and_its_old_rows_leave_in_pieces(path: Path) -> None:
    before, meanwhile = execute(path, KEPT.format("prices")), Meanwhile()
    files = await upgraded(path, meanwhile)
    try:
        assert meanwhile.pieces > 1
        assert execute(path, KEPT.format("prices")) == before
        assert execute(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'pos_%' AND tbl_name = 'prices' ORDER BY name") == [
            ("pos_labels",), ("pos_seen",),
        ]  # fmt: skip
        assert execute(path, "SELECT count(*) FROM seen") == [(0,)], "no trigger ran for it"
        assert execute(path, "SELECT count(*) FROM sync_replaced_prices") == [(len(before),)]
        await Retention(files, 0, FakeClock(), lambda _: None).clear_replaced()
        assert execute(path, "SELECT name FROM sqlite_schema WHERE name LIKE '%replaced%' OR name LIKE '%rebuilt%'") == []
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]
    finally:
        await files.close()


async def test_what_the_pos_writes_into_it_meanwhile_is_in_the_new_one(path: Path) -> None:
    def write() -> None:
        execute(path, "UPDATE prices SET price = '0.10' WHERE product_id IN (10, 2500)")
        execute(path, "UPDATE prices SET price = '0.20' WHERE rowid = (SELECT max(rowid) FROM sync_rebuilt_prices)")
        execute(path, "DELETE FROM prices WHERE product_id IN (11, 2501)")
        execute(path, "INSERT INTO prices (product_id, price) VALUES (9000, '9.00')")
        execute(path, "INSERT INTO prices (rowid, product_id, price) VALUES (-5, 9001, '9.01')")
        execute(path, "INSERT OR REPLACE INTO prices (product_id, price, effective_from) VALUES (12, '12.12', '2027-01-01T00:00:00Z')")
        expected.extend(execute(path, KEPT.format("prices")))

    expected: list[tuple[Any, ...]] = []
    files = await upgraded(path, Meanwhile(after_2=write))
    await files.close()
    assert execute(path, KEPT.format("prices")) == expected
    assert ("9.01",) in execute(path, "SELECT price FROM prices")


async def test_a_copy_that_was_cut_short_goes_on_where_it_was(path: Path) -> None:
    before = execute(path, KEPT.format("prices"))
    with pytest.raises(Cut):
        await upgraded(path, Meanwhile(after_3=raise_cut))
    assert execute(path, KEPT.format("prices")) == before
    ((copied,),) = execute(path, "SELECT count(*) FROM sync_rebuilt_prices")
    assert 0 < copied < len(before)
    execute(path, "DELETE FROM prices WHERE product_id = 10")  # while we are not there
    left: list[int] = []
    files = await upgraded(path, Meanwhile(after_1=lambda: left.append(execute(path, "SELECT count(*) FROM sync_rebuilt_prices")[0][0])))
    await files.close()
    assert left[0] > copied - 1
    assert execute(path, KEPT.format("prices")) == [row for row in before if row[0] != 10]


@pytest.mark.parametrize("after", [1, 3])
async def test_a_table_that_the_pos_changes_meanwhile_is_copied_from_its_beginning(path: Path, after: int) -> None:
    """Rebuilt, it has no triggers of ours any more; with one more column, rows that are copied lack that."""

    def change() -> None:
        execute(path, "DROP VIEW pos_cheap")
        rebuild(path, "prices", "product_id DESC")
        execute(path, "ALTER TABLE prices ADD COLUMN late TEXT")
        execute(path, "UPDATE prices SET price = '7.77', late = 'yes' WHERE product_id < 1000")

    files = await upgraded(path, Meanwhile(**{f"after_{after}": change}))
    await files.close()
    assert execute(path, "SELECT count(*), count(late), sum(price = '7.77') FROM prices WHERE product_id <> '2'") == [(ROWS - 9, 991, 991)]


async def test_each_index_of_a_table_that_has_rows_has_a_transaction_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {
        name for name, item in newest_schema("store", UNPREFIXED).items() if item.kind == "index" and item.table in ("products", "prices")
    }
    execute(path, "INSERT INTO products (product_id) VALUES (1)")
    made: list[int] = []
    write = Database.write

    async def counting(self: Database, work: Any) -> Any:
        held = await write(self, work)
        if self.path == path:
            made.append(sum(name in ours for (name,) in execute(path, "SELECT name FROM sqlite_schema")))
        return held

    monkeypatch.setattr(Database, "write", counting)
    files = await upgraded(path)
    await files.close()
    assert max(after - before for before, after in zip([0, *made], made, strict=False)) == 1
    assert made[-1] == len(ours) > 3
    assert execute(path, "SELECT max(version) FROM sync_schema WHERE component = 'store'") == [(migrations("store")[-1].version,)]
