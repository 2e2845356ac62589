"""JSON in which numbers keep the text they were written with: `12.50` stays `12.50`, on the way in and out again."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson

MAX_DEPTH = 250
"""Lists and objects in each other; a few more are read than can be written."""


class Verbatim(str):
    """A number that a float or a 64-bit integer would change, as it was written."""

    __slots__ = ()


def loads(data: bytes) -> Any:
    """Parses strict JSON.

    Raises:
        ValueError: not JSON; `NaN`, half of a surrogate pair and bytes that are not UTF-8 included.
    """
    orjson.loads(data)  # the strict judge; its numbers are floats, hence the second reading
    try:
        value = json.loads(data, parse_float=Verbatim, parse_int=_integer)
        if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
            dumps([[[[value]]]])  # what cannot be said again, within another message, is not taken
    except (RecursionError, TypeError) as error:
        raise ValueError("JSON nested too deeply") from error
    return value


def dumps(value: object) -> bytes:
    """Encodes, a `Verbatim` as it was read, a `Decimal` with all its digits."""
    return orjson.dumps(value, default=_number, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def text(value: object) -> str:
    """An identifier as text, whether it came as a string or a number; empty where there is none."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else dumps(value).decode()


def _integer(digits: str) -> int | Verbatim:
    value = int(digits)
    return value if -(2**63) <= value < 2**63 and str(value) == digits else Verbatim(digits)


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Verbatim):
        return orjson.Fragment(str(value))
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} has no place in JSON")
