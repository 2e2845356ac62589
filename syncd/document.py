"""Dataclasses as JSON for the status file: camelCase names, ISO 8601 times in UTC, others' texts cut and without secrets.

A field is shown as `_value` shows it, unless its metadata says otherwise: `TEXT` (may be longer), `IDENTIFIER`, `INTERNAL` (not shown
at all), or `shown_as` a function's result.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from syncd.clock import iso_ms
from syncd.redaction import LONGEST_SECRET, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance

LONGEST_TEXT = 500
"""Characters of an error that the file repeats: HQ decides how long its messages are."""
LONGEST_NAME = 200
"""Characters of an entity's type, an identifier, a cursor: the till and HQ decide how long those are."""
LARGEST_NUMBER = 2**63 - 1
"""What every reader of JSON takes."""
_CONVERT = "document"


def document(section: DataclassInstance) -> dict[str, Any]:
    """The section as an object of its fields, unless they are marked `INTERNAL`."""
    return {key: convert(getattr(section, attribute)) for attribute, key, convert in _shown_fields(type(section))}


def _value(value: Any) -> Any:
    match value:
        case str():
            value = name(value)
        case int() if not isinstance(value, bool):
            value = min(value, LARGEST_NUMBER)
        case datetime():
            value = iso_ms(value)
        case list() | tuple() | deque():
            value = [_value(item) for item in value]
        case set() | frozenset():
            value = sorted(_value(item) for item in value)
        case _ if dataclasses.is_dataclass(value):
            value = document(cast("DataclassInstance", value))
    return value


def name(value: str | None) -> str | None:
    """A name that the till or HQ has given, without secrets: a hub may send our token back as one."""
    return None if value is None else _shown(str(value), LONGEST_NAME)


def text(value: str | None) -> str | None:
    """What somebody wrote, without secrets."""
    return None if value is None else _shown(value, LONGEST_TEXT)


def identifier(value: int | str | None) -> int | str | None:
    """A number stays one as long as it fits into 64 bits."""
    if value is None or (isinstance(value, int) and abs(value) <= LARGEST_NUMBER):
        return value
    try:
        return name(str(value))
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return name(hex(int(value)))


def cut(value: str, longest: int) -> str:
    """At most so many characters."""
    return value if len(value) <= longest else value[: longest - 1] + "…"


def _shown(value: str, longest: int) -> str:
    # Redacting is slow in a text of megabytes; no secret that ends beyond this begins in what is shown.
    return cut(redact(value[: longest + 3 * LONGEST_SECRET]), longest)


def shown_as(convert: Callable[[Any], Any] | None) -> Mapping[str, object]:
    """A field's metadata: what makes JSON of it; None where it is not in the document."""
    return {_CONVERT: convert}


TEXT = shown_as(text)
IDENTIFIER = shown_as(identifier)
INTERNAL = shown_as(None)


@cache
def _shown_fields(section: type[DataclassInstance]) -> list[tuple[str, str, Callable[[Any], Any]]]:
    converts = [(field.name, field.metadata.get(_CONVERT, _value)) for field in dataclasses.fields(section)]
    return [(attribute, _camel(attribute), convert) for attribute, convert in converts if convert is not None]


def _camel(attribute: str) -> str:
    first, *others = attribute.split("_")
    return first + "".join(word.title() for word in others)
