"""`syncd status --watch`, on a terminal and into a pipe."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import sys
import termios
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from syncd.commands.status import command
from syncd.commands.status_watch import Looks
from syncd.status.file import write_status
from syncd.status.progress import Progress
from syncd.status.reader import read_health
from syncd.status.report import OutboxError, Report
from syncd.status.snapshot import snapshot
from tests.support.clock import BEGINNING
from tests.support.settings import clean_environment, make_settings  # noqa: F401  (a fixture)
from tests.support.store import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("clean_environment")

CURSOR_OR_COLOUR = re.compile(rb"\x1b")


def amid_a_backlog(sent: int) -> Report:
    report = Report(store_id=17, hub_url="https://hq.example.com/hubs/sync", started_at=BEGINNING)
    report.state, report.connection.state, report.connection.last_connected_at = "syncing", "connected", BEGINNING
    report.outbox.sent_total, report.outbox.pending[3] = sent, 10_000 - sent
    report.progress = Progress(10_000, sent, 0, None, "Receipt 7")
    report.outbox.recent_errors.append(OutboxError(BEGINNING, "Receipt", "R-7", "c-1", "no such product", final=False))
    return report


def write(folder: Path, report: Report, at: datetime | None = None) -> Path:
    path = folder / "status.json"
    write_status(path, snapshot(report, make_settings(folder), at or datetime.now(UTC)))
    return path


class Watched:
    """`syncd status --watch` as a process.

    Attributes:
        shown: all that it wrote.
    """

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self.process = process
        self.shown = b""
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def read(self) -> bytes:
        """What it has written so far."""
        try:
            while part := os.read(self._descriptor, 65_536):
                self.shown += part
        except (BlockingIOError, OSError):  # a terminal that nobody writes to any more
            pass
        return self.shown

    def shows(self, *words: str) -> bool:
        """Whether all of these are there."""
        return all(word.encode() in self.read() for word in words)

    async def ended_by(self, number: signal.Signals) -> int:
        """End it, and read what it writes meanwhile; a terminal that nobody reads keeps it waiting."""
        self.process.send_signal(number)
        await until(lambda: (self.read(), self.process.returncode is not None)[1], "it ends")
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def watched(file: Path, *, on_a_terminal: bool, **environ: str) -> AsyncIterator[Watched]:
    ours, theirs = os.openpty() if on_a_terminal else os.pipe()
    if on_a_terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", "status", "--watch", "--file", str(file), stdin=asyncio.subprocess.DEVNULL, stdout=theirs,
        env={**os.environ, "COLUMNS": "", "LINES": "", "NO_COLOR": "", "TERM": "xterm", **environ},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Watched(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)


def test_the_rate_is_that_of_the_last_half_minute_and_the_end_follows_from_it(tmp_path: Path) -> None:
    def look(seconds: float, sent: int, looks: Looks) -> None:
        write(tmp_path, amid_a_backlog(sent), BEGINNING + timedelta(seconds=seconds))
        looks.look()

    looks = Looks(lambda: read_health(tmp_path / "status.json", BEGINNING + timedelta(seconds=55)))
    look(0, 1000, looks)
    assert looks.rows_a_second is None
    assert "done in unknown time" in looks.line()
    look(10, 2000, looks)
    assert looks.rows_a_second == 100
    bar = looks.backlog(80)
    assert bar is not None
    assert bar.text == f"[{'#' * 5}{'-' * 21}] 20.0 %, 100 rows/s, done in 00:01:20"
    assert len(bar.label) + len(bar.text) <= 80
    look(50, 2000, looks)
    look(51, 2000, looks)
    assert "nothing moves" in looks.line()
    look(52, 10, looks)  # another store's file
    assert looks.rows_a_second is None


async def test_on_a_terminal_it_is_one_screen_with_a_bar_and_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    file = write(tmp_path, amid_a_backlog(5000))
    async with watched(file, on_a_terminal=True) as watch:
        await until(lambda: watch.shows("50.0 %", "5,000 rows wait", "no such product", "Ctrl-C ends this."), "it is shown")
        write(tmp_path, amid_a_backlog(7500))
        await until(lambda: watch.shows("75.0 %"), "it follows")
        file.unlink()
        await until(lambda: watch.shows("There is no status (missing)", "systemctl start syncd"), "it says that the file has gone")
        write(tmp_path, amid_a_backlog(9900), datetime.now(UTC) - timedelta(hours=1))
        await until(lambda: watch.shows("Nobody writes the status any more"), "it says that the file is old")
        write(tmp_path, amid_a_backlog(9900))
        await until(lambda: watch.shows("99.0 %"), "it is well again")
        assert await watch.ended_by(signal.SIGINT) == 0
        assert b"Traceback" not in watch.shown
        assert b"\x1b[?1049h" in watch.shown  # the other screen,
        assert watch.shown.rindex(b"\x1b[?1049l") > watch.shown.rindex(b"99.0 %")  # and back
        assert watch.shown.rindex(b"\x1b[?25h") > watch.shown.rindex(b"\x1b[?25l")  # with its cursor


async def test_told_to_end_it_leaves_the_terminal_as_it_was_and_without_colour_it_has_none(tmp_path: Path) -> None:
    report = amid_a_backlog(5000)
    report.outbox.failed = 1
    async with watched(write(tmp_path, report), on_a_terminal=True, NO_COLOR="1") as watch:
        await until(lambda: watch.shows("50.0 %", "1 row has failed"), "it is shown")
        assert await watch.ended_by(signal.SIGTERM) == 128 + signal.SIGTERM
        assert b"\x1b[?1049l" in watch.shown
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", watch.shown)


async def test_into_a_pipe_there_is_a_line_for_each_change_and_no_code_for_a_terminal(tmp_path: Path) -> None:
    file = write(tmp_path, amid_a_backlog(5000))
    async with watched(file, on_a_terminal=False) as watch:
        await until(lambda: watch.shows("healthy, syncing, 5,000 rows wait"), "it is told")
        report = amid_a_backlog(6000)
        report.connection.auth_rejected = True
        write(tmp_path, report)
        await until(lambda: watch.shows("degraded, syncing, 4,000 rows wait", "HQ does not accept our token"), "the change is told")
        file.write_text("{")
        await until(lambda: watch.shows("missing; "), "a file that is none is told")
        write(tmp_path, report)
        await until(lambda: watch.read().count(b"4,000 rows wait") >= 2, "it is well again")
        assert await watch.ended_by(signal.SIGINT) == 1
        assert not CURSOR_OR_COLOUR.search(watch.shown)
        lines = watch.shown.decode().splitlines()
        assert all(re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}[+-]\d{2}:\d{2} ", line) for line in lines)
        assert len(lines) < 20


async def test_a_reader_that_leaves_ends_it_without_a_word(tmp_path: Path) -> None:
    file = write(tmp_path, amid_a_backlog(5000))
    line = f"{sys.executable} -m syncd status --watch --file {file} | head -n 1"
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)

    async def first() -> Any:
        assert process.stdout is not None
        return await process.stdout.readline()

    assert b"healthy" in await first()
    numbers = iter(range(6000, 9999))

    def changes() -> bool:
        write(tmp_path, amid_a_backlog(next(numbers)))
        return process.returncode is not None

    await until(changes, "the next line finds nobody")
    assert process.stderr is not None
    assert await process.stderr.read() == b""


def test_the_two_forms_exclude_each_other() -> None:
    done = CliRunner().invoke(command, ["--json", "--watch"])
    assert done.exit_code != 0
    assert "--json and --watch exclude each other" in done.output
