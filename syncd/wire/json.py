"""JSON as it stands on the wire: numbers keep their text."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class Number(str):
    """A JSON number with a fraction or an exponent, as its text: `12.50` stays `12.50`, never a float."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Number, parse_constant=_refuse_constant)


def parse_json(text: str | bytes) -> Any:
    """Parse one JSON document; numbers with a fraction or an exponent become `Number`.

    Raises:
        ValueError: not JSON, not UTF-8, NaN or Infinity, an integer of thousands of digits, or nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
