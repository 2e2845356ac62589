"""Lengths of time and moments as people write them: `30m`, `2h`, `7d`, `2026-11-24 09:30`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from syncd.clock import SystemClock, iso_ms

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_LENGTH = re.compile(r"(\d{1,9}[smhdw])+", re.ASCII | re.IGNORECASE)


def read_length(text: str) -> timedelta | None:
    """`90s`, `30m`, `1h30m`, `7d`; None for anything else."""
    if not _LENGTH.fullmatch(text):
        return None
    parts = re.findall(r"(\d+)(\w)", text)
    try:
        return timedelta(seconds=sum(int(number) * _UNITS[unit.lower()] for number, unit in parts))
    except OverflowError:
        return None


class Length(click.ParamType):  # type: ignore[type-arg]
    """A length of time above zero."""

    name = "length"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """See `click.ParamType.convert`."""
        found = value if isinstance(value, timedelta) else read_length(str(value).strip())
        if not found:
            self.fail(f"{value!r} is no length of time: 90s, 30m, 2h, 1h30m or 7d", param, ctx)
        return found


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A moment, or how long it is ago; one without a zone is this PC's time."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType.convert`; the moment as ISO 8601 UTC."""
        text = str(value).strip()
        try:
            length = read_length(text)
            moment = SystemClock().now() - length if length is not None else datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a time (2026-11-24 or 2026-11-24T09:30) nor how long it is ago (2h, 7d)", param, ctx)
        return iso_ms(moment)


LENGTH, MOMENT = Length(), Moment()
