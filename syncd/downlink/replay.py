"""Applies entries of the quarantine once more, where a person asks for it: by the same queue as all that HQ sends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from syncd.downlink.feed_page import REQUEST
from syncd.downlink.moves import METHOD as MOVED
from syncd.downlink.queue import Delivery
from syncd.downlink.sync_item import RECEIVE_ITEM, update_of_item
from syncd.errors import StorageError
from syncd.redaction import foreign
from syncd.store.field_values import MalformedError
from syncd.store.replay import Replayed
from syncd.store.text import any_text, storable
from syncd.store.update import read_update
from syncd.store.write_budget import Cost
from syncd.wire.json import parse_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.downlink.queue import Refusals, UpdateQueue
    from syncd.store.catalog import Catalog
    from syncd.store.inbox import Inbox
    from syncd.store.replay import ReplayRequests
    from syncd.store.update import Update

LOOK_SECONDS = 1.0


class Replays:
    """Looks for requests, has them applied, and writes down what became of them.

    Args:
        requests: where they are.
        recount: counts what is left in the quarantine.
    """

    def __init__(
        self,
        requests: ReplayRequests,
        inbox: Inbox,
        queue: UpdateQueue,
        catalog: Catalog,
        clock: Clock,
        log: FilteringBoundLogger,
        recount: Callable[[], Awaitable[None]],
    ) -> None:
        self._requests = requests
        self._inbox = inbox
        self._queue = queue
        self._catalog = catalog
        self._clock = clock
        self._log = log
        self._recount = recount
        self._cost = Cost()

    async def run(self) -> NoReturn:
        """Look every second; for ever. A file that cannot be used is told by whoever needs it more."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except StorageError as error:
                self._log.debug("replay_postponed", error=str(error))

    async def look(self) -> None:
        """Do what is asked for.

        Raises:
            StorageError: it is done again with the next look; twice is once.
        """
        for entry_id in await self._requests.waiting():
            outcome = await self._replay(entry_id)
            self._log.info("quarantine_replayed", id=entry_id, outcome=outcome.outcome, reason=outcome.reason)
            await self._requests.decided([outcome])
            await self._recount()

    async def _replay(self, entry_id: int) -> Replayed:
        entry = await self._inbox.till.database.run(lambda connection: _read(connection, entry_id))
        if entry is None:
            return Replayed(entry_id, "gone", "it is no longer in the quarantine")
        method, reason_before, raw, length = entry
        try:
            update = self._update(method, raw)
        except MalformedError as error:
            return Replayed(entry_id, "refused", str(error))
        await self._queue.room()
        done: asyncio.Future[Refusals] = asyncio.get_running_loop().create_future()
        delivery = Delivery([update], [update.correlation_id], "live", done, acknowledge=update.correlation_id is not None)
        self._queue.put(delivery)
        refusals = await done
        refusal = storable(refusals[0]) if refusals else None
        if refusal != reason_before:  # applied, or refused for another reason, which is an entry of its own
            await self._inbox.till.write(lambda connection: _delete(connection, entry_id, length), rows=1, cost=self._cost, urgent=False)
        if refusal is not None:
            return Replayed(entry_id, "refused", foreign(refusal))
        if delivery.stale:
            return Replayed(entry_id, "superseded", "it is older than what the store has, or the same")
        return Replayed(entry_id, "applied", None)

    def _update(self, method: str, raw: str) -> Update:
        """What the entry is made of, read as if it came now.

        Raises:
            MalformedError: it can't be, with the reason.
        """
        try:
            message = parse_json(raw)
        except ValueError as error:
            raise MalformedError(f"what was kept is not whole, or no JSON ({error}): HQ has to send it again") from None
        if method in (RECEIVE_ITEM, REQUEST, MOVED):
            return update_of_item(self._catalog, message, method)
        kind = next((kind for kind in self._catalog.kinds if kind.method == method), None)
        if kind is None:
            raise MalformedError(f"{method} is no method that brings updates")
        return read_update(kind, message)


def _read(connection: sqlite3.Connection, entry_id: int) -> tuple[str, str, str, int] | None:
    """Method, reason, what HQ sent, and its length."""
    sql = "SELECT method, reason, raw, length(raw) FROM [sync_quarantine] WHERE id = ?"
    found: tuple[str, str, str, int] | None = any_text(connection, lambda: connection.execute(sql, (entry_id,)).fetchone())
    return found


def _delete(connection: sqlite3.Connection, entry_id: int, length: int) -> None:
    """SQLite may give a number again that is free: it must still be the entry that was read."""
    connection.execute("DELETE FROM [sync_quarantine] WHERE id = ? AND length(raw) = ?", (entry_id, length))
