"""`syncd status --watch`: the same screen again and again, with how fast a backlog goes; into a pipe, a line for each change."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from syncd.console import people_console
from syncd.status.display import LABEL, Display, plain, screen
from syncd.status.screen import Line, count, pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.status.reader import DaemonHealth

    Read = Callable[[], DaemonHealth]

LIVE_SECONDS = 0.5  # the daemon writes four times a second at most
LINE_SECONDS = 1.0
WINDOW_SECONDS = 30.0
BAR = 30  # columns
ENDING = {signal.SIGINT, signal.SIGTERM}
SIGTERM_EXIT = 128 + signal.SIGTERM


def watch(read: Read) -> int:
    """Show it until Ctrl-C, which is the way to end it and no error; the exit code is that of the last look."""
    looks = Looks(read)
    if people_console().is_terminal:
        return _live(looks)
    try:
        _lines(looks)
    except KeyboardInterrupt:
        return looks.last.exit_code if looks.last else 0


class Looks:
    """Reads the status again and again, and works out how fast rows go out.

    Attributes:
        last: what the last look gave.
        rows_a_second: over the last half minute; None until it can be told.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._sent: deque[tuple[datetime, int]] = deque()
        self.last: DaemonHealth | None = None
        self.rows_a_second: float | None = None

    def look(self) -> DaemonHealth:
        """Read it once more."""
        self.last = self._read()
        self.rows_a_second = self._rate(self.last.document or {})
        return self.last

    def _rate(self, document: dict[str, Any]) -> float | None:
        try:
            now, sent = datetime.fromisoformat(document["writtenAt"]), int(document["outbox"]["sentTotal"])
        except (KeyError, TypeError, ValueError):
            self._sent.clear()
            return None
        if self._sent and (sent < self._sent[-1][1] or now < self._sent[-1][0]):  # another store's, or another clock
            self._sent.clear()
        if not self._sent or now > self._sent[-1][0]:
            self._sent.append((now, sent))
        while (now - self._sent[0][0]).total_seconds() > WINDOW_SECONDS and len(self._sent) > 2:
            self._sent.popleft()
        seconds = (now - self._sent[0][0]).total_seconds()
        return (sent - self._sent[0][1]) / seconds if seconds > 0 else None

    def backlog(self, columns: int) -> Line | None:
        """How much of the backlog is sent, at what rate, and when it is done; None where there is none."""
        if self.last is None or self.last.code is not None or self.last.document is None:  # nobody writes it: nothing moves
            return None
        document = self.last.document
        progress = document.get("progress")
        if not isinstance(progress, dict) or progress.get("isComplete", True):
            return None
        percent = float(progress["progressPercent"])
        columns = max(5, min(BAR, columns - LABEL - 45))
        done = round(columns * percent / 100)
        bar = "#" * done + "-" * (columns - done)
        return Line(f"{'backlog':<{LABEL}}", f"[{bar}] {percent:.1f} %, {pace(document, self.rows_a_second)}")

    def line(self) -> str:
        """All of it in one line, for a pipe."""
        daemon = self.last
        assert daemon is not None
        words = [daemon.health]
        if daemon.document is not None and (outbox := daemon.document.get("outbox")):
            words.append(f"{daemon.document['state']}, {count(outbox['pending']['total'], 'row waits', 'rows wait')}")
            if self.backlog(0) is not None:
                words.append(pace(daemon.document, self.rows_a_second))
            words.append(f"{outbox['failed']:,} failed")
        return "; ".join([", ".join(words), *map(plain, daemon.reasons)])


def _live(looks: Looks) -> int:
    console = people_console()

    def shown() -> Group:
        daemon, size = looks.look(), console.size
        bar = looks.backlog(size.width)
        lines = [line for line in screen(daemon, Display(size.width, size.height - 3)) if not line.label.startswith("backlog")]
        under = [Line("", ""), *([bar] if bar else []), Line("", "Ctrl-C ends this.")]
        return Group(*(Text(f"{line.label}{line.text}", line.style, no_wrap=True, overflow="crop") for line in [*lines, *under]))

    # Taken between two pictures and never within one, where an exception could keep Rich from leaving its screen.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    with Live(shown(), console=console, screen=True, auto_refresh=False) as live:
        while (told := signal.sigtimedwait(ENDING, LIVE_SECONDS)) is None:
            live.update(shown(), refresh=True)
    if told.si_signo == signal.SIGTERM or looks.last is None:
        return SIGTERM_EXIT
    return looks.last.exit_code


def _lines(looks: Looks) -> NoReturn:
    before = None
    while True:
        looks.look()
        told = looks.line()
        if told != before:
            at = datetime.now().astimezone().isoformat(timespec="seconds")
            click.echo(f"{at} {told}")
            sys.stdout.flush()
        before = told
        time.sleep(LINE_SECONDS)  # a command of its own process: there is no loop and no clock here
