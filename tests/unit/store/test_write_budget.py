"""The till's room: real files and commits, time and the disk's speed set by the test."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.errors import StorageError
from syncd.store import write_budget
from syncd.store.database import Database, Held
from syncd.store.write_budget import BUSY_SHARE, LAZY_PART, MAX_ROWS, QUIET_SHARE, SMALL_SECONDS, Cost, PacedWriter
from tests.support.clock import FakeClock
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from syncd.clock import Clock

T = TypeVar("T")


class SlowDisk(Database):
    """A database on a disk whose speed the test sets: a write says that it held the lock for `cost`, whatever this machine does."""

    cost = 0.0
    holds: list[tuple[float, float]]  # when, and for how long
    clock: FakeClock

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> Held[T]:
        held = await super().write(work)
        self.holds.append((self.clock.monotonic(), self.cost))
        return Held(held.result, self.cost)

    def busiest_second(self) -> float:
        """The largest share of any second."""
        return max((sum(s for at, s in self.holds if start <= at < start + 1) for start, _ in self.holds), default=0.0)


@asynccontextmanager
async def slow_disk(folder: Path, clock: FakeClock) -> AsyncIterator[SlowDisk]:
    database = await SlowDisk.open(folder / "till.db")
    assert isinstance(database, SlowDisk)
    database.holds, database.clock = [], clock
    await database.run(lambda c: c.execute("CREATE TABLE t (n)"))
    yield database
    await database.close()


def insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1)")


def a_till(database: Database, clock: Clock, *, busy: bool = True) -> PacedWriter:
    return PacedWriter(database, clock, last_written=None if busy else clock.monotonic() - 3600)


async def flood(till: PacedWriter, disk: SlowDisk, rows: int, row_seconds: float, *, urgent: bool) -> None:
    cost = Cost()
    while rows > 0:
        chunk = min(rows, till.room(cost, urgent=urgent))
        disk.cost = chunk * row_seconds
        await till.write(insert, rows=chunk, cost=cost, urgent=urgent)
        till.others_wrote()
        rows -= chunk


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row_seconds=st.floats(5e-6, 1e-4), rows=st.integers(50, 3000), urgent=st.booleans())
async def test_a_flood_never_holds_the_lock_for_more_than_its_share_of_any_second(
    tmp_path_factory: pytest.TempPathFactory, row_seconds: float, rows: int, urgent: bool
) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path_factory.mktemp("flood"), clock) as disk:
        await flood(a_till(disk, clock), disk, rows, row_seconds, urgent=urgent)
        allowed = BUSY_SHARE + SMALL_SECONDS if urgent else BUSY_SHARE * LAZY_PART
        assert disk.busiest_second() <= allowed + 1e-9


async def test_a_flood_on_a_quiet_file_is_a_lot_faster_and_still_leaves_room(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock, busy=False)
        cost = Cost()
        for _ in range(400):
            disk.cost = 0.003
            await till.write(insert, rows=100, cost=cost, urgent=False)
        assert 3 < clock.seconds < 6, "1.2 s of lock at a quarter of the time"
        assert disk.busiest_second() <= QUIET_SHARE + 1e-9


async def test_a_disk_that_turns_slow_gets_smaller_chunks_and_one_slow_chunk_changes_little() -> None:
    cost = Cost()
    assert cost.rows(0.005) == write_budget.FIRST_ROWS
    cost.measured(100, 0.001)
    assert 499 <= cost.rows(0.005) <= 500
    cost.measured(500, 0.5)
    assert 124 <= cost.rows(0.005) <= 125, "a quarter at once"
    for _ in range(5):
        cost.measured(50, 0.05)
    assert cost.rows(0.005) <= 5, "a disk that stays slow"
    for _ in range(8):
        cost.measured(5, 0.00005)
    assert cost.rows(0.005) >= 499, "and one that is as quick as before"
    for _ in range(20):
        cost.measured(1, 30.0)
    assert cost.rows(0.005) == 1, "never nothing"
    fast = Cost()
    fast.measured(1000, 1e-9)
    assert fast.rows(0.005) == MAX_ROWS


async def test_the_commit_of_a_few_rows_makes_many_no_dearer() -> None:
    cost = Cost()
    cost.measured(1000, 0.002)
    for _ in range(10):
        cost.measured(1, 0.0005)
    assert cost.rows(0.004) >= 1999
    cost.measured(100, 0.002)
    assert cost.rows(0.005) < 1000, "what is not short is counted"


async def test_what_a_chunk_did_not_need_of_the_share_is_used_within_the_same_second(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock)
        cost = Cost()
        cost.measured(100, 0.005)
        disk.cost = 0.0015
        await till.write(insert, rows=till.room(cost, urgent=True), cost=cost, urgent=True)
        before = clock.seconds
        disk.cost = 0.003
        await till.write(insert, rows=till.room(cost, urgent=True), cost=cost, urgent=True)
        assert clock.seconds - before < 0.01
        assert disk.busiest_second() <= BUSY_SHARE + 1e-9


async def test_small_urgent_work_goes_in_at_once_though_marks_have_used_their_part(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock)
        await flood(till, disk, 2000, 2e-5, urgent=False)
        before = clock.seconds
        price = Cost()
        price.measured(1, 0.0004)
        disk.cost = 0.0004
        await till.write(insert, rows=1, cost=price, urgent=True)
        assert clock.seconds == before


async def test_marks_wait_for_an_urgent_update_and_never_go_before_it(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock)
        disk.cost = 0.004
        cost = Cost()
        await till.write(insert, rows=1, cost=cost, urgent=True)
        order: list[str] = []

        async def write(name: str, *, urgent: bool) -> None:
            await till.write(insert, rows=1, cost=cost, urgent=urgent)
            order.append(name)

        urgent = asyncio.create_task(write("price", urgent=True))
        await asyncio.sleep(0)
        await asyncio.gather(write("marks", urgent=False), urgent)
        assert order == ["price", "marks"]


async def test_others_commits_are_noticed_and_our_own_are_not(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock, busy=False)
        assert await till.look()
        await till.write(insert, rows=1, cost=Cost(), urgent=False)
        assert await till.look(), "that was us"
        execute(disk.path, "INSERT INTO t VALUES (2)")
        assert not await till.look()
        clock.seconds += 9.9
        assert not await till.look()
        clock.seconds += 0.2
        assert await till.look()


async def test_a_daemon_that_just_started_is_careful_until_it_knows_better(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = PacedWriter(disk, clock)
        assert not await till.look()
        clock.seconds += 10
        assert await till.look()


async def test_a_look_that_fails_leaves_the_door_open_for_the_next(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock)

        def refuse(connection: sqlite3.Connection) -> None:
            connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK)

        def allow(connection: sqlite3.Connection) -> None:
            connection.set_authorizer(None)

        await disk.run(refuse)
        with pytest.raises(StorageError, match="not authorized"):
            await till.write(insert, rows=1, cost=Cost(), urgent=False)
        await disk.run(allow)
        await asyncio.wait_for(till.write(insert, rows=1, cost=Cost(), urgent=False), 5)


async def test_a_write_that_fails_or_is_given_up_leaves_the_door_open_for_the_next(tmp_path: Path) -> None:
    clock = FakeClock()
    async with slow_disk(tmp_path, clock) as disk:
        till = a_till(disk, clock)
        with pytest.raises(StorageError, match="no such table"):
            await till.write(lambda c: c.execute("INSERT INTO nowhere VALUES (1)"), rows=1, cost=Cost(), urgent=True)
        given_up = asyncio.create_task(till.write(insert, rows=1, cost=Cost(), urgent=True))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        await asyncio.wait_for(till.write(insert, rows=1, cost=Cost(), urgent=False), 5)
