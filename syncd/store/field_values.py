"""The values of a message's fields, read into what SQLite stores; what cannot be stored is refused with the reason."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from syncd.errors import DataError
from syncd.store.times import sortable
from syncd.wire.json import Number, dump_json, json_type
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from collections.abc import Callable

_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,4})?", re.ASCII)
MAX_INTEGER = 2**63 - 1  # SQLite's
MAX_DECIMAL_CHARACTERS = 64
MAX_COEFFICIENT = 2**96 - 1  # a .NET decimal is a coefficient of 96 bits, at most 29 digits, …
MAX_DIGITS = 29
MAX_SCALE = 28  # … with its point at most so far to the left


class MalformedError(DataError):
    """The message cannot be applied; the text says why."""


def json_text(value: object) -> str:
    """JSON text in which every number stands as it stood on the wire.

    Raises:
        MalformedError: there is no such text.
    """
    try:
        return dump_json(value)
    except ValueError as error:
        raise MalformedError(str(error)) from None


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedError("holds half of a surrogate pair, which is no text") from None
    return str(text)


def _identifier(value: object) -> int | str:
    if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER:  # nearly all are
        return value
    if isinstance(value, bool | Number) or not isinstance(value, int | str) or value == "":
        raise MalformedError(f"must be a whole number or text, this is {json_type(value)}")
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise MalformedError("is a number above 64 bits")
        return value
    return _encodable(value)


def _text(value: object) -> str:
    if type(value) is str and value.isascii():  # nearly all are
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise MalformedError(f"must be text, this is {json_type(value)}")
    return _encodable(str(value))


def _decimal(value: object) -> str:
    """To the digit, in plain notation, within what .NET's `decimal` and SQL's DECIMAL(38, …) can hold."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if len(text) > MAX_DECIMAL_CHARACTERS or not _DECIMAL.fullmatch(text):
        raise MalformedError(f"must be a decimal number, this is {json_type(value) if not isinstance(value, str) else repr(value[:40])}")
    is_plain = "e" not in text.lower()
    if is_plain and len(text) < MAX_DIGITS:  # nearly all are
        return text
    _, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)  # neither NaN nor Infinity: those are no digits
    coefficient = int("".join(map(str, digits)))
    is_too_large = coefficient > 0 and len(digits) + exponent > MAX_DIGITS
    if is_too_large or -exponent > MAX_SCALE or coefficient * 10 ** max(0, exponent if coefficient else 0) > MAX_COEFFICIENT:
        raise MalformedError(
            f"must be a decimal of at most {MAX_DIGITS} digits, {MAX_SCALE} of them behind the point, as .NET has it; this is {text!r}"
        )
    return text if is_plain else format(Decimal(text), "f")


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError(f"must be a whole number, this is {json_type(value)}")
    if abs(value) > MAX_INTEGER:
        raise MalformedError("is a number above 64 bits")
    return value


def _boolean(value: object) -> int:
    if not isinstance(value, bool):
        raise MalformedError(f"must be true or false, this is {json_type(value)}")
    return int(value)


def _time(value: object) -> str:
    text = sortable(value) if isinstance(value, str) else None
    if text is None:
        raise MalformedError(f"must be a time in ISO 8601, this is {repr(value[:40]) if isinstance(value, str) else json_type(value)}")
    return text


def _version(value: object) -> int | str:
    if isinstance(value, Number):
        raise MalformedError("must be a whole number or text, this is a fraction")
    return _identifier(value)


def _json(value: object) -> str:
    return _encodable(value) if isinstance(value, str) and not isinstance(value, Number) else json_text(value)


def _barcodes(value: object) -> str:
    """`["4006381333931", {"barcode": "…", "unit": "box", "quantity": 12}]`, with every name spelled so and every value a text.

    A trigger reads them from there into the table `barcodes`, and SQLite has no decimals.
    """
    if not isinstance(value, list):
        raise MalformedError(f"must be a list, this is {json_type(value)}")
    found: dict[str, dict[str, str]] = {}
    for number, entry in enumerate(value):
        given = any_case(entry) if isinstance(entry, dict) else {"barcode": entry}
        try:
            barcode = {"barcode": _text(given.get("barcode"))}
            if given.get("unit") is not None:
                barcode["unit"] = _text(given["unit"])
            if given.get("quantity") is not None:
                barcode["quantity"] = _decimal(given["quantity"])
        except MalformedError as error:
            raise MalformedError(f"[{number}] {error}") from None
        found.setdefault(barcode["barcode"], barcode)
    return json_text(list(found.values()))


READERS: dict[str, Callable[[object], int | str]] = {
    "identifier": _identifier, "text": _text, "integer": _integer, "decimal": _decimal, "boolean": _boolean, "time": _time,
    "version": _version, "json": _json, "barcodes": _barcodes,
}  # fmt: skip
