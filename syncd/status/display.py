"""Lines on a terminal of any size, or into a pipe: wrapped, in colours only where somebody sees them, and on one screen."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from syncd.status.screen import Line, facts, reasons, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from syncd.status.reader import DaemonHealth

LABEL = 9  # columns of a fact's label
INDENT = 5  # of a reason
CODES = {"green": "\x1b[32m", "yellow": "\x1b[33m", "red": "\x1b[31m", "bold": "\x1b[1m"}
OFF = "\x1b[0m"
LONGEST_REASON = 3  # lines, on a terminal: what is cut is in `syncd status --json`
NARROWEST = 20


class Display(NamedTuple):
    """What lines are shown on.

    Attributes:
        columns: None where a line may be as long as it likes.
        rows: None where there may be as many as there are.
    """

    columns: int | None = None
    rows: int | None = None
    coloured: bool = False


def display_of_stdout(environ: Mapping[str, str] = os.environ) -> Display:
    """Standard output: a terminal has a size, a pipe has not, unless `COLUMNS` says so."""
    columns = int(environ["COLUMNS"]) if environ.get("COLUMNS", "").isdigit() else None
    if not sys.stdout.isatty():
        return Display(columns)
    size = os.get_terminal_size(sys.stdout.fileno())
    coloured = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Display(columns or size.columns or 80, size.lines or 24, coloured)


def screen(daemon: DaemonHealth, display: Display, now: datetime | None = None) -> list[Line]:
    """The whole answer as lines that fit: no reason is left out without a word, and the facts are never pushed out."""
    head = list(_wrapped(verdict(daemon), display, 0))
    known = [line for fact in facts(daemon, now) for line in _wrapped(fact, display, LABEL)]
    left = None if display.rows is None else max(4, display.rows - len(head) - len(known) - 3)  # blank lines, and the shell's prompt
    shown: list[Line] = []
    found = reasons(daemon)
    for number, (reason, next_step) in enumerate(found):
        block = list(_cut(_wrapped(Line(f"{number + 1:>3}", reason, "bold"), display, INDENT), display))
        if next_step:
            block += _wrapped(Line("  ->", next_step), display, INDENT)
        rest = len(found) - number
        if left is not None and shown and len(shown) + len(block) + (rest > 1) > left:
            shown.append(Line("", f"{'':{INDENT}}and {rest} more: syncd status --json"))
            break
        shown += block
    return [*head, *shown, *([Line("", "")] if known else []), *known]


def paint(line: Line, display: Display) -> str:
    """A line of `screen` as text."""
    text = f"{line.label}{line.text}".rstrip()
    return f"{CODES[line.style]}{text}{OFF}" if display.coloured and line.style and text else text


def _wrapped(line: Line, display: Display, indent: int) -> Iterator[Line]:
    """The line in pieces that fit; a long word, such as an address, is cut and not lost."""
    text = plain(line.text)
    width = sys.maxsize if display.columns is None else max(NARROWEST, display.columns - indent)
    for number, piece in enumerate(textwrap.wrap(text, width, break_on_hyphens=False) or [""]):
        yield Line(f"{line.label if number == 0 else '':<{indent}}", piece, line.style)


def _cut(lines: Iterator[Line], display: Display) -> Iterator[Line]:
    for number, line in enumerate(lines):
        if display.rows is not None and number == LONGEST_REASON:
            yield Line(line.label, "…", line.style)
            return
        yield line


def plain(text: str) -> str:
    """Others' words without what a terminal would obey."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
