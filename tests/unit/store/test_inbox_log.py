"""The record of the last updates, in syncd's own file."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from syncd.store.catalog import PRICE
from syncd.store.inbox_log import KEPT_UPDATES, InboxLog
from syncd.store.update import Update, read_update
from tests.support.clock import FakeClock
from tests.support.store import until
from tests.support.storefiles import AT, execute, opened

if TYPE_CHECKING:
    from pathlib import Path


def price(number: int) -> Update:
    return read_update(PRICE, {"productId": number, "price": 1, "currency": "EUR", "updatedAt": AT, "correlationId": f"c{number}"})


async def test_each_update_is_kept_with_its_source_and_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path) as files, asyncio.TaskGroup() as group:
        log = InboxLog(files.journal, FakeClock())
        task = group.create_task(log.run())
        log.add(price(1), "live")
        log.add(price(1), "catchup", stale=True)
        log.add(price(2), "live", refusal="unlucky \ud83d")
        path, kept = tmp_path / "store.db.syncd", "SELECT entity_type, entity_id, source, outcome, reason, at FROM inbox"
        await until(lambda: len(execute(path, kept)) == 3, "all are kept")
        at = "2026-11-23T10:00:00.000Z"
        assert execute(path, kept) == [
            ("Price", "1/default", "live", "applied", None, at), ("Price", "1/default", "catchup", "stale", None, at),
            ("Price", "2/default", "live", "refused", "unlucky \\ud83d", at),
        ]  # fmt: skip
        task.cancel()


async def test_a_flood_leaves_its_end_and_a_locked_file_loses_nothing_of_it(tmp_path: Path) -> None:
    path, kept = tmp_path / "store.db.syncd", "SELECT count(*), min(correlation_id), max(correlation_id) FROM inbox"
    async with opened(tmp_path) as files, asyncio.TaskGroup() as group:
        await files.journal.run(lambda connection: connection.execute("PRAGMA busy_timeout = 0"))
        log = InboxLog(files.journal, FakeClock())
        task = group.create_task(log.run())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(1000, 6000):
                log.add(price(number), "live")
                if number % 500 == 0:
                    await asyncio.sleep(0)
            other.execute("ROLLBACK")
        await until(lambda: execute(path, kept) == [(KEPT_UPDATES, "c5000", "c5999")], "the last of them are kept")
        log.add(price(6000), "live")
        await until(lambda: execute(path, kept) == [(KEPT_UPDATES, "c5001", "c6000")], "and no more")
        task.cancel()
