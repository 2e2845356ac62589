"""How the daemon is: one section for each part of it, which that part keeps up to date itself, and from which the status file is made.

report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=clock.now())
report.heartbeat.last_sent_at = clock.now()
report.touch()  # the status writer wakes

A field of a section is in the file under its name in camelCase, unless it is marked `INTERNAL` (`syncd/document.py`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from syncd.clock import iso_ms
from syncd.config.hub_url import shown
from syncd.document import IDENTIFIER, INTERNAL, TEXT, name, shown_as
from syncd.hub.status import ConnectionStatus
from syncd.store.catalog import ENTITY_TYPES
from syncd.store.status import DatabaseStatus

if TYPE_CHECKING:
    from datetime import datetime

    from syncd.status.progress import Progress
    from syncd.store.pause import Pause

PRIORITIES = {1: "critical", 2: "high", 3: "normal", 4: "low"}
RECENT_ERRORS = 10

State = Literal["starting", "connecting", "online", "syncing", "reconnecting", "offline", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class OutboxError:
    """A row that HQ refused, or that is too large for it.

    Attributes:
        final: the row is `failed`; otherwise it is tried again.
    """

    at: datetime
    entity_type: str
    entity_id: int | str = field(metadata=IDENTIFIER)
    correlation_id: str
    error: str = field(metadata=TEXT)
    final: bool


@dataclass(frozen=True, slots=True)
class DeferredRow:
    """A row that HQ has not decided on: no answer to it, or an answer without an ack for it."""

    entity_type: str
    entity_id: int | str = field(metadata=IDENTIFIER)
    correlation_id: str
    since: datetime
    next_try_at: datetime
    reason: str = field(metadata=TEXT)


@dataclass(frozen=True, slots=True)
class DeferredRows:
    """How many rows are deferred, and the first of them."""

    total: int = 0
    rows: list[DeferredRow] = field(default_factory=list)


def _by_priority(pending: dict[int, int]) -> dict[str, int]:
    return {name: pending.get(number, 0) for number, name in PRIORITIES.items()} | {"total": sum(pending.values())}


@dataclass(slots=True)
class OutboxStatus:
    """What goes to HQ; the uplink's.

    Attributes:
        pending: rows that HQ does not have yet, by priority (1 to 4).
        failed: rows that are `failed`.
        sent_total: since this store began to sync, over restarts.
        sent_today: since midnight, over restarts.
        deferred: rows that HQ has not decided on; they wait for their next try.
        paused: since when and until when nothing is sent, because somebody asked for it.
        recent_errors: what was refused or failed last.
        current_item: what was last sent, such as `Receipt 1042`.
        ids_used_up: in words, where there is no id left for the till's next row.
        missing_methods: `SendSyncBatch` and `SendSyncItem`, where the hub has neither.
        throws_for_everything: the hub answers every row with an error.
        accepts_nothing: since when HQ has accepted no row, and its first error; None where it has, or in the first minute.
        undecided: how the hub decides on no row at all, and since when; None once it has decided on one.
    """

    pending: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PRIORITIES, 0), metadata=shown_as(_by_priority))
    oldest_pending_at: datetime | None = None
    failed: int = 0
    sent_total: int = 0
    sent_today: int = 0
    last_sent_at: datetime | None = None
    deferred: DeferredRows = field(default_factory=DeferredRows)
    paused: Pause | None = None
    recent_errors: deque[OutboxError] = field(default_factory=lambda: deque(maxlen=RECENT_ERRORS))
    current_item: str = field(default="", metadata=INTERNAL)
    ids_used_up: str | None = field(default=None, metadata=INTERNAL)
    missing_methods: set[str] = field(default_factory=set, metadata=INTERNAL)
    throws_for_everything: bool = field(default=False, metadata=INTERNAL)
    accepts_nothing: str | None = field(default=None, metadata=INTERNAL)
    undecided: tuple[str, datetime] | None = field(default=None, metadata=INTERNAL)

    @property
    def pending_total(self) -> int:
        """Rows that HQ does not have yet, of all priorities: they wait, are in flight, or wait for their retry."""
        return sum(self.pending.values())


def _by_type(counts: Counter[str]) -> dict[str, int]:
    """Ours always; the chain's own, and `entity` for those that nobody has declared, once there is one."""
    return {kind.name.lower(): counts[kind.name] for kind in ENTITY_TYPES} | {name.lower(): count for name, count in counts.items()}


def _moments_by_type(moments: dict[str, datetime]) -> dict[str, str | None]:
    found = dict.fromkeys(kind.name.lower() for kind in ENTITY_TYPES) | {name.lower(): iso_ms(moment) for name, moment in moments.items()}
    return {str(name(kind)): moment for kind, moment in found.items()}


@dataclass(slots=True)
class InboundStatus:
    """What comes from HQ; the downlink's.

    Attributes:
        applied_total: since the start of this process, by entity type (`Product`, …).
        applied_today: since midnight, over restarts.
        last_applied: when an update last changed something, by entity type, over restarts.
        stale: updates that were older than what we had, or the same, since the start of this process.
        quarantined: updates that could not be applied and are kept in `sync_quarantine`.
        unreadable: messages that could not be read, and calls of unknown methods, since the start of this process.
        unreadable_reason: that of the last one, for ten minutes.
        cursor: how far the catch-up is, in HQ's own words.
        caught_up: HQ had no more, on this connection, and nothing before that is missing.
        caught_up_at: when that was last so, in this process.
        full_pull_types: what is being fetched from the beginning; empty is everything, None is nothing.
        full_pull_items: how many items of that have come, since this process began or went on with it; of the last one once it is over.
        full_pull_total: how many there are, as HQ says.
        fully_pulled_at: when everything that HQ has was last fetched from the beginning to the end.
        acks_waiting: acks of applied updates that HQ does not have yet.
        acks_dropped: acks that HQ will not get, since the start of this process; their updates are applied.
        acks_dropped_reason: that of the last one, unless it was long ago.
        catching_up: pages are being fetched.
        catch_up_error: why the last catch-up did not come to its end.
        missing_methods: `RequestBatchSync`, where the hub does not have it.
    """

    applied_total: Counter[str] = field(default_factory=Counter, metadata=shown_as(_by_type))
    applied_today: int = 0
    last_applied: dict[str, datetime] = field(default_factory=dict, metadata=shown_as(_moments_by_type))
    stale: int = 0
    quarantined: int = 0
    unreadable: int = 0
    cursor: str | None = None
    last_applied_at: datetime | None = None
    caught_up: bool = False
    caught_up_at: datetime | None = None
    acks_waiting: int = 0
    acks_dropped: int = 0
    full_pull_types: frozenset[str] | None = None
    full_pull_items: int = 0
    full_pull_total: int | None = None
    fully_pulled_at: datetime | None = None
    unreadable_reason: str | None = field(default=None, metadata=INTERNAL)
    acks_dropped_reason: str | None = field(default=None, metadata=INTERNAL)
    catching_up: bool = field(default=False, metadata=INTERNAL)
    catch_up_error: str | None = field(default=None, metadata=INTERNAL)
    missing_methods: set[str] = field(default_factory=set, metadata=INTERNAL)


@dataclass(slots=True)
class HeartbeatStatus:
    """The last heartbeat, and HQ's answer to it; the heartbeat loop's."""

    last_sent_at: datetime | None = None
    last_response_at: datetime | None = None
    round_trip_ms: float | None = field(default=None, metadata=shown_as(lambda ms: None if ms is None else round(ms, 1)))


@dataclass(frozen=True, slots=True)
class SyncCompletion:
    """HQ called `SyncComplete`."""

    store_id: int | str | None = field(metadata=IDENTIFIER)
    total_items: int
    completed_items: int
    failed_items: int
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """HQ called `SyncProgress`, about a synchronisation of its own."""

    at: datetime
    total_items: int
    completed_items: int
    failed_items: int
    progress_percent: float | None
    current_item: str | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class HubError:
    """The last error that HQ has told us of, by `Error`; what is wrong with the line is in `ConnectionStatus.last_error`."""

    at: datetime
    error: str = field(metadata=TEXT)


@dataclass(slots=True)
class Report:
    """All that the status file tells, and what its health follows from.

    Attributes:
        state: of all parts together (`status/state.py`).
        stalled_loops: names of the loops that make no progress; the watchdog's.
        configuration_error: why a reload was refused; the settings before it are still in use.
        changed: set by `touch`; the status writer waits for it.
    """

    store_id: int | str = field(metadata=IDENTIFIER)
    hub_url: str = field(metadata=INTERNAL)
    started_at: datetime
    state: State = "starting"
    connection: ConnectionStatus = field(init=False)
    progress: Progress | None = field(default=None, metadata=shown_as(lambda progress: progress and progress.document()))
    outbox: OutboxStatus = field(default_factory=OutboxStatus)
    inbound: InboundStatus = field(default_factory=InboundStatus)
    heartbeat: HeartbeatStatus = field(default_factory=HeartbeatStatus)
    database: DatabaseStatus = field(default_factory=DatabaseStatus)
    last_sync_complete: SyncCompletion | None = None
    last_sync_progress: SyncProgress | None = None
    last_hub_error: HubError | None = None
    stalled_loops: list[str] = field(default_factory=list, metadata=INTERNAL)
    configuration_error: str | None = field(default=None, metadata=INTERNAL)
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False, metadata=INTERNAL)

    def __post_init__(self) -> None:
        self.connection = ConnectionStatus(hub_url=shown(self.hub_url))

    def touch(self) -> None:
        """Something changed: let the file follow."""
        self.changed.set()
