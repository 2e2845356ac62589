"""The log: one line an event on stdout, JSON for machines and colours for a terminal, without secrets, payloads or floods.

threshold = set_up_logging(settings.log, clock)
log = structlog.get_logger()
log.info("batch_sent", rows=50, milliseconds=12.5)
threshold.level = "debug"  # holds at once, for every logger there is
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog

from syncd.clock import iso_ms
from syncd.redaction import redact_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from syncd.clock import Clock
    from syncd.config.settings import LogSettings

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
JOURNAL_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""sd-daemon(3): a line that begins with `<4>` is a warning."""
REPEATS_PER_MINUTE = 5
WINDOW_SECONDS = 60.0
MOST_SUBJECTS = 1000
"""A hub may invent any number of names; the oldest is forgotten first."""


def set_up_logging(
    settings: LogSettings, clock: Clock, *, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> Threshold:
    """Send structlog's events, and the warnings of the libraries, to the stream (stdout).

    Returns:
        The threshold, to change the level while we run.
    """
    stream = stream or sys.stdout
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    threshold = Threshold(settings.level)
    in_words = structlog.dev.ConsoleRenderer(
        colors=stream.isatty() and not environ.get("NO_COLOR"), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )
    render: Processor = in_words if console else render_json
    structlog.configure(
        processors=[
            threshold,
            Repeats(clock),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Timestamp(clock),
            structlog.processors.format_exc_info,
            redaction,
            render,
            *([journal_priority] if is_journal(stream, environ) else []),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),  # the threshold decides, so that it can change
        logger_factory=lambda *_: Output(stream),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[FromLibraries()], level=logging.WARNING, force=True)
    return threshold


class Threshold:
    """Drops what is below the level."""

    def __init__(self, level: str) -> None:
        self.level = level

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """See `structlog.typing.Processor`."""
        if LEVELS.get(method, LEVELS["error"]) < LEVELS[self.level]:
            raise structlog.DropEvent
        return event


class Repeats:
    """Lets a warning or worse through a few times a minute for each event and `subject`; the next one tells how many it left out.

    Args:
        clock: its monotonic time counts.
        limit: how many a minute.
    """

    def __init__(self, clock: Clock, limit: int = REPEATS_PER_MINUTE) -> None:
        self._clock = clock
        self._limit = limit
        self._seen: dict[tuple[str, str], _Window] = {}

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """See `structlog.typing.Processor`."""
        if LEVELS.get(method, LEVELS["error"]) < LEVELS["warning"]:
            return event
        key = (str(event.get("event")), str(event.get("subject", "")))
        now = self._clock.monotonic()
        window = self._seen.pop(key, None)
        left_out = 0
        if window is None or now - window.began >= WINDOW_SECONDS:
            left_out = window.left_out if window else 0
            window = _Window(now)
        self._seen[key] = window  # the most recent is the last
        if len(self._seen) > MOST_SUBJECTS:
            del self._seen[next(iter(self._seen))]
        window.passed += 1
        if window.passed > self._limit:
            window.left_out += 1
            raise structlog.DropEvent
        if left_out:
            event["repeats_left_out"] = left_out
        return event


class _Window:
    __slots__ = ("began", "left_out", "passed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.passed = 0
        self.left_out = 0


class Timestamp:
    """Adds `time`, UTC with milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """See `structlog.typing.Processor`."""
        event["time"] = iso_ms(self._clock.now())
        return event


def redaction(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take out what must not be seen: by its name, and by how it looks in any text, tracebacks too."""
    return {name: redact_value(name, value) for name, value in event.items()}


def render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line; time, level and event come first."""
    first = {name: event.pop(name) for name in ("time", "level", "event") if name in event}
    line = {**first, **event}
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a surrogate pair, or a number beyond 64 bits: HQ may send both
        return json.dumps(line, default=str)


def journal_priority(_: WrappedLogger, method: str, line: Any) -> str:
    """Prefix each line with its priority, which journald takes off again."""
    prefix = f"<{JOURNAL_PRIORITIES.get(method, JOURNAL_PRIORITIES['error'])}>"
    return "\n".join(prefix + part for part in str(line).splitlines())


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the stream is the one that systemd connected to the journal (systemd.exec(5), `JOURNAL_STREAM`)."""
    if not environ.get("JOURNAL_STREAM"):
        return False
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ["JOURNAL_STREAM"] == f"{stat.st_dev}:{stat.st_ino}"


class Output:
    """Where lines end. A reader that has gone, or a full disk behind stdout, costs the line and nothing else.

    Lines go to the descriptor itself: what Python buffers would fail once more, and loudly, when the interpreter ends.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line."""
        rest = memoryview(line.encode("utf-8", "backslashreplace") + b"\n")
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest) :]

    debug = info = warning = error = critical = fatal = log = msg


class FromLibraries(logging.Handler):
    """Hands what aiohttp, websockets, pysignalr and asyncio log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit its format
            text = str(record.msg)
        structlog.get_logger().log(max(record.levelno, logging.WARNING), text, logger=record.name, exc_info=record.exc_info)
