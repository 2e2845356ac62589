from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import pytest
import structlog

from syncd.config.settings import LogSettings
from syncd.log import Repeats, Threshold, set_up_logging
from tests.support.clock import HandClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Log:
    """The log as it is set up for a file in place of stdout."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self.clock = HandClock()

    def set_up(self, environ: dict[str, str] | None = None, **settings: Any) -> Threshold:
        return set_up_logging(LogSettings(**settings), self.clock, stream=self._stream, environ=environ or {})

    @property
    def text(self) -> str:
        return self._path.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def fail(text: str) -> NoReturn:
    raise RuntimeError(text)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Log]:
    """Sets logging up for a file, and takes it back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    path = tmp_path / "log"
    with path.open("w") as stream:
        yield Log(stream, path)
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_json_with_time_level_and_event_first(log_file: Log) -> None:
    log_file.set_up()
    structlog.get_logger().bind(store_id=17).info("batch_sent", rows=50)
    assert log_file.text == '{"time":"2026-11-23T10:00:00.000Z","level":"info","event":"batch_sent","store_id":17,"rows":50}\n'


def test_what_orjson_refuses_is_written_all_the_same(log_file: Log) -> None:
    log_file.set_up()
    structlog.get_logger().info("odd", half="\ud800", huge=2**70, thing=object, path=os.sep)
    assert log_file.lines[0]["huge"] == 2**70


def test_secrets_are_hidden_in_fields_texts_and_tracebacks(log_file: Log) -> None:
    log_file.set_up()
    log = structlog.get_logger()
    log.info("connecting", url="wss://hq/hub?id=s3cr3t", authorization="s3cr3t", payload={"a": "s3cr3t"})
    try:
        fail("header was Bearer s3cr3t")
    except RuntimeError:
        log.exception("failed")
    assert "s3cr3t" not in log_file.text
    assert log_file.lines[1]["level"] == "error"
    assert "RuntimeError: header was Bearer ***" in log_file.lines[1]["exception"]


def test_the_level_can_be_changed_while_loggers_are_in_use(log_file: Log) -> None:
    threshold = log_file.set_up(level="warning")
    log = structlog.get_logger().bind(a=1)
    log.info("one")
    threshold.level = "debug"
    log.debug("two")
    assert [line["event"] for line in log_file.lines] == ["two"]


def test_libraries_are_heard_from_warnings_on(log_file: Log) -> None:
    log_file.set_up(level="debug")
    logging.getLogger("websockets.client").info("chatter")
    logging.getLogger("aiohttp.client").warning("token %s", "Bearer s3cr3t")
    logging.getLogger("asyncio").error("does not fit: %d", "text")
    assert [(line["logger"], line["level"], line["event"]) for line in log_file.lines] == [
        ("aiohttp.client", "warning", "token Bearer ***"),
        ("asyncio", "error", "does not fit: %d"),
    ]


def test_lines_for_the_journal_begin_with_their_priority(log_file: Log, tmp_path: Path) -> None:
    stat = (tmp_path / "log").stat()
    log_file.set_up({"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
    log = structlog.get_logger()
    log.info("a")
    log.warning("b")
    log.error("c")
    log.critical("d")
    assert [line[:4] for line in log_file.text.splitlines()] == ["<6>{", "<4>{", "<3>{", "<2>{"]


def test_another_stream_than_the_journal_s_has_no_priorities(log_file: Log) -> None:
    log_file.set_up({"JOURNAL_STREAM": "1:1"})
    structlog.get_logger().info("a")
    assert log_file.lines[0]["event"] == "a"


def test_every_line_of_a_console_entry_has_its_priority_in_the_journal(log_file: Log, tmp_path: Path) -> None:
    stat = (tmp_path / "log").stat()
    log_file.set_up({"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}, format="console")
    try:
        fail("no")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert len(log_file.text.splitlines()) > 2
    assert all(line.startswith("<3>") for line in log_file.text.splitlines())


def test_a_terminal_gets_words_and_no_json() -> None:
    ours, theirs = pty.openpty()
    program = "from syncd.log import *; from syncd.config.settings import *; from syncd.clock import *; import structlog;"
    program += "set_up_logging(LogSettings(), SystemClock()); structlog.get_logger().info('hello', rows=5)"
    subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True, timeout=30)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "hello" in shown
    assert "{" not in shown


def test_a_reader_that_has_gone_costs_lines_and_not_the_program() -> None:
    program = "from syncd.log import *; from syncd.config.settings import *; from syncd.clock import *; import structlog;"
    program += "set_up_logging(LogSettings(), SystemClock()); input(); [structlog.get_logger().info('x') for _ in range(9)]"
    ours, theirs = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    _, errors = process.communicate(b"\n", timeout=30)
    assert (process.returncode, errors) == (0, b"")


def test_repeated_warnings_are_left_out_and_counted() -> None:
    clock = HandClock()
    repeats = Repeats(clock, limit=2)

    def said(event: str, method: str = "warning", **fields: Any) -> dict[str, Any] | None:
        try:
            return dict(repeats(None, method, {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    assert [said("lost") is not None for _ in range(5)] == [True, True, False, False, False]
    assert said("lost", "error") is None
    assert said("lost", subject="other") is not None
    assert said("found") is not None
    assert [said("lost", "info") is not None for _ in range(5)] == [True] * 5
    clock.seconds = 60
    assert said("lost") == {"event": "lost", "repeats_left_out": 4}
    assert said("lost") == {"event": "lost"}


def test_a_hub_that_invents_names_does_not_fill_the_memory() -> None:
    repeats = Repeats(HandClock())
    for number in range(5000):
        repeats(None, "warning", {"event": "unknown_method", "subject": str(number)})
    assert len(repeats._seen) == 1000
