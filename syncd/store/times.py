"""Reads the times that tills really write, and writes the two forms that we use."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIME = re.compile(
    r"""\s*(?P<date>\d{4}-\d{2}-\d{2})
        (?:[T ](?P<clock>\d{2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d+))?)?
        \s*(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?\s*""",
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z", re.ASCII)
"""As .NET writes nearly all of them."""
_OUR_FORMS = re.compile(r"(?:\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z(?:\n|\Z))+", re.ASCII)  # a line each
_SHAPES = {b"0000-00-00T00:00:00.000Z", b"0000-00-00T00:00:00.0000000Z"}
"""What the wire's form is for nearly all that tills write, with each digit as a 0."""
_ANY_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
MAX_OFFSET_HOURS = 14  # as .NET's DateTimeOffset has it
TICK_DIGITS = 7  # .NET's DateTime counts 100 ns; the finest that anybody here writes


def parse_time(text: str) -> tuple[datetime, str] | None:
    """Read a time as .NET, JavaScript, Python or SQLite wrote it; one without a zone is UTC (contract, section 1).

    Returns:
        The moment in whole seconds (UTC) and the digits of its fraction as written, or None where nobody can read it.
    """
    if _is_our_form(text):  # nearly all are: SQLite's default wrote them
        try:
            return datetime.fromisoformat(text).replace(microsecond=0), text[20:23]
        except ValueError:
            return None
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    zone = match["zone"] or "Z"
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{match['clock'] or '00:00:00'}")
        if zone not in "Zz":
            hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
            if hours > MAX_OFFSET_HOURS or minutes > 59:
                return None
            offset = timedelta(hours=hours, minutes=minutes)
            moment = moment - offset if zone[0] == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC), match["fraction"] or ""


def exact_moment(text: str) -> datetime | None:
    """Read a time to the microsecond; None where nobody can."""
    parsed = parse_time(text)
    return parsed[0].replace(microsecond=int(parsed[1][:6].ljust(6, "0"))) if parsed else None


def _is_our_form(text: str) -> bool:
    """`2026-11-23T10:00:00.123Z`, as far as its length and marks tell."""
    return len(text) == 24 and text[10] == "T" and text[19] == "." and text[23] == "Z" and text.isascii() and text[20:23].isdigit()


def sortable(text: str) -> str | None:
    """ISO 8601 UTC text of one width (seven digits of fraction), so that it sorts; None where nobody can read it."""
    if _PLAIN.fullmatch(text):
        try:
            datetime.fromisoformat(text[:19])
        except ValueError:
            return None
        return f"{text[:19]}.{text[20:-1].ljust(TICK_DIGITS, '0')}Z"
    parsed = parse_time(text)
    if parsed is None:
        return None
    moment, fraction = parsed
    return f"{_to_the_second(moment)}.{fraction[:TICK_DIGITS].ljust(TICK_DIGITS, '0')}Z"


def for_the_wire(text: str) -> str | None:
    """ISO 8601 UTC with the fraction as it was written (at least milliseconds); None where nobody can read it."""
    found = moment_for_the_wire(text)
    return None if found is None else found[1]


def moment_for_the_wire(text: str) -> tuple[datetime, str] | None:
    """The moment in whole seconds (UTC) and its form on the wire, read once; None where nobody can read it."""
    parsed = parse_time(text)
    if parsed is None:
        return None
    moment, fraction = parsed
    if _is_our_form(text):
        return moment, text
    return moment, f"{_to_the_second(moment)}.{fraction[:TICK_DIGITS].ljust(3, '0')}Z"


def wire_forms(texts: Sequence[object]) -> Sequence[str] | None:
    """`for_the_wire` of many texts; None where one of them cannot be read. Nearly always all are in our form, which is told at once."""
    if not all(type(text) is str for text in texts):
        return None
    written: Sequence[str] = texts  # type: ignore[assignment] # as was just seen
    joined = "\n".join(written)
    if len(joined) == 25 * len(written) - 1 and _OUR_FORMS.fullmatch(joined):
        if all(parse_time(second + ".000Z") for second in {text[:19] for text in written}):
            return written
        return None
    forms = [form for text in written if (form := for_the_wire(text)) is not None]
    return forms if len(forms) == len(written) else None


def wire_lines(texts: bytes) -> list[str] | None:
    """The lines of a text, where each is a moment on the wire's form, with milliseconds or with ticks; else None."""
    if not _SHAPES.issuperset(texts.translate(_ANY_DIGIT).split(b"\n")):
        return None
    lines = texts.decode().split("\n")
    try:
        for second in {line[:19] for line in lines}:
            datetime.fromisoformat(second)
    except ValueError:
        return None
    return lines


def _to_the_second(moment: datetime) -> str:
    """Not strftime: it writes .NET's `DateTime.MinValue` as year 1, not as 0001, which would not sort."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")
