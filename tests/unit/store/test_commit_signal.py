from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest

from syncd.clock import SystemClock
from syncd.store import commit_signal as module
from syncd.store.commit_signal import CommitSignal
from syncd.store.write_budget import Cost
from tests.support.store import until
from tests.support.storefiles import opened, write_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from syncd.errors import StorageError
    from syncd.store.opening import StoreFiles

SOON_SECONDS = 0.1


class Heard:
    """When the signal came."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.troubles: list[StorageError | None] = []

    async def __call__(self) -> None:
        self.times.append(time.perf_counter())


@asynccontextmanager
async def watching(files: StoreFiles) -> AsyncIterator[Heard]:
    heard = Heard()
    task = asyncio.create_task(CommitSignal(files.reader, SystemClock(), heard, heard.troubles.append).run())
    await until(lambda: heard.times, "the first look")
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["inotify", "polling"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How commits are noticed: where the file system cannot tell, by looking often."""
    if request.param == "polling":

        def none_left() -> None:
            raise OSError(24, "inotify instance limit reached")

        monkeypatch.setattr(module, "Inotify", none_left)
    return str(request.param)


async def test_a_tills_commit_is_seen_within_a_tenth_of_a_second(tmp_path: Path, way: str) -> None:
    async with opened(tmp_path, SystemClock()) as files, watching(files) as heard:
        delays = []
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as till:
            for n in range(15):
                count = len(heard.times)
                till.execute("INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('R', ?, 'Create', '')", (n,))
                committed = time.perf_counter()
                await until(lambda count=count: len(heard.times) > count, "the commit is seen", 5)  # type: ignore[misc]
                delays.append(heard.times[count] - committed)
        delays.sort()
        assert delays[len(delays) // 2] < SOON_SECONDS, f"by {way}: {delays}"
        assert delays[-1] < 2.5, "a missed event costs one slow look"


async def test_what_our_own_writer_commits_is_seen_too(tmp_path: Path, way: str) -> None:  # noqa: ARG001 - both ways
    async with opened(tmp_path, SystemClock()) as files, watching(files) as heard:
        count = len(heard.times)
        await files.outbox.write(
            lambda c: c.execute("UPDATE sync_outbox_generation SET generation = generation + 1"), rows=1, cost=Cost(), urgent=True
        )
        await until(lambda: len(heard.times) > count, "it is seen", 5)


async def test_a_commit_by_a_till_that_goes_at_once_is_seen(tmp_path: Path) -> None:
    async with opened(tmp_path, SystemClock()) as files, watching(files) as heard:
        for _ in range(5):
            count = len(heard.times)
            write_rows(tmp_path / "store.db", ("R", 1, 3))
            await until(lambda count=count: len(heard.times) > count, "it is seen", 5)  # type: ignore[misc]


async def test_a_transaction_that_is_rolled_back_is_no_change(tmp_path: Path) -> None:
    async with opened(tmp_path, SystemClock()) as files, watching(files) as heard:
        count = len(heard.times)
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as till:
            till.execute("BEGIN IMMEDIATE")
            till.execute("INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('R', 1, 'Create', '')")
            till.execute("ROLLBACK")
        write_rows(tmp_path / "store.db", ("R", 1, 3))
        await until(lambda: len(heard.times) > count, "the commit is seen", 5)
        assert len(heard.times) == count + 1


async def test_a_file_that_cannot_be_read_for_a_while_is_reported_and_what_was_committed_meanwhile_is_seen(tmp_path: Path) -> None:
    async with opened(tmp_path, SystemClock()) as files, watching(files) as heard:
        await files.reader.run(lambda c: c.set_authorizer(lambda *_: sqlite3.SQLITE_DENY))
        write_rows(tmp_path / "store.db", ("R", 1, 3))
        await until(lambda: heard.troubles[-1] is not None, "the trouble is told", 5)
        count = len(heard.times)
        await files.reader.run(lambda c: c.set_authorizer(None))
        await until(lambda: len(heard.times) > count, "the commit is seen", 5)
        await until(lambda: heard.troubles[-1] is None, "the trouble is over", 5)


async def test_an_idle_store_costs_next_to_no_processor_time(tmp_path: Path) -> None:
    async with opened(tmp_path, SystemClock()) as files, watching(files):
        began, spent = time.perf_counter(), time.process_time()
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(2.0, done.set)
        await done.wait()
        assert (time.process_time() - spent) / (time.perf_counter() - began) < 0.02


async def test_an_event_ends_the_wait_that_follows_one_without_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (0.01, 0.01, 0.01, 3600.0)
    monkeypatch.setattr(module, "LOOK_AFTER_EVENT_SECONDS", steps)
    async with opened(tmp_path, SystemClock()) as files, watching(files) as heard:
        count, looks = len(heard.times), 0
        look = files.reader.run

        async def counted(work: Callable[[sqlite3.Connection], Any]) -> Any:
            nonlocal looks
            looks += 1
            return await look(work)

        monkeypatch.setattr(files.reader, "run", counted)
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as till:
            till.execute("PRAGMA cache_size = 1")  # what has no room is written into the log before the commit
            till.execute("BEGIN IMMEDIATE")
            for n in range(100):
                till.execute(
                    "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('R', ?, 'Create', ?)", (n, "x" * 5000)
                )
            await until(lambda: looks >= len(steps), "the last step begins", 5)
            till.execute("COMMIT")
        await until(lambda: len(heard.times) > count, "the commit is seen", 5)


async def test_two_commits_of_which_one_event_tells_are_both_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(*_: object) -> None: ...

    monkeypatch.setattr(CommitSignal, "_listen", deaf)
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(module, "LOOK_AFTER_EVENT_SECONDS", (0.05,) * 100)
    async with opened(tmp_path, SystemClock()) as files:
        heard = Heard()
        signal = CommitSignal(files.reader, SystemClock(), heard, heard.troubles.append)
        signal._touched.set()
        watching_task = asyncio.create_task(signal.run())
        for n in range(2):
            await until(lambda n=n: len(heard.times) > n, "what was committed before is seen", 5)  # type: ignore[misc]
            write_rows(tmp_path / "store.db", ("R", n, 3))
        await until(lambda: len(heard.times) > 2, "the last commit is seen", 5)
        watching_task.cancel()
        await asyncio.gather(watching_task, return_exceptions=True)
