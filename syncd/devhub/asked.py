"""What a control request asks for, read strictly: what it should not have is a mistake, not a thing to pass over."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from syncd.devhub import exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web


class MistakeError(Exception):
    """The request cannot be meant; the text says what is wrong and what is allowed."""


def parameters(request: web.Request, *known: str) -> Mapping[str, str]:
    """The query's parameters, each at most once.

    Raises:
        MistakeError: there is one that is not known.
    """
    for name in request.query:
        _known("parameter", name, known)
        if len(request.query.getall(name)) > 1:
            raise MistakeError(f"{name} is given twice")
    return request.query


def whole(given: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 0.

    Raises:
        MistakeError: it is none.
    """
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise MistakeError(f"{name} is {text!r}: a whole number from 0 is wanted")
    return int(text)


def seconds(given: Mapping[str, str], name: str, default: float) -> float:
    """A time-out.

    Raises:
        MistakeError: it is none.
    """
    try:
        value = float(given.get(name, default))
    except ValueError:
        value = math.nan
    if not 0 < value <= 86_400:
        raise MistakeError(f"{name} is {given[name]!r}: seconds above 0, at most a day, are wanted")
    return value


async def body(request: web.Request) -> Any:
    """The JSON that was sent.

    Raises:
        MistakeError: it is none.
    """
    data = await request.read()
    if not data.strip():
        raise MistakeError("a body of JSON is wanted, and there is none")
    try:
        return exact.loads(data)
    except ValueError as error:
        raise MistakeError(f"the body is not JSON: {error}") from error


async def no_body(request: web.Request) -> None:
    """For what takes none; an empty object and null are none.

    Raises:
        MistakeError: there is one.
    """
    if (await request.read()).strip() not in (b"", b"{}", b"null"):
        raise MistakeError("no body is wanted here")


def fields(value: Any, wanted: dict[str, type], **defaults: Any) -> dict[str, Any]:
    """The fields of an object, as they are named.

    Args:
        wanted: each with its type.
        defaults: of those that may be left out.

    Raises:
        MistakeError: one is missing, unknown or of another type.
    """
    if not isinstance(value, dict):
        raise MistakeError(f"an object with {', '.join(wanted)} is wanted")
    for name, given in value.items():
        _known("field", name, wanted)
        if type(given) is not wanted[name]:
            kind = {str: "a text", list: "a list", int: "a whole number"}[wanted[name]]
            raise MistakeError(f"{name} must be {kind}")
    missing = [name for name in wanted if name not in value and name not in defaults]
    if missing:
        raise MistakeError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return defaults | value


def known_names(value: Any, known: Iterable[str]) -> None:
    """Every field of an object is one of these, whatever its case.

    Raises:
        MistakeError: one is not.
    """
    spelled = {name.lower(): name for name in known}
    for name in value if isinstance(value, dict) else ():
        if name.lower() not in spelled:
            _known("field", name, spelled.values())


def _known(what: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        rest = f" There are {', '.join(names)}" if names else ""
        raise MistakeError(f"there is no {what} {name} here{hint}{rest}")
