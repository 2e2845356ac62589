"""`syncd run` as a program that is expected to end by itself, and a service manager that listens to it."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.store import Store

PATIENCE_SECONDS = 30.0
WORK_SECONDS = 1.0
WAIT_SECONDS = 4.5  # less than SQLite's busy timeout


@dataclass(frozen=True)
class Ended:
    """How it ended.

    Attributes:
        text: all that it wrote, on both of its streams.
        at_once: it took less than a second of work, and waited for nothing. (How long a second of work takes is the machine's affair.)
    """

    code: int
    text: str
    at_once: bool


async def run_to_its_end(store: Store, **environ: str) -> Ended:
    """Start it as an operator would, and wait until it gives up."""
    began, worked = time.monotonic(), children_worked_seconds()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", "run", "--config", str(store.config_path),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("SYNCD_")}, **environ},
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        raise AssertionError(f"it did not end by itself:\n{output.decode()}") from None
    assert process.returncode is not None
    at_once = children_worked_seconds() - worked < WORK_SECONDS and time.monotonic() - began < WAIT_SECONDS
    return Ended(process.returncode, output.decode(), at_once)


def children_worked_seconds() -> float:
    """Processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def of_process(pid: int, what: str) -> bytes:
    """A file of /proc of that process."""
    return Path(f"/proc/{pid}/{what}").read_bytes()


class ServiceManager:
    """Hears what is sent to `NOTIFY_SOCKET`."""

    def __init__(self, path: Path) -> None:
        self.environ = {"NOTIFY_SOCKET": str(path)}
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def lines(self) -> list[str]:
        """Every assignment so far."""
        while True:
            try:
                self.heard += self._socket.recv(65_536).decode().split("\n")
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@contextmanager
def service_manager(folder: Path) -> Iterator[ServiceManager]:
    """A service manager with its socket in this folder."""
    manager = ServiceManager(folder / "notify")
    try:
        yield manager
    finally:
        manager.close()
