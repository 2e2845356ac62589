"""What `syncd devhub` prints: a line for everything that happens."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncd.commands.output_lines import OutputLines
from syncd.devhub import exact
from syncd.devhub.faults import Faults
from syncd.devhub.hub import Watcher

if TYPE_CHECKING:
    from syncd.devhub.connection import Connection
    from syncd.devhub.headquarters import Item

SHOWN_CHARACTERS = 500
"""Of one line for a person; with `--json` all of it is there."""
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Printer(Watcher):
    """A line for everything that happens. Whether and when somebody reads it is nothing to the hub.

    Args:
        fd: where the lines go; None for standard output.

    Attributes:
        connected: the clients that have come and were not pushed to yet.
    """

    def __init__(self, *, json_output: bool, fd: int | None = None) -> None:
        self.connected: asyncio.Queue[Connection] = asyncio.Queue()
        self._json_output = json_output
        self._output = OutputLines(lambda lines: self._line("left out", f"{lines} lines", {"lines": lines}), fd)

    def ready(self, url: str) -> None:
        """The first line, which programs wait for."""
        if self._json_output:
            self.say("ready", "", {"url": url})
        else:
            how = f'Point a store at it with [hub] url = "{url}", or SYNCD_HUB__URL={url}. Ctrl-C stops it.'
            self._output.write(f"Development hub ready: {url}\n{how}")

    def tally(self, state: dict[str, object]) -> None:
        """The last line."""
        names = ("unique", "duplicates", "refused", "heartbeats", "acksOk", "acksFailed", "connects")
        counts = {name: state[name] for name in names}
        if self._json_output:
            self.say("stopped", "", counts)
        else:
            self._output.write(
                "Stopped: {unique} items, {duplicates} sent twice, {refused} refused; {heartbeats} heartbeats; "
                "{acksOk} updates acknowledged, {acksFailed} not; {connects} connections.".format_map(counts)
            )

    def say(self, event: str, columns: str, details: dict[str, Any]) -> None:
        """One line: the columns for a person, or the details for a program."""
        self._output.write(self._line(event, columns, details))

    def close(self) -> None:
        """Nothing more is printed."""
        self._output.close()

    def _line(self, event: str, columns: str, details: dict[str, Any]) -> str:
        now = datetime.now(UTC)
        if self._json_output:
            return exact.dumps({"time": now.isoformat(timespec="milliseconds"), "event": event, **details}).decode()
        shown = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", columns)
        cut = shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}… ({len(shown):,} characters)"
        return f"{now.astimezone():%H:%M:%S}  {event:<10}  {cut}".rstrip()

    def on_connect(self, connection: Connection) -> None:
        """See Watcher."""
        self.connected.put_nowait(connection)
        self.say("connect", store_column(connection.store), {"storeId": connection.store, "connectionId": connection.connection_id})

    def on_disconnect(self, connection: Connection) -> None:
        """See Watcher."""
        self.say("leave", store_column(connection.store), {"storeId": connection.store, "connectionId": connection.connection_id})

    def on_item(self, item: Item, ack: dict[str, object]) -> None:
        """See Watcher."""
        verdict = "" if ack["success"] else f"  refused: {ack['errorMessage']}"
        what = f"{item['operation']:<6}  {item['entityType']}/{exact.text(item['entityId'])}"
        self.say("item", f"{store_column(exact.text(item['storeId']))}  {what:<32}  {item['payload']}{verdict}", {"item": item, "ack": ack})

    def on_heartbeat(self, heartbeat: Any) -> None:
        """See Watcher."""
        beat = heartbeat if isinstance(heartbeat, dict) else {}
        pending = f"{exact.text(beat.get('pendingSyncCount')) or '?'} pending"
        state = exact.text(beat.get("state"))
        self.say("heartbeat", f"{store_column(exact.text(beat.get('storeId')))}  {pending}  {state}", {"heartbeat": heartbeat})

    def on_ack(self, ack: Any) -> None:
        """See Watcher."""
        fields = ack if isinstance(ack, dict) else {}
        verdict = "applied" if fields.get("success") is True else f"not applied: {exact.text(fields.get('errorMessage'))}"
        self.say("ack", f"{exact.text(fields.get('correlationId'))}  {verdict}", {"ack": ack})

    def on_page(self, connection: Connection, request: dict[str, Any], page: dict[str, Any]) -> None:
        """See Watcher."""
        given = {"cursor": request["cursor"], "items": len(page["items"]), "nextCursor": page["nextCursor"]}
        columns = (
            f"{store_column(connection.store)}  {given['items']} items of {page['totalItems']}, from cursor {request['cursor'] or 'none'}"
        )
        self.say("page", columns, {"storeId": connection.store, **given})

    def on_push(self, method: str, reached: int, messages: int, store: str | None) -> None:
        """See Watcher."""
        to = (
            store_column(store) if store else f"{reached} store{'s' if reached > 1 else ''}" if reached else "nobody: no store is connected"
        )
        what = f"{method} to {to}" if messages == 1 else f"{method}, {messages:,} messages, to {to}"
        self.say("push", what.rstrip(), {"method": method, "reached": reached, "messages": messages, "storeId": store})

    def on_faults(self, faults: Faults) -> None:
        """See Watcher."""
        on = {name: value for name, value in faults.to_json().items() if value != Faults().to_json()[name]}
        self.say("faults", ", ".join(f"{name} = {value}" for name, value in on.items()) or "none", {"faults": on})


def store_column(store: str | None) -> str:
    """As wide as most stores need it."""
    return f"store {store or '?':<6}"
