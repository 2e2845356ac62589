"""Watches for what a POS may do to its file while we run: drop our index with a table that it rebuilds, use up the ids.

SQLite counts every change of the schema (`PRAGMA schema_version`), so that a look costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.errors import ConfigurationError, StatementError, StorageError
from syncd.store.catalog import OWN_KINDS
from syncd.store.declared import declare, missing
from syncd.store.migrate import migrate, plan
from syncd.store.outbox_ids import ids_used_up

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.store.catalog import Catalog
    from syncd.store.database import Database
    from syncd.store.schema import Difference

LOOK_SECONDS = 1.0
# Some tools rebuild a table in several commits and then make its indexes themselves; ours would be in their way.
SETTLE_SECONDS = 2.0
# A tool that makes and drops a table of its own all the time never lets the schema stand still.
LATEST_SECONDS = 10.0
# A table that seems to be of another make may be such a tool at work (the old table renamed, with our indexes on it,
# and its rows being copied), and after exit 78 systemd does not start us again.
REFUSE_SECONDS = 10.0


class FileWatch:
    """Watches one of the till's files.

    Args:
        database: for the looks.
        writer: makes what is missing.
        components: whose tables are in this file.
        on_trouble: told of the error while the file cannot be read or written, and None once it can.
        on_ids: told in words that the outbox' ids are used up, and None while they are not.
        catalog: the kinds that have a table each, where the store's tables are in this file.
    """

    def __init__(
        self,
        database: Database,
        writer: Database,
        components: Sequence[str],
        clock: Clock,
        log: FilteringBoundLogger,
        on_trouble: Callable[[StorageError | None], None],
        on_ids: Callable[[str | None], None],
        catalog: Catalog = OWN_KINDS,
    ) -> None:
        self._database = database
        self._writer = writer
        self._components = components
        self._clock = clock
        self._log = log
        self._on_trouble = on_trouble
        self._on_ids = on_ids
        self._catalog = catalog
        self._version: int | None = None
        self._changed_at = self._first_changed_at = 0.0
        self._is_ours = True
        self._ids: str | None = None

    async def run(self) -> None:
        """Look every second; for ever.

        Raises:
            ConfigurationError: a table of ours is no longer one that we can work with.
        """
        while True:
            try:
                await self.look()
            except StorageError as error:
                self._on_trouble(error)
            else:
                self._on_trouble(None)
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once; what is missing is made once the schema has stood still for `SETTLE_SECONDS`, or after `LATEST_SECONDS`.

        Raises:
            ConfigurationError: a table of ours is no longer one that we can work with.
            StorageError: the file cannot be read or written; or that same trouble, for `REFUSE_SECONDS`.
        """
        now = self._clock.monotonic()
        version = await self._database.run(_schema_version)
        if version != self._version:
            if self._is_ours:
                self._first_changed_at = now
            self._version, self._changed_at, self._is_ours = version, now, False
        if not self._is_ours and (now - self._changed_at >= SETTLE_SECONDS or now - self._first_changed_at >= LATEST_SECONDS):
            try:
                await self._mend()
            except ConfigurationError as error:
                if now - self._changed_at >= REFUSE_SECONDS:
                    raise
                raise StatementError(str(error), path=self._database.path) from error
            self._is_ours = True
        if self._is_ours and "outbox" in self._components:
            await self._look_at_ids()

    async def _mend(self) -> None:
        def look(connection: sqlite3.Connection) -> list[Difference]:
            found = [plan(connection, self._database.path, component).found for component in self._components]
            return [*found, missing(connection, self._database.path, self._catalog)] if "store" in self._components else found

        gone = [item.name for found in await self._database.run(look) for item in found.missing]
        if gone:
            for component in self._components:
                await migrate(self._writer, component, self._clock)
            if "store" in self._components:
                await declare(self._writer, self._catalog)
            self._log.warning("schema_mended", path=str(self._database.path), made=gone, hint="another program dropped it")

    async def _look_at_ids(self) -> None:
        used_up = await self._database.run(lambda connection: ids_used_up(connection, self._database.path))
        if used_up != self._ids:
            self._ids = used_up
            if used_up:
                self._log.error("outbox_ids_used_up", error=used_up)
            self._on_ids(used_up)


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA main.schema_version").fetchone()[0])
