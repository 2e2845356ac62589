"""The daemon's health, and the reasons for it in plain words for the person who looks at the store PC.

Each reason has a code, by which `next_steps.py` says what to do about it.

Offline is not unhealthy by itself: a restart cannot mend the line, and all that the till writes waits in the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from syncd.clock import iso_ms
from syncd.document import TEXT
from syncd.status.next_steps import NEXT_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.status.report import InboundStatus, OutboxStatus, Report
    from syncd.store.status import DatabaseStatus

Health = Literal["healthy", "warning", "degraded", "critical"]
LOCK_CRITICAL_SECONDS = 60.0  # no sale takes so long: a till hangs in its transaction, or a tool was left open
WORST_FIRST: tuple[Health, ...] = ("critical", "degraded", "warning", "healthy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why the daemon is not healthy.

    Attributes:
        code: its name, the same in the metrics and in `next_steps.py`.
        next_step: what a person does about it.
    """

    health: Health
    code: str
    reason: str = field(metadata=TEXT)
    next_step: str = field(init=False, metadata=TEXT)

    def __post_init__(self) -> None:
        object.__setattr__(self, "next_step", NEXT_STEPS[self.code])


def assess(report: Report) -> tuple[Health, list[str]]:
    """The worst health that anything in the report amounts to, and every reason, worst first; `healthy` has none."""
    found = findings(report)
    return worst(found), [finding.reason for finding in found]


def worst(found: list[Finding]) -> Health:
    """What these findings, worst first, amount to."""
    return found[0].health if found else "healthy"


def findings(report: Report) -> list[Finding]:
    """Every reason why the daemon is not healthy, worst first."""
    return sorted((Finding(*finding) for finding in _findings(report)), key=lambda finding: WORST_FIRST.index(finding.health))


def _findings(report: Report) -> Iterator[tuple[Health, str, str]]:
    if report.database.error:
        yield "critical", report.database.error_code, f"the database cannot be used: {report.database.error}"
    if report.outbox.ids_used_up:
        yield "critical", "outbox_ids_used_up", report.outbox.ids_used_up
    yield from _database(report.database)
    for loop in report.stalled_loops:
        yield "critical", "loops_stalled", f"the {loop} loop is stalled: it makes no progress"
    yield from _connection(report)
    yield from _outbox(report.outbox)
    yield from _inbound(report.inbound)
    if report.connection.is_shedding:
        shed = report.connection.shed_total
        why = f"HQ sends more than can be applied now: {shed:,} calls were not taken, a catch-up will fetch them"
        yield "warning", "hub_calls_shed", why
    if report.configuration_error:
        why = f"the new configuration was refused, the one before it is in use: {report.configuration_error}"
        yield "warning", "configuration_refused", why


def _database(files: DatabaseStatus) -> Iterator[tuple[Health, str, str]]:
    if files.write_lock_held_seconds:
        who = f": {files.write_lock_holder}" if files.write_lock_holder else ""
        yield (
            "critical" if files.write_lock_held_seconds >= LOCK_CRITICAL_SECONDS else "warning",
            "write_lock_held",
            f"{files.write_lock_file}: another process has held the write lock for {files.write_lock_held_seconds:.0f} s{who}",
        )
    if files.wal_large_since is not None:
        who = f" ({', '.join(files.wal_readers)})" if files.wal_readers else ""
        grown = f"has grown to {files.wal_bytes / 2**20:.0f} MiB since {iso_ms(files.wal_large_since)}"
        why = f"a program that keeps a read transaction open{who} does not let it begin anew"
        yield "warning", "wal_large", f"the write-ahead log of {files.wal_file} {grown}: {why}"


def _connection(report: Report) -> Iterator[tuple[Health, str, str]]:
    connection, pending = report.connection, report.outbox.pending_total
    if connection.auth_rejected:
        yield "degraded", "token_rejected", "HQ does not accept our token: check hub.access_token_file and that HQ knows this store"
    if report.state == "offline":
        since = f" since {iso_ms(connection.disconnected_at)}" if connection.disconnected_at else ""
        waiting = f"; {_count(pending, 'row waits', 'rows wait')} here until then" if pending else ""
        yield "warning", "hub_offline", f"no connection to HQ{since}; it is tried again and again{waiting}"


def _outbox(outbox: OutboxStatus) -> Iterator[tuple[Health, str, str]]:
    if outbox.pending_total:
        yield from _nothing_moves(outbox)
    if outbox.paused:
        until = f"until {iso_ms(outbox.paused.until)}, asked for by {outbox.paused.by} at {iso_ms(outbox.paused.since)}"
        waiting = f"; {_count(outbox.pending_total, 'row waits', 'rows wait')}" if outbox.pending_total else ""
        yield "warning", "sending_paused", f"sending is paused {until}{waiting}: `syncd resume` ends that"
    if outbox.failed:
        rows = _count(outbox.failed, "row has", "rows have")
        yield "warning", "rows_failed", f"{rows} failed for good (refused by HQ, or too large for it)"
    if outbox.deferred.total:
        row, waiting = outbox.deferred.rows[0], _count(outbox.deferred.total, "row, which waits", "rows, which wait")
        first = f"{row.entity_type} {row.entity_id} since {iso_ms(row.since)}, tried again at {iso_ms(row.next_try_at)} ({row.reason})"
        yield "warning", "rows_deferred", f"HQ gives no answer on {waiting} at no attempt: {first}"


def _nothing_moves(outbox: OutboxStatus) -> Iterator[tuple[Health, str, str]]:
    if outbox.accepts_nothing:
        yield "degraded", "hub_accepts_nothing", outbox.accepts_nothing
    elif outbox.throws_for_everything:
        why = "the hub answers every row with an error: HQ may have trouble of its own; the rows wait, and lose no attempt"
        yield "degraded", "hub_throws_for_everything", why
    elif outbox.undecided and "SendSyncBatch" not in outbox.missing_methods:
        how, when = outbox.undecided
        why = f"HQ decides on no row since {iso_ms(when)}: {how}; the rows wait, and lose no attempt"
        yield "degraded", "hub_decides_nothing", why
    if {"SendSyncBatch", "SendSyncItem"} <= outbox.missing_methods:
        yield "degraded", "hub_takes_no_rows", "the hub has neither SendSyncBatch nor SendSyncItem: nothing can be sent to it"


def _inbound(inbound: InboundStatus) -> Iterator[tuple[Health, str, str]]:
    if inbound.catch_up_error:
        yield "warning", "catch_up_failed", inbound.catch_up_error
    if "RequestBatchSync" in inbound.missing_methods:
        why = "the hub has no RequestBatchSync: what it sends while we are away is not caught up with"
        yield "warning", "catch_up_unavailable", why
    if inbound.quarantined:
        updates = _count(inbound.quarantined, "update", "updates")
        why = f"{updates} from HQ could not be applied: kept in the quarantine with the reason"
        yield "warning", "updates_quarantined", why
    if inbound.acks_dropped_reason:
        acks = _count(inbound.acks_dropped, "ack", "acks")
        why = f"HQ does not get {acks} of updates that are applied here, the last: {inbound.acks_dropped_reason}"
        yield "warning", "acks_dropped", why
    if inbound.unreadable_reason:
        yield "warning", "messages_unreadable", inbound.unreadable_reason


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
