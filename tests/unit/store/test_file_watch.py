from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import structlog

from syncd.errors import ConfigurationError, StatementError
from syncd.store.file_watch import LATEST_SECONDS, LOOK_SECONDS, REFUSE_SECONDS, SETTLE_SECONDS, FileWatch
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, opened, write_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncd.store.opening import StoreFiles

BY_NAME = "SELECT sql FROM sqlite_schema WHERE name = ?"
TABLES = ["sync_outbox", "sync_outbox_generation", "products", "sync_cursor", "sync_quarantine"]
OTHERS = ["sync_outbox_by_priority", "sync_outbox_failed", "active_products", "sync_outbox_id_bounds"]


class Watched:
    """A store whose file is watched.

    Attributes:
        ids: what was told of the outbox' ids.
    """

    def __init__(self, files: StoreFiles, clock: FakeClock) -> None:
        self.ids: list[str | None] = []
        self._clock = clock
        self._watch = FileWatch(
            files.maintenance[0], files.outbox.database, ("outbox", "store"), clock, structlog.get_logger(),
            on_trouble=lambda _: None, on_ids=self.ids.append,
        )  # fmt: skip

    async def look(self, seconds: float) -> None:
        """Look every second, for so long."""
        for _ in range(round(seconds / LOOK_SECONDS) + 1):
            with suppress(StatementError):
                await self._watch.look()
            self._clock.seconds += LOOK_SECONDS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    clock = FakeClock()
    async with opened(folder, clock) as files:
        store = Watched(files, clock)
        await store.look(SETTLE_SECONDS)
        yield store


@pytest.mark.parametrize("name", [*TABLES, *OTHERS])
async def test_what_another_program_drops_is_made_again_and_said_once(tmp_path: Path, path: Path, name: str) -> None:
    async with watched(tmp_path) as store:
        before = execute(path, BY_NAME, name)
        ((kind,),) = execute(path, "SELECT type FROM sqlite_schema WHERE name = ?", name)
        execute(path, f"DROP {kind} {name}")
        with structlog.testing.capture_logs() as log:
            await store.look(5 * SETTLE_SECONDS)
        assert execute(path, BY_NAME, name) == before
        (line,) = log
        assert line["event"] == "schema_mended"
        assert name in line["made"]


async def test_a_tool_that_makes_its_indexes_again_itself_is_left_the_time_for_it(tmp_path: Path, path: Path) -> None:
    index = "sync_outbox_failed"
    async with watched(tmp_path) as store:
        ((sql,),) = execute(path, BY_NAME, index)
        execute(path, f"DROP INDEX {index}")
        await store.look(SETTLE_SECONDS - LOOK_SECONDS)
        execute(path, "CREATE TABLE other (a)")  # the tool is still at work
        await store.look(SETTLE_SECONDS - LOOK_SECONDS)
        assert execute(path, BY_NAME, index) == []
        execute(path, sql)
        with structlog.testing.capture_logs() as log:
            await store.look(2 * SETTLE_SECONDS)
        assert log == []


async def test_what_is_dropped_is_made_again_although_a_tool_changes_the_schema_every_second(tmp_path: Path, path: Path) -> None:
    index = "sync_outbox_failed"
    async with watched(tmp_path) as store:
        execute(path, f"DROP INDEX {index}")
        for _ in range(round(LATEST_SECONDS / LOOK_SECONDS)):
            await store.look(0)
            assert execute(path, BY_NAME, index) == []
            execute(path, "CREATE TABLE scratch (a)")
            execute(path, "DROP TABLE scratch")
        await store.look(0)
        assert execute(path, BY_NAME, index) != []


async def test_a_column_that_is_gone_is_told_with_its_name(tmp_path: Path, path: Path) -> None:
    async with watched(tmp_path) as store:
        execute(path, "ALTER TABLE sync_outbox RENAME COLUMN payload TO body")
        await store.look(REFUSE_SECONDS - LOOK_SECONDS)
        with pytest.raises(ConfigurationError, match="a table sync_outbox already, and it has no column payload"):
            await store.look(LOOK_SECONDS)


async def test_a_table_that_is_rebuilt_in_several_commits_is_waited_for(tmp_path: Path, path: Path) -> None:
    async with watched(tmp_path) as store:
        ((sql,),) = execute(path, BY_NAME, "sync_outbox")
        write_rows(path, ("Receipt", 1, 3))
        execute(path, "ALTER TABLE sync_outbox RENAME TO old_outbox")  # its indexes and triggers go with it
        execute(path, sql)
        await store.look(2 * SETTLE_SECONDS)
        execute(path, "INSERT INTO sync_outbox SELECT * FROM old_outbox")
        execute(path, "DROP TABLE old_outbox")
        await store.look(2 * SETTLE_SECONDS)
        query = "SELECT count(*) FROM sync_outbox INDEXED BY sync_outbox_by_priority WHERE status = 'pending' AND priority = 3"
        assert execute(path, query) == [(1,)]
        assert execute(path, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'sync_outbox'") == [(2,)]


async def test_an_index_is_made_again_beside_the_rows_that_were_sold_meanwhile(tmp_path: Path, path: Path) -> None:
    async with watched(tmp_path) as store:
        execute(path, "DROP INDEX sync_outbox_by_priority")
        write_rows(path, *[("Receipt", n, 3) for n in range(50)])
        await store.look(SETTLE_SECONDS)
        query = "SELECT count(*) FROM sync_outbox INDEXED BY sync_outbox_by_priority WHERE status = 'pending' AND priority = 3"
        assert execute(path, query) == [(50,)]


async def test_ids_that_are_used_up_are_told_until_they_are_free_again(tmp_path: Path, path: Path) -> None:
    async with watched(tmp_path) as store:
        write_rows(path, ("Receipt", 1, 3))
        execute(path, "UPDATE sqlite_sequence SET seq = 9223372036854775807")
        await store.look(2)
        assert len(store.ids) == 1
        assert store.ids[0]
        assert 'every sale fails with "database or disk is full"' in store.ids[0]
        execute(path, "UPDATE sqlite_sequence SET seq = 1")
        await store.look(2)
        assert store.ids[1:] == [None]
