"""`syncd devhub --push FILE`: the file's updates, to every store that connects and to all when it changes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from syncd.devhub import exact

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.commands.devhub_lines import Printer
    from syncd.devhub.server import DevHub

FILE_POLL_SECONDS = 0.5


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
                f'push file {path}{where}: {{"method": "ReceivePriceUpdate", "args": [...]}} and no more is wanted, one a line or in a list'
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
    return isinstance(value, dict) and value.keys() == {"method", "args"} and type(value["method"]) is str and type(value["args"]) is list


async def push_to_new(printer: Printer, path: Path) -> None:
    """Push to each client that connects; runs until it is cancelled."""
    while True:
        connection = await printer.connected.get()
        for method, arguments in _usable_pushes(printer, path):
            await connection.send({"type": 1, "target": method, "arguments": arguments})
            printer.on_push(method, 1, 1, connection.store)


async def push_changes(hub: DevHub, printer: Printer, path: Path) -> None:
    """Push to all whenever the file changes; runs until it is cancelled."""
    known = _stamp(path)
    while True:
        await asyncio.sleep(FILE_POLL_SECONDS)
        if (stamp := _stamp(path)) in {known, None}:
            continue
        known = stamp
        for method, arguments in _usable_pushes(printer, path):
            await hub.push(method, *arguments)


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
