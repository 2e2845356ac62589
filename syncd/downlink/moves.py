"""Rows of `entities` whose kind somebody has declared since: they are applied to its table as any update, and leave.

Newer wins there, too, so that a live update may come first. A crash in between does no harm: what is moved twice is a
no-op.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from syncd.downlink.queue import MOVED
from syncd.downlink.sync_item import update_of_item
from syncd.errors import StorageError
from syncd.redaction import foreign
from syncd.store.field_values import MalformedError
from syncd.store.retry_delays import APPLY_RETRY_SECONDS
from syncd.store.undeclared import Kept, as_item, forget, kinds, page
from syncd.store.write_budget import Cost

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.downlink.queue import UpdateQueue
    from syncd.store.catalog import Catalog
    from syncd.store.inbox import Inbox
    from syncd.store.update import Update

PAGE_ROWS = 100  # no more: a price that is pushed meanwhile waits behind them
METHOD = "entities"
"""By which the updates "came"."""


class Moves:
    """Moves rows, once; then it is done until the next start."""

    def __init__(self, inbox: Inbox, queue: UpdateQueue, catalog: Catalog, clock: Clock, log: FilteringBoundLogger) -> None:
        self._inbox = inbox
        self._queue = queue
        self._catalog = catalog
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Move what can be moved; it ends when nothing more can."""
        while True:
            try:
                for name in await self._inbox.till.database.run(kinds):
                    if self._catalog.of(name) is not None:
                        await self._move(name)
            except StorageError:  # the applying loop reports it
                await self._clock.sleep(APPLY_RETRY_SECONDS)
            else:
                return

    async def _move(self, name: str) -> None:
        till, cost = self._inbox.till, Cost()
        moved, left, reason = 0, 0, ""
        after: Kept | None = None
        while rows := await till.database.run(partial(page, name=name, after=after, limit=PAGE_ROWS)):
            after = rows[-1]
            updates: list[Update] = []
            leaving: list[Kept] = []
            for row in rows:
                try:
                    updates.append(update_of_item(self._catalog, as_item(row), METHOD))
                    leaving.append(row)
                except MalformedError as error:
                    left, reason = left + 1, reason or str(error)
            await self._queue.room()
            refusals = await self._queue.enqueue(updates, [None] * len(updates), MOVED, acknowledge=False)
            moved += len(updates) - len(refusals)  # the others are in the quarantine
            while leaving:
                room = till.room(cost, urgent=False)
                chunk, leaving = leaving[:room], leaving[room:]
                await till.write(partial(forget, rows=chunk), rows=len(chunk), cost=cost, urgent=False)
        self._log.info("kind_moved", entity_type=name, rows=moved)
        if left:
            hint = f"they stay in the table {till.database.names.of('entities')}"
            self._log.warning("rows_not_moved", entity_type=name, rows=left, reason=foreign(reason), hint=hint)
