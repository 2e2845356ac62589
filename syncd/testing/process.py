"""A command of syncd's as a child process, and waiting for what it does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_SECONDS = 60.0
"""A busy build server is slow; a test that passes never waits that long."""
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], what: str, timeout_seconds: float = PATIENCE_SECONDS) -> Found:
    """What the condition gives, as soon as that is true.

    Raises:
        AssertionError: it was not in time; `what` says what was waited for.
    """
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout_seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:g} s in vain: {what}")
        time.sleep(POLL_SECONDS)
    return found


class Process:
    """`syncd` with some arguments, from `start` to `stop`.

    Args:
        log: where its output goes, anew with each start.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process.

        Raises:
            AssertionError: it has ended.
        """
        if self._process is None or self.exit_code is not None:
            raise AssertionError(f"syncd is not running{'' if self.exit_code is None else f'; it ended with {self.exit_code}:'}")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Of one that has ended by itself."""
        return None if self._process is None else self._process.poll()

    def start(self, *arguments: str) -> None:
        """Start it, with none of this environment's settings."""
        assert self._process is None, "it runs already"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "NOTIFY_SOCKET", "WATCHDOG_"))}
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "syncd", *arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)  # noqa: S603

    def stop(self) -> None:
        """Ask it to end, and wait for that; kill it where it does not."""
        self._end("terminate")

    def kill(self) -> None:
        """Pull the plug."""
        self._end("kill")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:] if self.log.exists() else ""

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            getattr(process, how)()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
