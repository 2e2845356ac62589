"""Reads the page of the outbox that the send queue asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.store.block import Block
from syncd.store.times import exact_moment
from syncd.uplink.pages import LoadDue, LoadEntity, LoadLane
from syncd.uplink.retry import longest_retry_delay

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import SyncSettings
    from syncd.store.journal import Journal
    from syncd.store.outbox import OutboxRow, Page
    from syncd.store.outbox_reader import OutboxReader
    from syncd.uplink.pages import Load
    from syncd.uplink.queue import SendQueue


class PageSource:
    """Turns what the queue wants next into a page: of a priority, of one entity, or of the retries that are due."""

    def __init__(
        self, *, queue: SendQueue, reader: OutboxReader, journal: Journal, sync: SyncSettings, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._journal = journal
        self._sync = sync
        self._clock = clock
        self._log = log
        self._clock_warned = False

    async def read(self, load: Load) -> Page:
        """The page that the queue asks for; what reading it makes known is durable in our own file before it returns.

        Raises:
            StorageError: a file that cannot be read or written now.
        """
        page = await self._page(load)
        if not isinstance(page.rows, Block):
            await self._remember_first_seen([row for row in (*page.earlier, *page.rows) if row.unreadable_time])
        return page

    def due(self, at: str) -> float:
        """This moment on the monotonic clock; to the millisecond, or it would be read again and again in the last second before."""
        moment = exact_moment(at)
        return self._clock.monotonic() + (self.retry_in(moment) if moment else 0.0)

    def retry_in(self, at: datetime) -> float:
        """Seconds until then; 0 where no retry can be so late: the clock was set back, and that must not hold a row."""
        seconds = (at - self._clock.now()).total_seconds()
        return 0.0 if seconds > longest_retry_delay(self._sync) else seconds

    async def _page(self, load: Load) -> Page:
        match load:
            case LoadLane():
                page: Page = await self._reader.page(load.priority, load.after_id, self._queue.page_rows, self._queue.position)
                if page.promoted:
                    await self._journal.promote(page.promoted, load.priority)
                return page
            case LoadEntity():
                return await self._reader.entity_page(load.entity, load.after_id, self._queue.page_rows)
            case LoadDue():
                in_memory = self._queue.ids_in_memory()
                now = self._clock.now()
                latest = now + timedelta(seconds=longest_retry_delay(self._sync))
                due = await self._reader.due_page(load.priority, iso_ms(now), iso_ms(latest), self._queue.page_rows)
                # Where such a row is in flight, its refusal is durable already, and the queue is about to be told when it is due.
                due.leave_out({entity for entity, first_id in due.entities.items() if first_id in in_memory})
                if due.entities:
                    await self._journal.retry_is_due(due.entities)
                return due

    async def _remember_first_seen(self, rows: list[OutboxRow]) -> None:
        if not rows:
            return
        if not self._clock_warned:
            self._clock_warned = True
            self._log.warning(
                "created_at_unreadable",
                first_id=rows[0].id,
                rows=len(rows),
                hint="sent as the moment they were first seen; write UTC as ISO 8601",
            )
        await self._journal.first_saw([(row.id, row.correlation_id, row.timestamp) for row in rows])
