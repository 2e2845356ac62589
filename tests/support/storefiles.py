"""The files of a store, open in this process: real SQLite, a clock of the test's."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import structlog

from syncd.config.settings import DatabaseSettings
from syncd.store.journal import Journal, Outcome
from syncd.store.opening import StoreFiles, open_store
from syncd.store.outbox_reader import OutboxReader
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from syncd.clock import Clock
    from syncd.errors import StorageError

AT = "2026-11-23T10:00:00.000Z"
INSERT = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES (?, ?, 'Create', '{}', ?)"


def paths(folder: Path, **others: Any) -> DatabaseSettings:
    """The `database` section for a store in this folder."""
    return DatabaseSettings(path=folder / "store.db", **others)


@asynccontextmanager
async def opened(folder: Path, clock: Clock | None = None, **others: Any) -> AsyncIterator[StoreFiles]:
    """All files of a store, made where there are none."""
    files = await open_store(paths(folder, **others), clock or FakeClock(), structlog.get_logger())
    try:
        yield files
    finally:
        await files.close()


def execute(path: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What a till does: one statement, one commit."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        return connection.execute(sql, parameters).fetchall()


def write_rows(path: Path, *rows: tuple[str, object, int]) -> list[int]:
    """Outbox rows (entity type, entity id, priority) in one commit; their ids."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        ids = [connection.execute(INSERT, row).lastrowid or 0 for row in rows]
        connection.execute("COMMIT")
    return ids


def outcome(path: Path, row_id: int, status: str = "sent", **changes: Any) -> Outcome:
    """HQ's word on a row that is in the file."""
    ((correlation_id,),) = execute(path, "SELECT correlation_id FROM sync_outbox WHERE id = ?", row_id)
    fields: dict[str, Any] = {
        "id": row_id, "correlation_id": correlation_id, "status": status, "attempts": 0, "next_attempt_at": None, "last_error": None,
        "decided_at": AT,
    }  # fmt: skip
    return Outcome(**(fields | changes))


def a_journal(files: StoreFiles, clock: Clock, on_trouble: Callable[[StorageError | None], None] = lambda _: None) -> Journal:
    """The journal on the store's own file."""
    return Journal(files.journal, clock, on_trouble)


def a_reader(files: StoreFiles, clock: Clock) -> OutboxReader:
    """The outbox reader, which encodes rows for store 7."""
    return OutboxReader(files.reader, clock.now, 7)
