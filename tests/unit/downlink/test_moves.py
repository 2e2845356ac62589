"""Rows of `entities` on their way into the table of a kind that has been declared since."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import capture_logs

from syncd.downlink.apply import Applier
from syncd.downlink.moves import Moves
from syncd.downlink.queue import UpdateQueue
from syncd.downlink.sync_item import update_of_item
from syncd.status.report import InboundStatus
from syncd.store.catalog import OWN_KINDS
from syncd.store.inbox import Inbox
from syncd.store.inbox_log import InboxLog
from syncd.store.opening import open_store
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, opened, paths
from tests.unit.store.test_declared import promotions
from tests.unit.store.test_fill import rebuild

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncd.store.opening import StoreFiles

CATALOG = promotions()


def kept(kind: str, number: int) -> dict[str, Any]:
    payload = f'{{"promotionId":{number},"name":"P","version":1}}'
    return {"entityType": kind, "entityId": number, "operation": "Update", "payload": payload}


@asynccontextmanager
async def moving(folder: Path) -> AsyncIterator[tuple[StoreFiles, Moves, InboundStatus, InboxLog]]:
    """Five promotions and five customers that nobody had declared; now the promotions are, and an applying loop runs."""
    async with opened(folder) as files:
        items = [kept(kind, number) for kind in ("Promotion", "Customer") for number in range(5)]
        await Inbox(files.store, FakeClock()).apply([update_of_item(OWN_KINDS, item) for item in items])
    files = await open_store(paths(folder), FakeClock(), structlog.get_logger(), CATALOG)
    clock, queue, status, log = FakeClock(), UpdateQueue(), InboundStatus(), structlog.get_logger()
    inbox, inbox_log = Inbox(files.store, clock, CATALOG), InboxLog(files.journal, clock)
    applier = Applier(
        queue, inbox, inbox_log, clock=clock, log=log, status=status, acknowledge=lambda *_: None, on_feed=lambda _: None,
        on_trouble=lambda _: None, on_change=lambda: None,
    )  # fmt: skip
    applying = asyncio.create_task(applier.run())
    try:
        yield files, Moves(inbox, queue, CATALOG, clock, log), status, inbox_log
    finally:
        applying.cancel()
        await asyncio.wait([applying])
        await files.close()


async def test_what_leaves_is_what_has_moved_also_where_the_pos_rebuilds_the_table_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with moving(tmp_path) as (files, moves, _, _):
        write = files.store.write

        async def after_a_rebuild(*arguments: Any, urgent: bool, **options: Any) -> Any:
            if not urgent:  # they have moved, and are about to leave
                rebuild(path, "entities", "entity_type")
            return await write(*arguments, urgent=urgent, **options)

        files.store.write = after_a_rebuild  # type: ignore[method-assign]
        await moves.run()
        assert execute(path, "SELECT promotion_id FROM promotions ORDER BY 1") == [(n,) for n in range(5)]
        assert execute(path, "SELECT entity_type, entity_id FROM entities ORDER BY 2") == [("Customer", n) for n in range(5)]


async def test_what_moves_is_no_update_of_hqs_once_more(tmp_path: Path) -> None:
    """It was counted and recorded when it came; what the table refuses now is in the quarantine, and no row that has moved."""
    path = tmp_path / "store.db"
    async with moving(tmp_path) as (_, moves, status, inbox_log):
        execute(path, "CREATE TRIGGER pos BEFORE INSERT ON promotions WHEN NEW.promotion_id = 3 BEGIN SELECT RAISE(ABORT, 'no'); END")
        with capture_logs() as lines:
            await moves.run()
        assert execute(path, "SELECT count(*) FROM promotions") == [(4,)]
        assert [(line["entity_type"], line["rows"]) for line in lines if line["event"] == "kind_moved"] == [("Promotion", 4)]
        assert (status.applied_total, status.stale, status.last_applied_at, status.quarantined) == ({}, 0, None, 1)
        assert (inbox_log.applied_today, inbox_log.last_applied) == (0, {})
