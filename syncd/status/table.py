"""The status file as a table for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from syncd.console import people_console
from syncd.status.progress import time_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from syncd.status.reader import DaemonHealth

COLOURS = {"healthy": "green", "warning": "yellow", "degraded": "red", "critical": "bold red", "stale": "bold red", "missing": "bold red"}


def show(daemon: DaemonHealth, console: Console | None = None) -> None:
    """Print it."""
    console = console or people_console()
    console.print(Text.assemble("syncd is ", (daemon.health, COLOURS[daemon.health])))
    for reason in daemon.reasons:
        console.print(Text(f"  · {reason}"), soft_wrap=True)
    if daemon.document is None:
        return
    try:
        rows = list(_rows(daemon.document, datetime.now(UTC)))
    except (AttributeError, KeyError, TypeError, ValueError):
        rows = [("", "the rest of the file has a form that this version does not know")]
    table = Table.grid(padding=(0, 2))
    for name, text in rows:
        table.add_row(Text(name, style="dim"), Text(text, overflow="fold"))
    console.print(table)


def _rows(status: dict[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    connection, outbox, inbound, heartbeat = (status[name] for name in ("connection", "outbox", "inbound", "heartbeat"))
    pending = outbox["pending"]
    yield "store", f"{status['storeId']}, syncd {status['version']}, process {status['pid']}, up for {_ago(status['startedAt'], now)}"
    yield "state", f"{status['state']}, written {_ago(status['writtenAt'], now)} ago"
    yield "hub", f"{connection['hubUrl']}, {connection['state']}"
    if connection["state"] != "connected":
        if connection["lastError"]:
            yield "", connection["lastError"]
        if connection["disconnectedAt"]:
            yield "", f"gone for {_ago(connection['disconnectedAt'], now)}, {connection['reconnectAttempts']} attempts since"
    levels = ", ".join(f"{pending[name]:,} {name}" for name in ("critical", "high", "normal", "low") if pending[name])
    oldest = f"; the oldest for {_ago(outbox['oldestPendingAt'], now)}" if outbox["oldestPendingAt"] else ""
    yield "to HQ", f"{pending['total']:,} rows wait{f' ({levels})' if levels else ''}{oldest}"
    last = f", the last {_ago(outbox['lastSentAt'], now)} ago" if outbox["lastSentAt"] else ""
    yield "", f"{outbox['sentTotal']:,} sent{last}; {outbox['failed']:,} failed"
    if (progress := status["progress"]) and not progress["isComplete"]:
        yield "progress", f"{progress['progressPercent']} %, done in {progress['estimatedTimeRemaining'] or 'unknown time'}"
    yield "from HQ", ", ".join(f"{count:,} {name}" for name, count in inbound["appliedTotal"].items()) + " updates applied"
    caught_up = "caught up" if inbound["caughtUp"] else "catching up"
    yield "", f"{caught_up}; {inbound['stale']:,} were old news, {inbound['quarantined']:,} in quarantine"
    if (pulled := inbound.get("fullPullTypes")) is not None:
        yield "", f"fetching {', '.join(pulled) or 'everything'} from the beginning"
    elif inbound.get("fullyPulledAt"):
        yield "", f"everything was last fetched from the beginning {_ago(inbound['fullyPulledAt'], now)} ago"
    if heartbeat["lastSentAt"]:
        trip = f", {heartbeat['roundTripMs']} ms there and back" if heartbeat["roundTripMs"] is not None else ""
        yield "heartbeat", f"{_ago(heartbeat['lastSentAt'], now)} ago{trip}"
    if hub_error := status.get("lastHubError"):
        yield "HQ said", f"{_ago(hub_error['at'], now)} ago: {hub_error['error']}"
    for error in outbox["recentErrors"][-3:]:
        yield "error", f"{error['entityType']} {error['entityId']}: {error['error']}"


def _ago(moment: str, now: datetime) -> str:
    return time_span(max(0.0, (now - datetime.fromisoformat(moment)).total_seconds()))
