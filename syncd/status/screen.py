"""The status for a person, on one screen: the verdict, each reason with its next step, and how old what we know is.

Standard library only, as `syncd status` is called again and again by people who wait for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from syncd.status.next_steps import NEXT_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from syncd.status.reader import DaemonHealth

VERDICTS = {
    "healthy": "All right (healthy): nothing to do.",
    "warning": "It works, and somebody should look at this (warning):",
    "degraded": "It does not work as it should (degraded):",
    "critical": "It cannot do its work (critical):",
    "stale": "Nobody writes the status any more (stale):",
    "missing": "There is no status (missing):",
}
NO_LINE_YET = "All right so far (healthy): syncd is connecting to HQ."
NO_LINE = "All right so far (healthy), with no line to HQ: syncd keeps trying, and sales wait safely."
CLOCK_WRONG = "This PC's clock is wrong, or was until now (stale):"
STYLES = {"healthy": "green", "warning": "yellow", "degraded": "red", "critical": "red", "stale": "red", "missing": "red"}
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Line(NamedTuple):
    """One line, however long; what shows it wraps it, and indents what does not fit.

    Attributes:
        label: what stands before it.
        style: `green`, `yellow`, `red`, `bold` or nothing.
    """

    label: str
    text: str
    style: str = ""


class Reason(NamedTuple):
    """Why it is not healthy, and what to do; nothing, where a version that this one does not know says why."""

    reason: str
    next_step: str


def verdict(daemon: DaemonHealth) -> Line:
    """How it is, in a sentence."""
    document = daemon.document or {}
    store = f"Store {document['storeId']}. " if "storeId" in document else ""
    words = VERDICTS[daemon.health]
    if daemon.health == "healthy" and document.get("state") in {"starting", "connecting", "reconnecting"}:
        connection = document.get("connection")
        has_failed = isinstance(connection, dict) and connection.get("reconnectAttempts")
        words = NO_LINE if has_failed else NO_LINE_YET
    elif daemon.code == "clock_set_back":
        words = CLOCK_WRONG
    return Line("", f"{store}{words}", STYLES[daemon.health])


def reasons(daemon: DaemonHealth) -> list[Reason]:
    """Every reason, worst first; whoever finds nobody at work says so itself."""
    steps = {found["reason"]: found["nextStep"] for found in _findings(daemon.document or {})}
    ours = NEXT_STEPS.get(daemon.code or "", "")
    return [Reason(reason, steps.get(reason, "" if number else ours)) for number, reason in enumerate(daemon.reasons)]


def _findings(document: Mapping[str, Any]) -> list[dict[str, str]]:
    found = document.get("findings")
    known = found if isinstance(found, list) else []
    return [entry for entry in known if isinstance(entry, dict) and {"reason", "nextStep"} <= entry.keys()]


def facts(daemon: DaemonHealth, now: datetime | None = None) -> list[Line]:
    """What waits, what came, how the line is, and who says so."""
    if daemon.document is None:
        return []
    try:
        return list(_facts(daemon.document, now or datetime.now(UTC)))
    except (AttributeError, KeyError, TypeError, ValueError):
        return [Line("", "the rest of the file has a form that this version does not know")]


def _facts(status: dict[str, Any], now: datetime) -> Iterator[Line]:
    connection, outbox, inbound = (status[name] for name in ("connection", "outbox", "inbound"))
    pending = outbox["pending"]
    levels = ", ".join(f"{pending[name]:,} {name}" for name in ("critical", "high", "normal", "low") if pending[name])
    oldest = f"; the oldest was written {ago(outbox['oldestPendingAt'], now)}" if outbox["oldestPendingAt"] else ""
    yield Line("to HQ", f"{count(pending['total'], 'row waits', 'rows wait')}{f' ({levels})' if levels else ''}{oldest}")
    last = f", the last {ago(outbox['lastSentAt'], now)}" if outbox["lastSentAt"] else ""
    yield Line("", f"{_today(outbox, 'sentToday')}{outbox['sentTotal']:,} sent in all{last}; {outbox['failed']:,} failed")
    if (progress := status["progress"]) and not progress["isComplete"]:
        yield Line("backlog", f"{progress['progressPercent']} % sent, {pace(status)}")
    yield Line("from HQ", f"{_caught_up(inbound, now)}; {_last_price(inbound, now)}")
    today = f"{count(inbound['appliedToday'], 'update', 'updates')} applied today; " if "appliedToday" in inbound else ""
    yield Line("", f"{today}{inbound['quarantined']:,} in quarantine")
    if (pulled := inbound.get("fullPullTypes")) is not None:
        of_all = f" of {inbound['fullPullTotal']:,}" if inbound.get("fullPullTotal") else ""
        yield Line("", f"fetching {', '.join(pulled) or 'everything'} from the beginning: {inbound.get('fullPullItems', 0):,}{of_all}")
    yield from _line(connection, status["heartbeat"], now)
    yield Line("syncd", f"{status['version']}, {status['state']}, process {status['pid']}, started {ago(status['startedAt'], now)}")
    yield Line("", f"this was written {ago(status['writtenAt'], now)}")
    if hub_error := status.get("lastHubError"):
        yield Line("HQ said", f"{ago(hub_error['at'], now)}: {hub_error['error']}")
    for error in outbox["recentErrors"][-2:] if pending["total"] or outbox["failed"] else ():
        yield Line("refused", f"{error['entityType']} {error['entityId']} {ago(error['at'], now)}: {error['error']}")


def _line(connection: dict[str, Any], heartbeat: dict[str, Any], now: datetime) -> Iterator[Line]:
    if connection["state"] == "connected":
        trip = f", {heartbeat['roundTripMs']} ms there and back" if heartbeat["roundTripMs"] is not None else ""
        yield Line("line", f"connected {ago(connection['lastConnectedAt'], now)} to {connection['hubUrl']}{trip}")
        return
    gone = f", lost {ago(connection['disconnectedAt'], now)}" if connection["disconnectedAt"] else ""
    attempts = f", {count(connection['reconnectAttempts'], 'attempt', 'attempts')} since" if connection["reconnectAttempts"] else ""
    yield Line("line", f"{connection['state']}{gone}{attempts}: {connection['hubUrl']}")
    if connection["lastError"] and connection["state"] != "disconnected":  # in good order, whatever had been wrong before
        yield Line("", connection["lastError"])


def _today(section: dict[str, Any], name: str) -> str:
    return f"{section[name]:,} sent today, " if name in section else ""


def _caught_up(inbound: dict[str, Any], now: datetime) -> str:
    if inbound.get("caughtUpAt"):
        return f"all that HQ had {ago(inbound['caughtUpAt'], now)} is here"
    return "caught up" if inbound["caughtUp"] else "not caught up since syncd was started"


def _last_price(inbound: dict[str, Any], now: datetime) -> str:
    last = inbound.get("lastApplied", {}).get("price")
    return f"the last price came {ago(last, now)}" if last else "no price has come yet"


def pace(status: dict[str, Any], rows_a_second: float | None = None) -> str:
    """When the backlog will be done: what the file says, or at the rate that was seen; a line that is down makes nothing move."""
    if status["connection"]["state"] != "connected":
        return "and goes on with the line"
    if rows_a_second:
        return f"{rows_a_second:,.0f} rows/s, done in {time_span(status['outbox']['pending']['total'] / rows_a_second)}"
    return "nothing moves" if rows_a_second == 0 else f"done in {status['progress']['estimatedTimeRemaining'] or 'unknown time'}"


def time_span(seconds: float) -> str:
    """`hh:mm:ss`."""
    whole = round(min(seconds, 10_000 * DAY))
    return f"{whole // HOUR:02}:{whole % HOUR // MINUTE:02}:{whole % MINUTE:02}"


def count(number: int, one: str, many: str) -> str:
    """`1 row waits`, `2 rows wait`."""
    return f"{number:,} {one if number == 1 else many}"


def ago(moment: str, now: datetime) -> str:
    """How long that is ago, in words; a clock that was set back makes it no less than now."""
    return f"{age((now - datetime.fromisoformat(moment)).total_seconds())} ago"


def age(seconds: float) -> str:
    """A time in its two largest units."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    days = whole // DAY
    return f"{days} {'day' if days == 1 else 'days'} {whole % DAY // HOUR} h"
