from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from syncd.store.retention import Retention
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import execute, opened, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.errors import StorageError
    from syncd.store.opening import StoreFiles

OLD, YOUNG = "2026-10-01T10:00:00.000Z", "2026-11-20T10:00:00.000Z"  # it is 2026-11-23, and 30 days are kept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def a_retention(files: StoreFiles, days: float = 30, heard: list[StorageError | None] | None = None) -> Retention:
    return Retention(files, days, FakeClock(), (heard if heard is not None else []).append)


def fill(path: Path, rows: list[tuple[str, str, str | None]]) -> None:
    write_rows(path, *[("R", n, 3) for n in range(len(rows))])
    with closing(sqlite3.connect(path)) as till:
        till.executemany(
            "UPDATE sync_outbox SET status = ?, created_at = ?, sent_at = ? WHERE id = ?",
            [(status, created, sent, n) for n, (status, created, sent) in enumerate(rows, 1)],
        )
        till.commit()


async def test_old_sent_and_cancelled_rows_leave_and_nobodys_sale_does(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        fill(
            path,
            [
                ("sent", OLD, OLD), ("pending", OLD, None), ("failed", OLD, None), ("cancelled", OLD, None),
                ("cancelled", YOUNG, None), ("sent", OLD, None), ("sent", "no time at all", None), ("sent", OLD, YOUNG),
                ("sent", YOUNG, YOUNG),
            ],
        )  # fmt: skip
        assert await a_retention(files).purge() == 3
        assert execute(path, "SELECT id FROM sync_outbox ORDER BY id") == [(2,), (3,), (5,), (7,), (8,), (9,)]


async def test_a_row_that_was_sent_late_or_stamped_by_a_wrong_clock_keeps_no_other_row(tmp_path: Path, path: Path) -> None:
    future = "2099-01-01T00:00:00.000Z"
    async with opened(tmp_path) as files:
        fill(path, [("sent", OLD, YOUNG), ("sent", OLD, future), ("sent", future, None), *[("sent", OLD, OLD)] * 600])
        assert await a_retention(files).purge() == 600
        assert execute(path, "SELECT id FROM sync_outbox ORDER BY id") == [(1,), (2,), (3,)]


async def test_a_quarantined_update_leaves_for_its_own_age_whatever_stands_around_it(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        for at in [YOUNG, *[OLD, YOUNG] * 25, OLD]:
            execute(path, "INSERT INTO sync_quarantine VALUES (NULL, 'ReceivePriceUpdate', NULL, 'bad', '{}', ?)", at)
        assert await a_retention(files).purge() == 26
        assert execute(path, "SELECT DISTINCT received_at, count(*) FROM sync_quarantine") == [(YOUNG, 26)]


async def test_a_backlog_is_walked_in_bounded_pages_and_never_on_the_writers_connection(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        fill(path, [("pending", OLD, None)] * 3000)
        before = files.outbox.held_seconds_total
        await files.outbox.database.run(lambda c: c.set_authorizer(lambda *_: sqlite3.SQLITE_DENY))
        steps: list[int] = []
        ticks = [0]

        def tick() -> int:
            ticks[0] += 1
            return 0

        await files.maintenance[0].run(lambda c: c.set_progress_handler(tick, 1000))
        await files.maintenance[0].run(lambda c: c.set_trace_callback(lambda _: steps.append(ticks[0])))
        assert await a_retention(files).purge() == 0
        assert files.outbox.held_seconds_total == before
        longest = max(b - a for a, b in pairwise(steps))
        assert len(steps) >= 6
        assert longest <= 20, "thousand instructions of SQLite's a page"


async def test_a_moment_that_is_no_text_or_no_utf8_keeps_its_row_and_nothing_else(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        fill(path, [("sent", OLD, OLD)] * 3)
        execute(path, "UPDATE sync_outbox SET sent_at = CAST(x'80FF' AS TEXT) WHERE id = 1")
        execute(path, "UPDATE sync_outbox SET sent_at = x'00' WHERE id = 2")
        assert await a_retention(files).purge() == 1
        assert execute(path, "SELECT id FROM sync_outbox ORDER BY id") == [(1,), (2,)]


async def test_ids_are_never_used_again(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        fill(path, [("sent", OLD, OLD)] * 5)
        assert await a_retention(files).purge() == 5
        assert write_rows(path, ("R", 1, 3)) == [6]


async def test_a_row_that_comes_back_to_life_between_the_look_and_the_delete_stays(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        fill(path, [("cancelled", OLD, None), ("cancelled", OLD, None)])
        back = "BEGIN UPDATE sync_outbox SET status = 'pending' WHERE id = 2; END"
        execute(path, f"CREATE TRIGGER back BEFORE DELETE ON sync_outbox WHEN old.id = 1 {back}")
        await a_retention(files).purge()
        assert execute(path, "SELECT id, status FROM sync_outbox") == [(2, "pending")]


async def test_what_an_earlier_release_wrote_with_every_update_leaves_whatever_its_age(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        for at in (OLD, YOUNG):
            execute(path, "INSERT INTO sync_inbox VALUES (NULL, 'Price', '1', 'Update', 1, NULL, NULL, 'live', ?)", at)
        assert await a_retention(files).purge() == 2
        assert execute(path, "SELECT count(*) FROM sync_inbox") == [(0,)]


async def test_a_great_many_leave_in_pieces_and_from_the_other_file_too(tmp_path: Path) -> None:
    pos = tmp_path / "pos.db"
    async with opened(tmp_path, outbox_path=pos) as files:
        fill(pos, [("sent", OLD, OLD)] * 3500)
        execute(tmp_path / "store.db", "INSERT INTO sync_inbox VALUES (NULL, 'Price', '1', 'Update', 1, NULL, NULL, 'live', ?)", OLD)
        assert await a_retention(files).purge() == 3501
        assert execute(pos, "SELECT count(*) FROM sync_outbox") == [(0,)]


async def test_a_file_that_refuses_is_reported_and_the_report_is_taken_back_once_it_works(tmp_path: Path, path: Path) -> None:
    heard: list[StorageError | None] = []
    async with opened(tmp_path) as files:
        fill(path, [("sent", OLD, OLD)])
        await files.outbox.database.run(lambda c: c.execute("PRAGMA busy_timeout = 1"))
        with closing(sqlite3.connect(path, isolation_level=None)) as till:
            till.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(a_retention(files, heard=heard).run())
            await until(lambda: heard, "the trouble is told")
            till.execute("COMMIT")
        await until(lambda: heard[-1] is None, "the trouble is over")
        assert execute(path, "SELECT count(*) FROM sync_outbox") == [(0,)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_zero_days_keep_everything(tmp_path: Path, path: Path) -> None:
    heard: list[StorageError | None] = []
    async with opened(tmp_path) as files:
        fill(path, [("sent", OLD, OLD)])
        task = asyncio.create_task(a_retention(files, days=0, heard=heard).run())
        await until(lambda: heard, "it has had its turn")
        assert execute(path, "SELECT count(*) FROM sync_outbox") == [(1,)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_price_leaves_once_it_is_long_over_and_neither_the_one_in_force_nor_the_one_before_it(tmp_path: Path, path: Path) -> None:
    old, young, ahead = (f"{day}T00:00:00.0000000Z" for day in ("2026-10-01", "2026-11-20", "2026-12-24"))
    older = "2026-09-01T00:00:00.0000000Z"
    prices = {
        "replaced twice": (1, "", None, 0), "before it": (1, older, None, 0), "in force": (1, old, None, 0),
        "replaced once": (8, "", None, 0), "in force instead": (8, old, None, 0),
        "before the lately replaced": (9, "", None, 0), "lately replaced": (9, older, None, 0), "new": (9, young, None, 0),
        "before an offer": (10, "", None, 0), "offer": (10, older, ahead, 0), "after the offer": (10, old, None, 0),
        "replaced lately": (2, "", None, 0), "replaced it": (2, young, None, 0),
        "comes back": (3, "", None, 0), "ended long ago": (3, older, old, 0),
        "before what is ahead": (4, "", None, 0), "ahead": (4, ahead, None, 0),
        "tombstone of all": (5, "", None, 1), "since": (5, old, None, 0),
        "tombstone of a date": (6, older, None, 1), "after it": (6, old, None, 0),
        "what the deleted one had replaced": (7, "", None, 0), "deleted": (7, old, None, 1),
    }  # fmt: skip
    async with opened(tmp_path) as files:
        for name, row in prices.items():
            execute(
                path,
                "INSERT INTO prices (currency, product_id, effective_from, effective_to, is_deleted) VALUES (?, ?, ?, ?, ?)",
                name,
                *row,
            )
        assert await a_retention(files).purge() == 2
        left = {name for (name,) in execute(path, "SELECT currency FROM prices")}
        assert prices.keys() - left == {"replaced twice", "ended long ago"}


async def test_the_price_before_comes_back_into_force_when_hq_withdraws_the_one_that_replaced_it(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path) as files:
        for amount, begins in (("10", ""), ("12", "2026-09-01T00:00:00.0000000Z")):
            execute(path, "INSERT INTO prices (product_id, price, effective_from) VALUES (1, ?, ?)", amount, begins)
        await a_retention(files).purge()
        execute(path, "UPDATE prices SET is_deleted = 1 WHERE price = '12'")
        assert execute(path, "SELECT price FROM current_prices") == [("10",)]
