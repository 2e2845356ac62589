"""A store of the first release, with its backlog, goes on with this one while its till sells."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from syncd.store.migrate import migrations
from tests.support.first_schema import STILL_TO_SEND, correlation_id, restore
from tests.support.flow import QUICK, arrived, drained
from tests.support.hubs import flow_hub, items
from tests.support.store import Store, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SALE = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES ('Receipt', ?, 'Create', '{}', 2)"


class Till:
    """Sells about a hundred times a second, in a thread of its own.

    Attributes:
        sold: commits so far.
        trouble: what SQLite said, where a sale failed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closing_time = threading.Event()
        self.sold = 0
        self.trouble: Exception | None = None

    @contextmanager
    def selling(self) -> Iterator[None]:
        """Until the end of the block."""
        thread = threading.Thread(target=self._sell)
        thread.start()
        try:
            yield
        finally:
            self._closing_time.set()
            thread.join()

    def _sell(self) -> None:
        with closing(self._store.till()) as till:
            while not self._closing_time.wait(0.01):
                try:
                    till.execute(SALE, (f"sale {self.sold}",))
                except Exception as error:  # noqa: BLE001 - the test looks at it
                    self.trouble = error
                    return
                self.sold += 1


async def test_a_store_of_the_first_release_sends_what_it_still_owed_while_its_till_sells(tmp_path: Path) -> None:
    async with flow_hub("real") as hub:
        store = Store(tmp_path, hub.url(), **QUICK)
        restore(store.path)
        till = Till(store)
        with till.selling():
            await until(lambda: till.sold > 10, "the till sells before we start")
            async with store.running():
                sold = till.sold
                await until(lambda: till.sold > sold + 20, "and while we run")
        assert till.trouble is None
        async with store.running():
            state = await arrived(hub, len(STILL_TO_SEND) + till.sold)
            assert (state["duplicates"], state["orderViolationCount"]) == (0, 0)
            await drained(store)
        ours = {item["correlationId"] for item in await items(hub)}
        assert {correlation_id(row) for row in STILL_TO_SEND} <= ours
        assert not ours & {correlation_id(row) for row in range(1, 29)}, "what was acknowledged before does not go again"
        newest = {component: migrations(component)[-1].version for component in ("outbox", "store")}
        assert dict(store.query("SELECT component, max(version) FROM sync_schema GROUP BY component")) == newest
        assert store.query("SELECT count(*) FROM receipts") == [(60,)]
