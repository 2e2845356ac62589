"""Every file that a store has, opened, migrated and closed together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import StatementError, StorageDamaged
from syncd.store.catalog import OWN_KINDS
from syncd.store.database import Database
from syncd.store.database_file import DatabaseFile
from syncd.store.declared import declare, require_possible
from syncd.store.migrate import migrate, plan
from syncd.store.names import UNPREFIXED, names_in
from syncd.store.one_prefix import require_these_names
from syncd.store.permissions import require_own_database
from syncd.store.write_budget import PacedWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import DatabaseSettings
    from syncd.store.catalog import Catalog

MAINTENANCE_CACHE_KIBIBYTES = 256  # whole tables are scanned on these connections, and nothing is read twice


@dataclass(slots=True)
class StoreFiles:
    """The open connections of a store.

    Attributes:
        reader: reads the outbox; the journal is attached.
        outbox: writes into the outbox' file; the journal is attached.
        store: writes HQ's tables; the same as `outbox` where both are one file.
        journal: our own file.
        maintenance: one more connection for each of the till's files: checkpoints, long scans, looks at the lock.
        journal_maintenance: the same for our own.
        catalog: the kinds that have a table in the store's file, as it has them.
    """

    reader: Database
    outbox: PacedWriter
    store: PacedWriter
    journal: Database
    maintenance: list[Database]
    journal_maintenance: Database
    catalog: Catalog

    @property
    def each_once(self) -> list[Database]:
        """One connection to each file, on which nothing urgent waits."""
        return [*self.maintenance, self.journal_maintenance]

    async def close(self) -> None:
        """Close them all; the journal last."""
        writers = {id(writer): writer.database for writer in (self.outbox, self.store)}
        for database in (*self.each_once, self.reader, *writers.values(), self.journal):
            await database.close()
        for database in self.each_once:
            database.file.lock_holders.close()


async def open_store(
    paths: DatabaseSettings,
    clock: Clock,
    log: FilteringBoundLogger,
    catalog: Catalog = OWN_KINDS,
    on_progress: Callable[[], None] = lambda: None,
) -> StoreFiles:
    """Open every file, made where there is none, and bring its tables up to date.

    Args:
        catalog: the kinds that have a table each.
        on_progress: called now and then while an upgrade takes long.

    Raises:
        ConfigurationError: a file is newer than this program, or has tables of another make, or cannot have those that are declared.
        PermissionDeniedError: a file may not be written.
        StorageError: a file cannot be used.
    """
    opened: list[Database] = []
    files: dict[Path, DatabaseFile] = {}

    async def connect_for_maintenance(path: Path, *, synchronous: str = "NORMAL") -> Database:
        database = await connect(path, synchronous=synchronous)
        await database.run(lambda c: c.execute(f"PRAGMA cache_size = -{MAINTENANCE_CACHE_KIBIBYTES}"))
        return database

    async def connect(path: Path, *, synchronous: str = "NORMAL", attach: Path | None = None) -> Database:
        file = DatabaseFile.at(path, clock)
        file = files.setdefault(file.path, file)
        names = UNPREFIXED if path == paths.state_path else names_in(paths)
        database = await Database.open(path, synchronous=synchronous, attach=attach, file=file, names=names)
        opened.append(database)
        return database

    try:
        require_own_database(paths.state_path)
        journal = await _open_journal(paths.state_path, clock, log)
        opened.append(journal)
        require_own_database(paths.state_path)  # again: it could have been replaced just before SQLite opened it
        files[journal.path] = journal.file
        journal_maintenance = await connect_for_maintenance(paths.state_path, synchronous="FULL")
        outbox_written, store_written = _last_written(paths.outbox_path, clock), _last_written(paths.path, clock)
        writer = other = await connect(paths.outbox_path, attach=paths.state_path)
        outbox = store = PacedWriter(writer, clock, last_written=outbox_written)
        maintenance = [await connect_for_maintenance(paths.outbox_path)]
        if paths.path.resolve() != paths.outbox_path.resolve():
            other = await connect(paths.path)
            store = PacedWriter(other, clock, last_written=store_written)
            maintenance.append(await connect_for_maintenance(paths.path))
        # All that may be refused is, before the first table is made.
        await writer.run(lambda connection: plan(connection, writer.path, "outbox"))
        await other.run(lambda connection: plan(connection, other.path, "store"))
        await other.run(lambda connection: require_possible(connection, other.path, catalog))
        await migrate(writer, "outbox", clock)
        await migrate(other, "store", clock, store, on_progress)
        catalog = await declare(other, catalog)
        reader = await connect(paths.outbox_path, attach=paths.state_path)
        for till in {id(outbox): outbox, id(store): store}.values():
            await till.look()
        for file in files.values():
            file.require_same()  # remembers which one it is
    except BaseException:
        for database in opened:
            await database.close()
        raise
    return StoreFiles(reader, outbox, store, journal, maintenance, journal_maintenance, catalog)


async def require_possible_in(files: StoreFiles, now: DatabaseSettings, then: DatabaseSettings, catalog: Catalog) -> None:
    """Refuse kinds, or another prefix, that the open files cannot have; those that are another file then are not looked at.

    Raises:
        ConfigurationError: says what, and why.
    """
    names, outbox, store = names_in(then), files.outbox.database, files.store.database
    if then.outbox_path == now.outbox_path:
        await outbox.run(lambda connection: require_these_names(connection, outbox.path, "outbox", names))
    if then.path == now.path:
        await store.run(lambda connection: require_these_names(connection, store.path, "store", names))
        await store.run(lambda connection: require_possible(connection, store.path, catalog))


async def _open_journal(path: Path, clock: Clock, log: FilteringBoundLogger) -> Database:
    """Open our own file; one that cannot be read is put aside.

    Rows that it knew as sent go out again, and HQ drops those that it knows (contract, sending law 5).
    """
    file = DatabaseFile.at(path, clock)
    try:
        database = await Database.open(path, synchronous="FULL", file=file)
        try:
            await migrate(database, "journal", clock)
            await database.run(lambda c: c.execute("SELECT count(*) FROM outcome").fetchone())
        except BaseException:
            await database.close()
            raise
    except (StorageDamaged, StatementError) as error:  # broken, or a table of ours is missing
        log.error("journal_damaged", path=str(path), moved_to=str(_put_aside(path, clock)), error=str(error))
        database = await Database.open(path, synchronous="FULL", file=file)
        await migrate(database, "journal", clock)
    return database


def _put_aside(path: Path, clock: Clock) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{iso_ms(clock.now()).replace(':', '')}")
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside


def _last_written(path: Path, clock: Clock) -> float:
    """When anybody last wrote into this file, on the monotonic clock; minus infinity where there is no file yet."""
    ages = []
    for ending in ("", "-wal"):
        with suppress(OSError):
            ages.append(max(0.0, clock.now().timestamp() - path.with_name(path.name + ending).stat().st_mtime))
    return clock.monotonic() - min(ages, default=float("inf"))
