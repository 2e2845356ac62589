"""What the databases hold, in figures and without a payload; read in a bounded time, without a trace."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from syncd.store.check import read_without_a_trace
from syncd.store.names import UNPREFIXED, names_in
from syncd.store.sqlite_errors import translate

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.config.settings import DatabaseSettings
    from syncd.store.names import Names

LONGEST_SECONDS = 20.0  # each query; a table of millions of rows is read once for its counts
_ROW = "id, entity_type, entity_id, operation, priority, correlation_id, created_at, attempts, last_error"
_OUTBOX = {
    "byStatus": "SELECT status, count(*), min(created_at), max(created_at), max(id) FROM [sync_outbox] GROUP BY status",
    "byEntityType": "SELECT entity_type, status, count(*), max(length(payload)) FROM [sync_outbox] GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 50",
    "failed": f"SELECT {_ROW} FROM [sync_outbox] WHERE status = 'failed' ORDER BY id LIMIT 50",  # noqa: S608 - a constant
    "pending": f"SELECT {_ROW} FROM [sync_outbox] WHERE status = 'pending' ORDER BY id LIMIT 50",  # noqa: S608
    "schema": "SELECT * FROM [sync_schema]",
}
_JOURNAL = {
    "outcomes": "SELECT status, count(*) FROM outcome GROUP BY status",
    "refused": "SELECT id, status, attempts, next_attempt_at, last_error FROM outcome WHERE status <> 'sent' LIMIT 50",
    "entitiesThatWait": "SELECT count(*), min(due_at), max(due_at) FROM retry",
    "messageLimits": "SELECT passed, too_large, learned_at FROM message_limit",
    "sentTotal": "SELECT value FROM total WHERE name = 'sent'",
    "schema": "SELECT * FROM [sync_schema]",
}
_STORE = {
    "cursor": "SELECT store_id, entity_types, cursor, feed_epoch, total_items, full_pull_types, fully_pulled_at, updated_at "
    "FROM [sync_cursor]",
    "products": "SELECT count(*), max(applied_at) FROM [products]",
    "prices": "SELECT count(*), max(applied_at) FROM [prices]",
    "inventory": "SELECT count(*), max(applied_at) FROM [inventory]",
    "transactions": "SELECT count(*), max(applied_at) FROM [transactions]",
    "quarantined": "SELECT method, count(*), min(received_at), max(received_at) FROM [sync_quarantine] GROUP BY method LIMIT 50",
}


def figures(paths: DatabaseSettings) -> dict[str, Any]:
    """Of each file; what cannot be read has its error in its place."""
    names = names_in(paths)
    files = {
        "outbox": (paths.outbox_path, names, _OUTBOX),
        "journal": (paths.state_path, UNPREFIXED, _JOURNAL),
        "store": (paths.path, names, _STORE),
    }
    return {what: _all(*file) for what, file in files.items()}


def _all(path: Path, names: Names, queries: dict[str, str]) -> dict[str, Any]:
    try:
        if not path.exists():
            return {"error": f"{path} is not there yet"}
        return read_without_a_trace(path, names, lambda connection: {name: _rows(connection, sql) for name, sql in queries.items()})
    except sqlite3.Error as error:
        return {"error": str(translate(error, path))}
    except OSError as error:
        return {"error": str(error)}


def _rows(connection: sqlite3.Connection, sql: str) -> object:
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    timer = threading.Timer(LONGEST_SECONDS, connection.interrupt)
    timer.start()
    try:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
    except sqlite3.Error as error:
        return str(error)
    finally:
        timer.cancel()
        timer.join()
