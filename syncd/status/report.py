"""How the daemon is, as its loops see it: plain attributes that they set, and the JSON form for people and monitors.

report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=clock.now())
report.connection.state = "connected"
report.touch()  # the status writer wakes
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from syncd import __version__
from syncd.clock import iso_ms
from syncd.hub.url import shown
from syncd.redaction import redact
from syncd.status.health import assess

if TYPE_CHECKING:
    from datetime import datetime

    from syncd.config.settings import Settings
    from syncd.status.progress import Progress

SCHEMA = 1
"""Version of the file's form; a new number only where a reader of the old form would be misled."""
SHORTEST_LIFE = timedelta(seconds=30)
MISSED_HEARTBEATS = 3
LONGEST_TEXT = 500
"""Characters of an error that the file repeats: HQ decides how long its messages are."""
LONGEST_NAME = 200
"""Characters of an entity's type, an identifier, a cursor: the till and HQ decide how long those are."""
LARGEST_COUNT = 2**63 - 1
PRIORITIES = {1: "critical", 2: "high", 3: "normal", 4: "low"}
INBOUND_TYPES = ("Product", "Price", "Inventory", "Transaction")

State = Literal["starting", "connecting", "online", "syncing", "reconnecting", "offline", "stopping", "stopped"]
ConnectionState = Literal["disconnected", "connecting", "connected", "reconnecting", "offline"]


@dataclass(slots=True)
class Connection:
    """The line to HQ.

    Attributes:
        authentication_rejected: HQ answered 401 or 403 when we last tried.
        missing_methods: what this hub said that it does not have.
    """

    hub_url: str
    state: ConnectionState = "disconnected"
    connection_id: str | None = None
    last_connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    reconnect_attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    authentication_rejected: bool = False
    missing_methods: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class OutboxError:
    """A row that HQ, or its size, did not let through.

    Attributes:
        final: the row is `failed`; otherwise it is tried again.
    """

    at: datetime
    entity_type: str
    entity_id: int | str
    correlation_id: str
    error: str
    final: bool


@dataclass(frozen=True, slots=True)
class DeferredRow:
    """A row on which HQ says nothing: no answer, or an answer without a verdict on it."""

    entity_type: str
    entity_id: int | str
    correlation_id: str
    since: datetime
    next_try_at: datetime
    reason: str


@dataclass(slots=True)
class Outbox:
    """What goes to HQ.

    Attributes:
        pending: rows that HQ does not have yet, by priority (1 to 4).
        sent_total: since this store began to sync, over restarts.
        deferred: how many rows wait without a word of HQ on them, and the first of them.
        current_item: what was last sent, such as `Receipt 1042`.
        ids_used_up: in words, where there is no id left for the till's next row.
    """

    pending: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PRIORITIES, 0))
    oldest_pending_at: datetime | None = None
    failed: int = 0
    sent_total: int = 0
    last_sent_at: datetime | None = None
    deferred: tuple[int, list[DeferredRow]] = field(default_factory=lambda: (0, []))
    current_item: str = ""
    ids_used_up: str | None = None
    recent_errors: deque[OutboxError] = field(default_factory=lambda: deque(maxlen=10))

    @property
    def pending_total(self) -> int:
        """Rows that HQ does not have yet, of all priorities."""
        return sum(self.pending.values())


@dataclass(slots=True)
class Inbound:
    """What comes from HQ.

    Attributes:
        applied_total: since the start of this process, by entity type (`Product`, …).
        stale: updates that were older than what we had, or the same, since the start of this process.
        quarantined: updates that could not be applied and are kept in `sync_quarantine`.
        unreadable: messages that could not be read, and calls of unknown methods, since the start of this process.
        unreadable_reason: that of the last one, unless it was long ago.
        shed: calls that were not taken since too many were waiting, since the start of this process; the catch-up makes up for them.
        is_shedding: there is no room for more.
        full_pull_types: what is being fetched from the beginning; empty is everything, None is nothing.
        fully_pulled_at: when everything that HQ has was last fetched from the beginning to the end.
    """

    applied_total: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    quarantined: int = 0
    unreadable: int = 0
    unreadable_reason: str | None = None
    shed: int = 0
    is_shedding: bool = False
    cursor: str | None = None
    last_applied_at: datetime | None = None
    caught_up: bool = False
    full_pull_types: frozenset[str] | None = None
    fully_pulled_at: datetime | None = None


@dataclass(slots=True)
class Heartbeat:
    """The last sign of life, and HQ's answer to it."""

    last_sent_at: datetime | None = None
    last_response_at: datetime | None = None
    round_trip_ms: float | None = None


@dataclass(slots=True)
class DatabaseFiles:
    """The files of the store: the one of them that has most to tell.

    Attributes:
        lock_held_seconds: for how long another process has kept a write lock from us; 0 where that is not worth telling.
        lock_holder: the process, as `name (pid 123)`, where it can be told.
        wal_large_since: since when more of the write-ahead log has been in use than is good.
        wal_readers: the processes that keep it so, where they can be told.
    """

    lock_file: str | None = None
    lock_held_seconds: float = 0.0
    lock_held_since: datetime | None = None
    lock_holder: str | None = None
    wal_file: str | None = None
    wal_bytes: int = 0
    wal_large_since: datetime | None = None
    wal_readers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SyncCompletion:
    """HQ's word that a synchronisation is complete."""

    store_id: int | str | None
    total_items: int
    completed_items: int
    failed_items: int
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """What HQ last said of the progress of a synchronisation of its own."""

    at: datetime
    total_items: int
    completed_items: int
    failed_items: int
    progress_percent: float | None
    current_item: str | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class HubError:
    """The last error that HQ has told us of, by `Error`; what is wrong with the line is in `Connection.last_error`."""

    at: datetime
    error: str


@dataclass(slots=True)
class Report:
    """All that the status file tells, and what its health follows from.

    Attributes:
        storage_error: why a database cannot be used at the moment.
        stalled_loops: names of the loops that make no progress.
        configuration_error: why a reload was refused; the settings before it are still in use.
        catch_up_error: why the last catch-up did not come to its end.
        hub_throws: the hub answers every row with an error.
        accepts_nothing: since when HQ has accepted no row, and its words; None where that is not worth a word yet.
        hub_undecided: how the hub decides on no row, and since when.
        changed: set by `touch`; the status writer waits for it.
    """

    store_id: int | str
    hub_url: str
    started_at: datetime
    state: State = "starting"
    connection: Connection = field(init=False)
    progress: Progress | None = None
    outbox: Outbox = field(default_factory=Outbox)
    inbound: Inbound = field(default_factory=Inbound)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    last_sync_complete: SyncCompletion | None = None
    last_sync_progress: SyncProgress | None = None
    last_hub_error: HubError | None = None
    database: DatabaseFiles = field(default_factory=DatabaseFiles)
    storage_error: str | None = None
    stalled_loops: list[str] = field(default_factory=list)
    configuration_error: str | None = None
    hub_throws: bool = False
    accepts_nothing: str | None = None
    hub_undecided: tuple[str, datetime] | None = None
    catch_up_error: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __post_init__(self) -> None:
        self.connection = Connection(hub_url=self.hub_url)

    def touch(self) -> None:
        """Something changed: let the file follow."""
        self.changed.set()


def snapshot(report: Report, settings: Settings, now: datetime) -> dict[str, Any]:
    """The status file's document (contract, section 4): no payload, no secret, and every text of others cut."""
    life = max(SHORTEST_LIFE, MISSED_HEARTBEATS * timedelta(seconds=settings.heartbeat.interval_seconds))
    health, reasons = assess(report)
    connection, outbox, inbound, heartbeat = report.connection, report.outbox, report.inbound, report.heartbeat
    complete, going_on, hub_error = report.last_sync_complete, report.last_sync_progress, report.last_hub_error
    return {
        "schema": SCHEMA,
        "version": __version__,
        "pid": os.getpid(),
        "storeId": _identifier(report.store_id),
        "startedAt": iso_ms(report.started_at),
        "writtenAt": iso_ms(now),
        "expiresAt": iso_ms(now + life),
        "state": report.state,
        "health": health,
        "reasons": [_text(reason) for reason in reasons],
        "connection": {
            "state": connection.state,
            "hubUrl": _cut(shown(connection.hub_url), LONGEST_TEXT),
            "connectionId": _short(connection.connection_id),
            "lastConnectedAt": _moment(connection.last_connected_at),
            "disconnectedAt": _moment(connection.disconnected_at),
            "reconnectAttempts": connection.reconnect_attempts,
            "nextAttemptAt": _moment(connection.next_attempt_at),
            "lastError": _text(connection.last_error),
        },
        "progress": report.progress and {**report.progress.document(), "currentItem": _short(report.progress.current_item)},
        "outbox": {
            "pending": {name: outbox.pending.get(number, 0) for number, name in PRIORITIES.items()} | {"total": outbox.pending_total},
            "oldestPendingAt": _moment(outbox.oldest_pending_at),
            "failed": outbox.failed,
            "sentTotal": outbox.sent_total,
            "lastSentAt": _moment(outbox.last_sent_at),
            "deferred": {"total": outbox.deferred[0], "rows": [_deferred(row) for row in outbox.deferred[1]]},
            "recentErrors": [_error(error) for error in outbox.recent_errors],
        },
        "inbound": {
            "appliedTotal": {name.lower(): inbound.applied_total[name] for name in INBOUND_TYPES},
            "stale": inbound.stale,
            "quarantined": inbound.quarantined,
            "unreadable": inbound.unreadable,
            "shed": inbound.shed,
            "cursor": _short(inbound.cursor),
            "lastAppliedAt": _moment(inbound.last_applied_at),
            "caughtUp": inbound.caught_up,
            "fullPullTypes": None if inbound.full_pull_types is None else sorted(inbound.full_pull_types),
            "fullyPulledAt": _moment(inbound.fully_pulled_at),
        },
        "heartbeat": {
            "lastSentAt": _moment(heartbeat.last_sent_at),
            "lastResponseAt": _moment(heartbeat.last_response_at),
            "roundTripMs": None if heartbeat.round_trip_ms is None else round(heartbeat.round_trip_ms, 1),
        },
        "database": {
            "writeLockHeldSince": _moment(report.database.lock_held_since),
            "writeLockHolder": _text(report.database.lock_holder),
            "walBytes": report.database.wal_bytes,
            "walLargeSince": _moment(report.database.wal_large_since),
        },
        "lastSyncComplete": complete
        and {
            "storeId": None if complete.store_id is None else _identifier(complete.store_id),
            "totalItems": min(complete.total_items, LARGEST_COUNT),
            "completedItems": min(complete.completed_items, LARGEST_COUNT),
            "failedItems": min(complete.failed_items, LARGEST_COUNT),
            "completedAt": iso_ms(complete.completed_at),
        },
        "lastSyncProgress": going_on
        and {
            "at": iso_ms(going_on.at),
            "totalItems": min(going_on.total_items, LARGEST_COUNT),
            "completedItems": min(going_on.completed_items, LARGEST_COUNT),
            "failedItems": min(going_on.failed_items, LARGEST_COUNT),
            "progressPercent": going_on.progress_percent,
            "currentItem": _short(going_on.current_item),
            "isComplete": going_on.is_complete,
        },
        "lastHubError": hub_error and {"at": iso_ms(hub_error.at), "error": _text(hub_error.error)},
    }


def _deferred(row: DeferredRow) -> dict[str, Any]:
    return {
        "entityType": row.entity_type,
        "entityId": row.entity_id,
        "correlationId": row.correlation_id,
        "since": iso_ms(row.since),
        "nextTryAt": iso_ms(row.next_try_at),
        "reason": _text(row.reason),
    }


def _error(error: OutboxError) -> dict[str, Any]:
    return {
        "at": iso_ms(error.at),
        "entityType": _short(error.entity_type),
        "entityId": _identifier(error.entity_id),
        "correlationId": _short(error.correlation_id),
        "error": _text(error.error),
        "final": error.final,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else iso_ms(moment)


def _text(text: str | None) -> str | None:
    if text is None:
        return None
    return _cut(redact(text[: 4 * LONGEST_TEXT]), LONGEST_TEXT)


def _short(name: str | None) -> str | None:
    """A name that the till or HQ has given."""
    return None if name is None else _cut(str(name), LONGEST_NAME)


def _identifier(identifier: int | str) -> int | str | None:
    return identifier if isinstance(identifier, int) and abs(identifier) <= LARGEST_COUNT else _short(_written(identifier))


def _written(identifier: int | str) -> str:
    try:
        return str(identifier)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return hex(int(identifier))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
