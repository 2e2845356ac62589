"""JSON as it stands on the wire: numbers keep their text."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any, NoReturn

import orjson

MAX_VALUES = 20_000
"""Lists, objects and what they hold, in one document: reading all of them, and writing them again, takes some 10 ms each in one turn."""
_CONTAINERS = (dict, list)
_MAX_INTEGER = 2**63 - 1  # beyond it orjson wants the text


class Number(str):
    """A JSON number with a fraction or an exponent, as its text: `12.50` stays `12.50`, never a float."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Number, parse_constant=_refuse_constant)


def parse_json(text: str | bytes) -> Any:
    """Parse one JSON document; numbers with a fraction or an exponent become `Number`.

    Raises:
        ValueError: not JSON or UTF-8, NaN or Infinity, an integer of thousands of digits, nested too deeply, or above
            `MAX_VALUES`.
    """
    if _may_exceed(text, MAX_VALUES) and _exceeds(text if isinstance(text, str) else text.decode("utf-8"), MAX_VALUES):
        raise ValueError(f"JSON of more than {MAX_VALUES:,} values")
    try:
        return _plain(text)
    except ValueError:
        pass
    try:
        return _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8"))
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def parse_plain(text: str | bytes, max_values: int) -> Any:
    """As `parse_json`, in a fifth of the time, for most documents: orjson makes floats of fractions, so none may be there.

    Raises:
        ValueError: it takes `parse_json`, or is no JSON at all.
    """
    if _may_exceed(text, max_values):
        raise ValueError(f"JSON of more than {max_values:,} values")
    return _plain(text)


def _plain(text: str | bytes) -> Any:
    value = orjson.loads(text)
    try:
        if _has_floats(value):
            raise ValueError("a number that orjson does not keep")
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return value


def _has_floats(value: object) -> bool:
    """Fractions, exponents, and integers of more than 64 bits."""
    if type(value) is dict:
        value = value.values()
    elif type(value) is not list:
        return type(value) is float
    kinds = set(map(type, value))
    if kinds == {dict}:  # most lists: what all of them hold is looked at together
        return _has_floats([*chain.from_iterable(map(dict.values, value))])
    return float in kinds or (
        not kinds.isdisjoint(_CONTAINERS) and any(_has_floats(inner) for inner in value if type(inner) in _CONTAINERS)
    )


def _may_exceed(text: str | bytes, most: int) -> bool:
    """There may be more lists, objects and values than that; where there are, this says so."""
    found = 0
    for mark in (",", "[", "{") if len(text) > most else ():
        found += text.count(mark) if isinstance(text, str) else text.count(mark.encode())
        if found > most:
            return True
    return False


def _exceeds(text: str, most: int) -> bool:
    """The same, and the marks within strings do not count."""
    bare = text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text
    if bare.count('"') > 4 * most:  # each string is a value, or the name of one
        return True
    return _may_exceed("".join(bare.split('"')[::2]), most)


def dump_json(value: object) -> str:
    """JSON text in which every number stands as it stood on the wire.

    Raises:
        ValueError: half of a surrogate pair, or nested too deeply.
    """
    try:
        return orjson.dumps(_exact(value)).decode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"it holds what no JSON text can say: {error}") from None


def _exact(value: object) -> object:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MAX_INTEGER:
        return orjson.Fragment(str(value))
    return value


def json_type(value: object) -> str:
    """What a parsed value is in JSON, in words: `a list`."""
    return {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}.get(type(value), "a number")
