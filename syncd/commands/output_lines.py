"""Lines on standard output that hold up nobody: a thread writes them, however slow, full or gone their reader is."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WAITING_LINES = 10_000
"""Beyond these a line is left out, and counted: a reader that slow is none."""
FLUSH_SECONDS = 2.0
"""For what still waits at the end; a reader that does not read must not keep the program alive."""


class OutputLines:
    """Takes lines at once and writes them in a thread.

    Where the output cannot be written any more (its reader has gone, the disk is full), that is said once on stderr, and
    the lines after it are dropped. A program without a standard output writes nothing.

    Args:
        fd: the file descriptor; None for standard output.
        left_out: the line that stands for so many that were left out.
    """

    def __init__(self, left_out: Callable[[int], str], fd: int | None = None) -> None:
        self._fd = fd if fd is not None else _standard_output()
        self._left_out = left_out
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        self._done = self._fd is None
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        if not self._done:
            self._thread.start()

    def write(self, line: str) -> None:
        """Take a line; its line feed is added."""
        with self._changed:
            if self._done:
                return
            if len(self._waiting) >= MAX_WAITING_LINES:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, for two seconds at most; nothing is taken afterwards."""
        with self._changed:
            was_open = not self._done
            self._done = True
            self._changed.notify()
        if was_open:
            self._thread.join(FLUSH_SECONDS)

    def _run(self) -> None:
        try:
            while (text := self._next()) is not None:
                self._write_all(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            with self._changed:
                self._done = True
                self._waiting.clear()
            with contextlib.suppress(OSError):
                click.echo(f"syncd: nothing more is printed, since standard output cannot be written: {error.strerror}", err=True)

    def _next(self) -> str | None:
        """Everything that waits, as one text; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._done)
            lines = list(self._waiting)
            self._waiting.clear()
            if self._dropped:
                lines.append(self._left_out(self._dropped))
                self._dropped = 0
        return "".join(f"{line}\n" for line in lines) if lines else None

    def _write_all(self, data: bytes) -> None:
        assert self._fd is not None
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # whoever shares the pipe has made it non-blocking
                select.select([], [self._fd], [])


def _standard_output() -> int | None:
    return None if sys.stdout is None else sys.stdout.fileno()
