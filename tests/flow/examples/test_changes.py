"""The examples by which a till hears of what has changed, each against a store whose updates are applied meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd.store.catalog import PRODUCT
from syncd.store.inbox import Inbox
from syncd.store.update import read_update
from tests.support.clock import FakeClock
from tests.support.csc import csrun
from tests.support.node import INSTALL_SECONDS, better_sqlite3  # noqa: F401  (a fixture)
from tests.support.storefiles import opened

if TYPE_CHECKING:
    from syncd.store.opening import StoreFiles

EXAMPLES = Path(__file__).parents[3] / "examples" / "changes"
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 180)


async def apply(files: StoreFiles, number: int, version: int = 1, **fields: object) -> None:
    message = {"productId": number, "sku": "S", "name": f"Product {number}", "isActive": True, "updatedAt": "2026-11-23T10:00:00Z"}
    await Inbox(files.store, FakeClock()).apply([read_update(PRODUCT, message | {"version": version} | fields)])


async def hears_of_changes(folder: Path, *command: str | Path) -> None:
    """The program prints what is there, and then, without being asked, what changes."""
    async with opened(folder) as files:
        await apply(files, 1)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await line_of(process) == "1 Product 1 changed"
                await apply(files, 2)
                assert await line_of(process) == "2 Product 2 changed"
                await apply(files, 1, version=2, isDeleted=True)
                assert await line_of(process) == "1 Product 1 gone"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next that is not the compiler's."""
    assert process.stdout is not None
    while (line := (await process.stdout.readline()).decode()).startswith("warning"):
        pass
    return line.rstrip()


async def test_a_till_in_csharp_hears_of_changes(tmp_path: Path) -> None:
    folder = tmp_path / "till"
    folder.mkdir()
    (folder / "Changes.cs").write_text((EXAMPLES / "Changes.cs").read_text(encoding="utf-8"), encoding="utf-8")
    await hears_of_changes(tmp_path, csrun(), folder, tmp_path / "store.db")


async def test_a_till_in_javascript_hears_of_changes(tmp_path: Path, better_sqlite3: Path) -> None:  # noqa: F811
    script = better_sqlite3 / f"changes-{tmp_path.name}.cjs"
    script.write_text((EXAMPLES / "changes.cjs").read_text(encoding="utf-8"), encoding="utf-8")
    try:
        await hears_of_changes(tmp_path, "node", script, tmp_path / "store.db")
    finally:
        script.unlink()


async def test_the_questions_in_sql_find_what_has_changed_by_their_index(tmp_path: Path) -> None:
    bell, products, prices = [part for part in (EXAMPLES / "changes.sql").read_text(encoding="utf-8").split(";") if part.strip()]
    async with opened(tmp_path) as files:
        with closing(sqlite3.connect(tmp_path / "store.db")) as till:
            before = till.execute(bell).fetchone()
            assert till.execute(bell).fetchone() == before
            await apply(files, 1)
            await apply(files, 2)
            assert till.execute(bell).fetchone() != before
            assert till.execute(products, {"seen": 1}).fetchall() == [(2, "Product 2", 0, 2)]
            for question, index in ((products, "sync_products_by_change"), (prices, "sync_prices_by_change")):
                plan = " ".join(row[3] for row in till.execute(f"EXPLAIN QUERY PLAN {question}", {"seen": 1}))
                assert f"USING INDEX {index} (change_seq>?)" in plan
