"""The report as metrics, by Prometheus' conventions: what a metrics file and an OTLP receiver are told.

Names are `syncd_SECTION_WHAT_UNIT`, counters end in `_total`; a moment is seconds since 1970, and one that there is none of is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from syncd import __version__
from syncd.document import identifier, name
from syncd.status.health import WORST_FIRST, findings, worst
from syncd.status.next_steps import NEXT_STEPS, OF_THE_READER
from syncd.status.report import PRIORITIES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from syncd.status.report import InboundStatus, OutboxStatus, Report

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with all its samples.

    Attributes:
        is_counter: it only grows, until the process starts anew.
    """

    name: str
    help: str
    samples: Sequence[tuple[Labels, float]] = field(default_factory=list)
    is_counter: bool = False


def metrics(report: Report, store_name: str, now: datetime) -> list[Metric]:
    """Everything, in the order of the status file."""
    return [*_about(report, store_name, now), *_health(report), *_line(report), *_outbox(report.outbox), *_inbound(report)]


def _about(report: Report, store_name: str, now: datetime) -> Iterator[Metric]:
    store = (("store_id", str(identifier(report.store_id))), ("store_name", store_name))
    yield Metric("syncd_build_info", "The version of syncd.", [((("version", __version__),), 1)])
    yield Metric("syncd_store_info", "The store as HQ knows it.", [(store, 1)])
    yield _moment("syncd_start_time_seconds", "When syncd was started.", report.started_at)
    yield _moment("syncd_written_timestamp_seconds", "When these metrics were made; old where syncd hangs or is dead.", now)


def _health(report: Report) -> Iterator[Metric]:
    found = findings(report)
    codes = {finding.code for finding in found}
    health = worst(found)
    states = [((("state", one),), float(one == report.state)) for one in get_args(State)]
    yield Metric("syncd_state", "1 for the state that syncd is in.", states)
    yield Metric("syncd_health", "1 for the health that syncd has.", [((("health", one),), float(one == health)) for one in WORST_FIRST])
    known = sorted(NEXT_STEPS.keys() - OF_THE_READER)
    yield Metric("syncd_finding", "1 for each reason why it is not healthy.", [((("code", code),), float(code in codes)) for code in known])


def _line(report: Report) -> Iterator[Metric]:
    connection, beat, database = report.connection, report.heartbeat, report.database
    yield _plain("syncd_connection_up", "1 while there is a connection to HQ.", connection.state == "connected")
    yield _plain("syncd_connection_failed_attempts", "Attempts that failed since the last connection.", connection.reconnect_attempts)
    yield _moment("syncd_connection_made_timestamp_seconds", "When the present or last connection began.", connection.last_connected_at)
    yield _moment("syncd_connection_lost_timestamp_seconds", "When the last one ended; only without one.", connection.disconnected_at)
    trip = "How long HQ took to answer the last heartbeat."
    yield _plain("syncd_heartbeat_round_trip_seconds", trip, None if beat.round_trip_ms is None else beat.round_trip_ms / 1000)
    yield _plain("syncd_database_wal_bytes", "Size of the largest write-ahead log.", database.wal_bytes)
    held = "For how long another process has kept syncd from writing; 0 below a second."
    yield _plain("syncd_database_write_lock_held_seconds", held, database.write_lock_held_seconds)


def _outbox(outbox: OutboxStatus) -> Iterator[Metric]:
    pending = [((("priority", word),), float(outbox.pending.get(number, 0))) for number, word in PRIORITIES.items()]
    yield Metric("syncd_outbox_pending_rows", "Rows that HQ does not have yet.", pending)
    oldest = "When the oldest row that waits was written; only while one does."
    yield _moment("syncd_outbox_oldest_pending_timestamp_seconds", oldest, outbox.oldest_pending_at)
    yield _plain("syncd_outbox_failed_rows", "Rows that HQ refused for good and that wait for a person.", outbox.failed)
    yield _plain("syncd_outbox_deferred_rows", "Rows on which HQ gives no answer.", outbox.deferred.total)
    yield _plain("syncd_outbox_sent_rows_total", "Rows that HQ has, since this store began to sync.", outbox.sent_total, is_counter=True)
    yield _moment("syncd_outbox_last_sent_timestamp_seconds", "When HQ last took a row.", outbox.last_sent_at)
    yield _plain("syncd_outbox_paused", "1 while somebody has paused sending.", outbox.paused is not None)


def _inbound(report: Report) -> Iterator[Metric]:
    inbound: InboundStatus = report.inbound
    kinds = sorted({*inbound.applied_total, *inbound.last_applied})
    applied = [((("type", str(name(kind))),), float(inbound.applied_total[kind])) for kind in kinds]
    yield Metric("syncd_inbound_applied_updates_total", "Updates of HQ's that changed something.", applied, is_counter=True)
    last = [((("type", str(name(kind))),), at.timestamp()) for kind, at in sorted(inbound.last_applied.items())]
    yield Metric("syncd_inbound_last_applied_timestamp_seconds", "When an update last changed something.", last)
    stale = "Updates that were no newer than what the store had."
    yield _plain("syncd_inbound_stale_updates_total", stale, inbound.stale, is_counter=True)
    unreadable = "Messages of HQ's that could not be read."
    yield _plain("syncd_inbound_unreadable_messages_total", unreadable, inbound.unreadable, is_counter=True)
    shed = "Calls of HQ's that were not taken, as too many waited."
    yield _plain("syncd_inbound_shed_calls_total", shed, report.connection.shed_total, is_counter=True)
    yield _plain("syncd_inbound_quarantined_messages", "What HQ sent and could not be applied.", inbound.quarantined)
    yield _plain("syncd_inbound_caught_up", "1 while nothing that HQ has is missing.", inbound.caught_up)
    yield _moment("syncd_inbound_caught_up_timestamp_seconds", "When nothing was missing for the last time.", inbound.caught_up_at)
    yield _plain("syncd_inbound_waiting_acks", "Acks of applied updates that HQ does not have yet.", inbound.acks_waiting)
    yield _plain("syncd_inbound_dropped_acks_total", "Acks that HQ will not get.", inbound.acks_dropped, is_counter=True)


def _plain(name: str, text: str, value: float | None, *, is_counter: bool = False) -> Metric:
    return Metric(name, text, [] if value is None else [((), float(value))], is_counter)


def _moment(name: str, text: str, moment: datetime | None) -> Metric:
    return _plain(name, text, None if moment is None else moment.timestamp())
