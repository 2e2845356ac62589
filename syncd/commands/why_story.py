"""The words of `syncd why`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from syncd.status.display import plain
from syncd.status.report import PRIORITIES
from syncd.status.screen import age, ago
from syncd.store.catalog import PRICE
from syncd.store.times import moment_for_the_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.status.reader import DaemonHealth
    from syncd.store.row_history import Found, RowHistory
    from syncd.store.update_history import UpdateHistory

STOPS_SENDING = {
    "token_rejected", "hub_accepts_nothing", "hub_throws_for_everything", "hub_decides_nothing", "hub_takes_no_rows", "sending_paused",
    "database_full", "database_not_writable", "database_damaged", "database_unusable", "loops_stalled",
}  # fmt: skip
"""Reasons in the status for which no row goes out, whichever it is."""
NONE_REMEMBERED = "  Of the last thousand updates none was of this; what came within the last seconds is not among them yet."


def story_of_row(row: RowHistory, daemon: DaemonHealth, now: datetime, *, hold_on_failure: bool) -> list[str]:
    """From the till to HQ, a line for each step, and what it waits for."""
    head = (
        f"{plain(str(row.entity_type))} {plain(str(row.entity_id))}: {row.operation}, {PRIORITIES.get(row.priority, row.priority)} priority"
    )
    lines = [head, f"  row {row.id}, {row.payload_bytes:,} bytes, correlation id {plain(str(row.correlation_id))}"]
    if row.first_seen_at:
        lines.append(_at(row.first_seen_at, now, f"first seen; what the till wrote as its time cannot be read: {plain(row.created_at)!r}"))
    else:
        lines.append(_at(row.created_at, now, "written by the till"))
    decided_at = row.decided_at or _told_lately(row, daemon)
    times = f"{row.attempts} {'time' if row.attempts == 1 else 'times'}"
    said = f': "{plain(row.last_error)}"' if row.last_error else ""
    match row.status:
        case "sent":
            lines.append(_at(row.decided_at, now, "sent: HQ has it, and that is on disk here"))
        case "failed":
            lines.append(_at(decided_at, now, f"failed for good, refused {times}{said}"))
            lines.append(
                f"  It waits for a person: mend that at HQ, then `syncd outbox retry {row.id}`, or `syncd outbox cancel {row.id}`."
            )
        case "cancelled":
            lines.append(f"  cancelled by hand: HQ never hears of it{f'; it was refused {times}{said}' if said else ''}")
        case _:
            if row.attempts:
                lines.append(_at(decided_at, now, f"refused by HQ, {times} by now{said}"))
            lines += [f"  waits: {reason}" for reason in waits_for(row, daemon, now, hold_on_failure=hold_on_failure)]
    return lines


def _told_lately(row: RowHistory, daemon: DaemonHealth) -> str | None:
    """When HQ refused it, where that is among its last errors: the till's table does not have it."""
    errors = (daemon.document or {}).get("outbox", {}).get("recentErrors", [])
    return next((str(error["at"]) for error in reversed(errors) if error["correlationId"] == row.correlation_id), None)


def waits_for(row: RowHistory, daemon: DaemonHealth, now: datetime, *, hold_on_failure: bool) -> list[str]:
    """Everything that keeps a pending row here, what is nearest to it first; what goes at once says so."""
    reasons = [*_of_the_row(row, now, hold_on_failure=hold_on_failure), *_of_the_daemon(row, daemon, now)]
    if row.ahead > len(row.earlier):
        reasons.append(f"about {row.ahead:,} {'row goes' if row.ahead == 1 else 'rows go'} out before it")
    return reasons or ["for nothing: it is under way, or goes out with the next batch"]


def _of_the_row(row: RowHistory, now: datetime, *, hold_on_failure: bool) -> Iterator[str]:
    if row.attempts and row.next_attempt_at:
        yield f"for its next attempt, at {row.next_attempt_at} ({_in(row.next_attempt_at, now)})"
    if row.earlier:
        until = f", which is tried again at {row.held_until} ({_in(row.held_until, now)})" if row.held_until else ""
        more = f" and {len(row.earlier) - 1:,} more" if len(row.earlier) > 1 else ""
        yield f"behind row {row.earlier[0]}{more} of the same entity{until}: `syncd why {row.earlier[0]}`"
    if row.failed_before and hold_on_failure:
        yield f"behind row {row.failed_before[0]} of the same entity, which failed (sync.hold_entity_on_failure)"


def _of_the_daemon(row: RowHistory, daemon: DaemonHealth, now: datetime) -> Iterator[str]:
    if daemon.code is not None or daemon.document is None:
        yield f"for syncd itself: {'; '.join(daemon.reasons)}"
        return
    document: dict[str, Any] = daemon.document
    connection = document.get("connection", {})
    if connection.get("state") not in (None, "connected"):
        since = (
            f" since {connection['disconnectedAt']} ({ago(connection['disconnectedAt'], now)})" if connection.get("disconnectedAt") else ""
        )
        until = f"; the next attempt is at {connection['nextAttemptAt']}" if connection.get("nextAttemptAt") else ""
        said = f": {plain(connection['lastError'])}" if connection.get("lastError") else ""
        yield f"for the line to HQ, which is {connection['state']}{since}{said}{until}"
    for found in document.get("findings", []):
        if found["code"] in STOPS_SENDING:
            yield f"for this: {plain(found['reason'])}"
    for deferred in document.get("outbox", {}).get("deferred", {}).get("rows", []):
        if deferred["correlationId"] == row.correlation_id:
            when = f"tried again at {deferred['nextTryAt']}"
            yield f"for HQ's answer, which has not come since {deferred['since']} ({plain(deferred['reason'])}); {when}, at no attempt"


def story_of_updates(history: UpdateHistory, now: datetime) -> list[str]:
    """From HQ to the till: what is in the table, what came, what could not be applied."""
    lines: list[str] = []
    if history.kind is not None:
        lines.append(
            f"{history.kind}: {len(history.table_rows) or 'no'} {'row' if len(history.table_rows) == 1 else 'rows'} in {history.table}"
        )
    for row in history.table_rows:
        applied = f"  ({ago(row['applied_at'], now)})" if _is_time(row.get("applied_at")) else ""
        marks = [*(["deleted by HQ"] if row.get("is_deleted") else []), *(["in force now"] if _in_force(row, history) else [])]
        values = ", ".join(f"{name} {plain(str(value))}" for name, value in row.items() if name != "is_deleted" and value != "")
        lines.append(f"  {values}{applied}")
        lines += [f"    {', '.join(marks)}"] if marks else []
    lines.append("  What HQ sent, newest first:" if history.updates else NONE_REMEMBERED)
    for update in history.updates:
        dated = f"version {update.version}" if update.version is not None else f"updatedAt {update.updated_at}"
        what = f"{update.entity_type} {update.entity_id} {update.operation}, {dated}, {update.source}"
        became = {"applied": "applied", "stale": "older than what the store had, or the same: left out"}.get(update.outcome, update.outcome)
        lines.append(_at(update.at, now, f"{plain(what)}: {became}{f' ({plain(update.reason)})' if update.reason else ''}"))
    for kept in history.quarantined:
        lines.append(_at(kept.received_at, now, f"could not be applied, in quarantine as {kept.id} ({kept.method}): {plain(kept.reason)}"))
    return lines


def nothing_found(what: str, rows: Found, retention_days: int) -> list[str]:
    """What may be the matter where there is nothing of that name."""
    highest = f"The highest id in the outbox is {rows.last_id}." if rows.last_id is not None else "The outbox is empty."
    return [
        f"Nothing is known of {plain(what)!r}: no row of the outbox has that id or correlation id, nor has an update.",
        f"{highest} Rows that HQ has are kept for {retention_days} days.",
        "An entity is named by its type and id: `syncd why Receipt/17`, `syncd why Product/4711`.",
    ]


def _in_force(row: dict[str, Any], history: UpdateHistory) -> bool:
    return history.kind == PRICE.name and history.in_force.get(str(row.get("price_list"))) == row.get("effective_from")


def _at(moment: str | None, now: datetime, what: str) -> str:
    if moment is None:
        return f"  {'':24}  {what}"
    if (known := moment_for_the_wire(str(moment))) is None:
        return f"  {plain(str(moment)):24}  {what}"
    return f"  {known[1][:23]}Z  {what} ({age((now - known[0]).total_seconds())} ago)"


def _in(moment: str, now: datetime) -> str:
    if not _is_time(moment):
        return "some time"
    seconds = (datetime.fromisoformat(moment) - now).total_seconds()
    return f"in {age(seconds)}" if seconds > 0 else "now"


def _is_time(moment: object) -> bool:
    try:
        return isinstance(moment, str) and datetime.fromisoformat(moment).tzinfo is not None
    except ValueError:
        return False
