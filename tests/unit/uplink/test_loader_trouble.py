from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from syncd.config.settings import SyncSettings
from syncd.status.report import OutboxStatus
from syncd.uplink.breaker import Breaker
from syncd.uplink.loader import Loader
from syncd.uplink.queue import SendQueue
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import a_journal, a_reader, opened, write_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from syncd.errors import StorageError
    from syncd.store.opening import StoreFiles


def a_loader(files: StoreFiles, heard: list[StorageError | None]) -> Loader:
    clock, log = FakeClock(), structlog.get_logger()
    return Loader(
        queue=SendQueue(max_wait_seconds=3600, page_rows=200), breaker=Breaker(clock, log), reader=a_reader(files, clock),
        journal=a_journal(files, clock), sync=SyncSettings(), clock=clock, log=log, status=OutboxStatus(), busy=lambda: False,
        wake=asyncio.Event(), on_trouble=heard.append, on_change=lambda: None, on_generation=lambda: None,
    )  # fmt: skip


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def refuse(files: StoreFiles) -> None:
    await files.reader.run(lambda c: c.set_authorizer(lambda *_: sqlite3.SQLITE_DENY))


async def allow(files: StoreFiles) -> None:
    await files.reader.run(lambda c: c.set_authorizer(None))


async def test_rows_that_could_not_be_counted_at_their_commit_are_counted_once_the_file_can_be_read(tmp_path: Path) -> None:
    heard: list[StorageError | None] = []
    async with opened(tmp_path) as files:
        loader = a_loader(files, heard)
        write_rows(tmp_path / "store.db", ("R", 1, 3))
        await refuse(files)
        async with running(loader.changed()):
            await until(lambda: heard, "the trouble is told")
            await allow(files)
            await until(lambda: loader.status.pending[3] == 1, "the row is counted, with no other commit after it")
    assert heard[-1] is None


async def test_the_first_page_that_can_be_read_ends_the_trouble(tmp_path: Path) -> None:
    heard: list[StorageError | None] = []
    async with opened(tmp_path) as files:
        loader = a_loader(files, heard)
        write_rows(tmp_path / "store.db", ("R", 1, 3))
        await loader.changed()
        await refuse(files)
        async with running(loader.keep_loaded()):
            await until(lambda: heard[-1] is not None, "the trouble is told")
            await allow(files)
            await until(lambda: heard[-1] is None, "it is over")
