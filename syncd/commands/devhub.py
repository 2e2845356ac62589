"""`syncd devhub`: runs a small HQ on this machine and prints a line for everything that arrives."""

from __future__ import annotations

import asyncio
import errno
import signal
from typing import TYPE_CHECKING, Any

import click

from syncd.commands.devhub_lines import Printer
from syncd.commands.devhub_push import push_changes, push_to_new, read_pushes
from syncd.commands.options import FILE
from syncd.devhub.control import ENDPOINTS
from syncd.devhub.faults import MEANINGS, Faults
from syncd.devhub.server import HOST, DevHub
from syncd.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path


_FAULTS = "".join(f"  {name.replace('_', '-'):<21} {meaning}\n" for name, meaning in MEANINGS.items())
_CALLS = "".join(f"  {call}\n      {meaning}\n" for call, meaning in ENDPOINTS.items())


@click.command(
    "devhub",
    epilog=f"\b\nFaults, one in so many or for these entities (7,8):\n{_FAULTS}\n\b\nControl, over HTTP on the same port:\n{_CALLS}",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=5199, show_default=True, help="0: any that is free.")
@click.option(
    "--push",
    "push_file",
    type=FILE,
    metavar="FILE",
    help='Lines of {"method": "ReceivePriceUpdate", "args": [...]}, for each store that connects and for all when the file changes.',
)
@click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE", help="Let something go wrong; may be given again.")
@click.option("--json", "json_output", is_flag=True, help="For programs: one JSON object a line; the first has the url.")
def command(port: int, push_file: Path | None, faults: tuple[str, ...], *, json_output: bool) -> int:
    """Run a small HQ on this machine, for development and tests. It listens on 127.0.0.1 only.

    \b
    Examples: syncd devhub --port 5199
              syncd devhub --port 0 --json
              syncd devhub --fault refuse-every=10 --fault delay-ms=200
              curl -X PUT http://127.0.0.1:5199/control/faults -d '{"refuseEvery": 10}'
    """
    try:
        return asyncio.run(run_devhub(port=port, push_file=push_file, faults=list(faults), json_output=json_output))
    except ValueError as error:  # of a fault or a push file
        raise click.UsageError(str(error)) from error


async def run_devhub(*, port: int, push_file: Path | None, faults: list[str], json_output: bool, fd: int | None = None) -> int:
    """Runs a development hub until SIGINT or SIGTERM; the exit code.

    Args:
        port: of the loopback interface; 0 for any free one.
        push_file: pushed to every store when it connects, and to all whenever the file changes: `{"method": "...", "args": [...]}` a line,
            or a JSON list of these.
        faults: each `name=value`, as `refuse-every=10`.
        json_output: one JSON object a line instead of columns.
        fd: where the lines go; None for standard output.

    Raises:
        ValueError: an unknown fault, or a value that it cannot have, or a push file that cannot be used.
        HubError: the port is taken or may not be used.
    """
    wanted = Faults()
    for fault in faults:
        wanted.set(fault)
    if push_file is not None:
        read_pushes(push_file)
    printer = Printer(json_output=json_output, fd=fd)
    hub = DevHub(port=port, faults=wanted, watcher=printer)
    try:
        await _start(hub, port)
        await _serve(hub, printer, push_file)
        await hub.stop()
        printer.tally(hub.state())
    finally:
        await hub.stop()
        printer.close()
    return 0


async def _start(hub: DevHub, port: int) -> None:
    try:
        await hub.start()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise HubError(f"port {port} of {HOST} {'is taken by another program' if taken else f'cannot be used: {error}'}") from error


async def _serve(hub: DevHub, printer: Printer, push_file: Path | None) -> None:
    """Until a signal, or until the hub is stopped by its control."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    printer.ready(hub.url)  # whoever reads it may end us from now on
    work: list[Coroutine[Any, Any, object]] = [asked.wait(), hub.stopped.wait()]
    if push_file is not None:
        work += [push_to_new(printer, push_file), push_changes(hub, printer, push_file)]
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
