"""What a person may do with the quarantine: look into it, and drop entries. Works beside a running daemon."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from syncd.store.by_hand import opened_by_hand
from syncd.store.check import read_without_a_trace
from syncd.store.names import has_table, names_in
from syncd.store.row_filter import RowFilter
from syncd.store.sqlite_errors import translate
from syncd.store.till_turns import TillTurns, seconds_since_written
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from syncd.config.settings import DatabaseSettings

_COLUMNS = "id, received_at, method, correlation_id, reason, raw"
_METHOD_OF_A_KIND = re.compile(r"Receive(?P<kind>\w+?)(Update)?", re.ASCII)
EVERYTHING = RowFilter()


@dataclass(frozen=True, slots=True)
class QuarantinedUpdate:
    """An entry, and what it is about as far as that can be read.

    Attributes:
        raw: what HQ sent, as it came; at most 64 KiB of it.
    """

    id: int
    received_at: str
    method: str
    correlation_id: str | None
    reason: str
    raw: str
    entity_type: str | None
    entity_id: str | None


class QuarantineAdmin:
    """The quarantine, open for a short time; a context manager.

    Args:
        paths: the database with HQ's tables is one of them.

    Raises:
        StorageError: there is none here, or it cannot be used.
        ConfigurationError: it is older or newer than this program.
        PermissionDeniedError: it may not be written.
    """

    def __init__(self, paths: DatabaseSettings) -> None:
        self._path = paths.path
        self._idle_seconds = seconds_since_written(paths.path)
        with ExitStack() as stack:
            self._connection = stack.enter_context(opened_by_hand(paths.path, "store", names_in(paths)))
            self._close = stack.pop_all().close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def entries(self, wanted: RowFilter = EVERYTHING, limit: int = -1) -> list[QuarantinedUpdate]:
        """What is kept, the oldest first."""
        try:
            return _entries(self._connection, wanted, limit)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def drop(self, ids: Sequence[int]) -> int:
        """Delete entries for good; how many that were."""
        total = 0
        turns = TillTurns(self._connection, self._idle_seconds)
        try:
            for chunk in turns.chunks(ids):
                self._connection.execute("BEGIN IMMEDIATE")
                began = time.perf_counter()
                marks = ", ".join("?" * len(chunk))
                total += self._connection.execute(f"DELETE FROM [sync_quarantine] WHERE id IN ({marks})", chunk).rowcount  # noqa: S608
                self._connection.execute("COMMIT")
                turns.held(len(chunk), time.perf_counter() - began, more=chunk[-1] != ids[-1])
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise translate(error, self._path) from error
        return total


def quarantined(paths: DatabaseSettings, limit: int) -> tuple[int, list[QuarantinedUpdate]]:
    """How many entries there are and the first of them, read without a trace; none where there is no database.

    Raises:
        StorageError: it cannot be read.
    """

    def read(connection: sqlite3.Connection) -> tuple[int, list[QuarantinedUpdate]]:
        connection.text_factory = _text
        if not has_table(connection, "sync_quarantine"):
            return 0, []
        return int(connection.execute("SELECT count(*) FROM [sync_quarantine]").fetchone()[0]), _entries(connection, EVERYTHING, limit)

    try:
        return read_without_a_trace(paths.path, names_in(paths), read) if paths.path.exists() else (0, [])
    except sqlite3.Error as error:
        raise translate(error, paths.path) from error


def _entries(connection: sqlite3.Connection, wanted: RowFilter, limit: int) -> list[QuarantinedUpdate]:
    found: list[QuarantinedUpdate] = []
    conditions, parameters = ["1"], dict[str, Any]()
    for sign, moment, name in ((">=", wanted.since, "since"), ("<", wanted.before, "before")):
        if moment is not None:
            conditions.append(f"julianday(received_at) {sign} julianday(:{name})")
            parameters[name] = moment
    sql = f"SELECT {_COLUMNS} FROM [sync_quarantine] WHERE {' AND '.join(conditions)} ORDER BY id"  # noqa: S608 - constants
    with closing(connection.execute(sql, parameters)) as cursor:
        for row in cursor:
            if 0 <= limit <= len(found):
                break
            entry = QuarantinedUpdate(*row, *_entity(row[2], row[5]))
            if wanted.entity_type is not None and (entry.entity_type or "").lower() != wanted.entity_type.lower():
                continue
            if wanted.entity_id is not None and entry.entity_id != wanted.entity_id:
                continue
            found.append(entry)
    return found


def _entity(method: str, raw: str) -> Iterator[str | None]:
    """Its entity type and id, as far as the message tells; it may be anything."""
    try:
        message = json.loads(raw, parse_float=str)
    except (ValueError, RecursionError):
        message = None
    names = any_case(message) if isinstance(message, dict) else {}
    match = _METHOD_OF_A_KIND.fullmatch(method)
    kind = names.get("entitytype") or (match["kind"] if match and match["kind"] != "SyncItem" else None)
    identifier = next((names[name] for name in ("entityid", "productid", f"{kind}id".lower(), "id") if name in names), None)
    yield None if kind is None else str(kind)
    yield None if identifier is None else str(identifier)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
