"""What `syncd devhub` does: runs a hub and shows in plain lines what arrives."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from syncd.commands.options import FILE
from syncd.devhub import exact
from syncd.devhub.faults import Faults
from syncd.devhub.hub import Watcher
from syncd.devhub.server import HOST, DevHub
from syncd.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from syncd.devhub.connection import Connection
    from syncd.devhub.headquarters import Item

FILE_POLL_SECONDS = 0.5


@click.command("devhub")
@click.option("--port", type=click.IntRange(0, 65_535), default=5199, show_default=True, help="0: any that is free.")
@click.option(
    "--push",
    "push_file",
    type=FILE,
    metavar="FILE",
    help="JSON lines to push to every store that connects, and to all when the file changes.",
)
@click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE", help="Let something go wrong; more than once for more.")
@click.option("--json", "json_output", is_flag=True, help="One JSON line for everything that happens.")
def command(port: int, push_file: Path | None, faults: tuple[str, ...], *, json_output: bool) -> int:
    """Run a small HQ on this machine, for development and tests. It listens on 127.0.0.1 only.

    \b
    Examples: syncd devhub --port 5199
              syncd devhub --fault refuse-every=10 --fault delay-ms=200
    """
    try:
        return asyncio.run(run_devhub(port=port, push_file=push_file, faults=list(faults), json_output=json_output))
    except ValueError as error:  # a fault or a push file that nobody can read
        raise click.UsageError(str(error)) from error


async def run_devhub(*, port: int, push_file: Path | None, faults: list[str], json_output: bool) -> int:
    """Runs a development hub until SIGINT or SIGTERM; the exit code.

    Args:
        port: of the loopback interface; 0 for any free one.
        push_file: pushed to every store when it connects, and to all whenever the file changes: `{"method": "...", "args": [...]}` a line,
            or a JSON list of these.
        faults: each `name=value`, as `refuse-every=10`.
        json_output: one JSON object a line instead of columns.

    Raises:
        ValueError: an unknown fault, or a value that it cannot have, or a push file that cannot be used.
        HubError: the port is taken or may not be used.
    """
    wanted = Faults()
    for fault in faults:
        wanted.set(fault)
    if push_file is not None:
        read_pushes(push_file)
    printer = Printer(json_output=json_output)
    hub = DevHub(port=port, faults=wanted, watcher=printer)
    try:
        await hub.start()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise HubError(f"port {port} of {HOST} {'is taken by another program' if taken else f'cannot be used: {error}'}") from error
    try:
        printer.ready(hub.url)
        await _serve(hub, printer, push_file)
    finally:
        await hub.stop()
    printer.tally(hub.state())
    return 0


def read_pushes(path: Path) -> list[tuple[str, list[object]]]:
    """The client methods to be invoked, with their arguments.

    Raises:
        ValueError: the file cannot be read, or is not what it should be.
    """
    try:
        content = path.read_bytes()
        pushes = _whole_document(content) or [(f" line {number}", exact.loads(line)) for number, line in _lines(content)]
    except (OSError, ValueError) as error:
        raise ValueError(f"push file {path}: {error}") from error
    for where, push in pushes:
        if not _is_push(push):
            raise ValueError(
                f'push file {path}{where}: {{"method": "ReceivePriceUpdate", "args": [...]}} is wanted, one a line or in a list'
            )
    return [(push["method"], push["args"]) for _, push in pushes]


def _whole_document(content: bytes) -> list[tuple[str, Any]] | None:
    """A file that is one JSON document: an object over several lines, or a list; None where it is none."""
    try:
        document = exact.loads(content)
    except ValueError:
        return None
    return [("", one) for one in (document if isinstance(document, list) else [document])]


def _lines(content: bytes) -> list[tuple[int, bytes]]:
    return [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]


def _is_push(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("method"), str) and isinstance(value.get("args"), list)


class Printer(Watcher):
    """A line for everything that happens.

    Attributes:
        connected: the clients that have come and were not pushed to yet.
    """

    def __init__(self, *, json_output: bool) -> None:
        self.connected: asyncio.Queue[Connection] = asyncio.Queue()
        self._json_output = json_output

    def ready(self, url: str) -> None:
        """The first line, which programs wait for."""
        if self._json_output:
            self.say("ready", "", {"url": url})
        else:
            click.echo(f"Development hub ready: {url}")
            click.echo(f'Point a store at it with [hub] url = "{url}", or SYNCD_HUB__URL={url}. Ctrl-C stops it.')

    def tally(self, state: dict[str, object]) -> None:
        """The last line."""
        names = ("unique", "duplicates", "refused", "heartbeats", "acksOk", "acksFailed", "connects")
        counts = {name: state[name] for name in names}
        if self._json_output:
            self.say("stopped", "", counts)
        else:
            click.echo(
                "Stopped: {unique} items, {duplicates} sent twice, {refused} refused; {heartbeats} heartbeats; "
                "{acksOk} updates acknowledged, {acksFailed} not; {connects} connections.".format_map(counts)
            )

    def say(self, event: str, columns: str, details: dict[str, Any]) -> None:
        """One line: the columns for a person, or the details for a program."""
        now = datetime.now(UTC)
        if self._json_output:
            line = exact.dumps({"time": now.isoformat(timespec="milliseconds"), "event": event, **details}).decode()
        else:
            line = f"{now.astimezone():%H:%M:%S}  {event:<10}  {columns}".rstrip()
        click.echo(line)

    def on_connect(self, connection: Connection) -> None:
        """See Watcher."""
        self.connected.put_nowait(connection)
        self.say("connect", _store(connection.store), {"storeId": connection.store, "connectionId": connection.connection_id})

    def on_disconnect(self, connection: Connection) -> None:
        """See Watcher."""
        self.say("leave", _store(connection.store), {"storeId": connection.store, "connectionId": connection.connection_id})

    def on_item(self, item: Item, ack: dict[str, object]) -> None:
        """See Watcher."""
        verdict = "" if ack["success"] else f"  refused: {ack['errorMessage']}"
        what = f"{item['operation']:<6}  {item['entityType']}/{exact.text(item['entityId'])}"
        self.say("item", f"{_store(exact.text(item['storeId']))}  {what:<32}  {item['payload']}{verdict}", {"item": item, "ack": ack})

    def on_heartbeat(self, heartbeat: Any) -> None:
        """See Watcher."""
        beat = heartbeat if isinstance(heartbeat, dict) else {}
        pending = f"{exact.text(beat.get('pendingSyncCount')) or '?'} pending"
        state = exact.text(beat.get("state"))
        self.say("heartbeat", f"{_store(exact.text(beat.get('storeId')))}  {pending}  {state}", {"heartbeat": heartbeat})

    def on_ack(self, ack: Any) -> None:
        """See Watcher."""
        fields = ack if isinstance(ack, dict) else {}
        verdict = "applied" if fields.get("success") is True else f"not applied: {exact.text(fields.get('errorMessage'))}"
        self.say("ack", f"{exact.text(fields.get('correlationId'))}  {verdict}", {"ack": ack})


def _store(store: str | None) -> str:
    return f"store {store or '?':<6}"


async def _serve(hub: DevHub, printer: Printer, push_file: Path | None) -> None:
    """Until a signal, or until the hub is stopped by its control."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    work: list[Coroutine[Any, Any, object]] = [asked.wait(), hub.stopped.wait()]
    if push_file is not None:
        work += [_push_to_new(printer, push_file), _push_changes(hub, printer, push_file)]
    waiting = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _push_to_new(printer: Printer, path: Path) -> None:
    while True:
        connection = await printer.connected.get()
        for method, arguments in _usable_pushes(printer, path):
            await connection.send({"type": 1, "target": method, "arguments": arguments})
            printer.say("push", f"{_store(connection.store)}  {method}", {"method": method, "storeId": connection.store})


async def _push_changes(hub: DevHub, printer: Printer, path: Path) -> None:
    known = _stamp(path)
    while True:
        await asyncio.sleep(FILE_POLL_SECONDS)
        if (stamp := _stamp(path)) in {known, None}:
            continue
        known = stamp
        for method, arguments in _usable_pushes(printer, path):
            reached = await hub.push(method, *arguments)
            printer.say("push", f"{method} to {reached} stores", {"method": method, "reached": reached})


def _usable_pushes(printer: Printer, path: Path) -> list[tuple[str, list[object]]]:
    """The file's pushes; none while somebody is still writing it."""
    try:
        return read_pushes(path)
    except ValueError as error:
        printer.say("push", f"not done: {error}", {"error": str(error)})
        return []


def _stamp(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None
