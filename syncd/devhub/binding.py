"""Arguments as .NET's serializer binds them to the contract's types: one wrong value fails the whole call.

Property names match whatever their case, unknown ones are skipped, what is missing gets its default.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from syncd.devhub.protocol import InvocationError

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.\d{1,16})?(?:Z|[+-]\d\d:\d\d)?)?")


class MismatchError(InvocationError):
    """An argument does not fit the method's parameter."""

    def __init__(self) -> None:
        super().__init__(before=True)


class AbsentError(InvocationError):
    """A `null` where the method reached for a value: .NET binds it, then throws."""


def sync_item(value: Any) -> dict[str, Any]:
    """Binds a SyncItem.

    Raises:
        MismatchError: one of its values has the wrong type.
        AbsentError: it is null.
    """
    return _record(value, _SYNC_ITEM)


def sync_items(value: Any) -> list[dict[str, Any]]:
    """Binds a list of SyncItem; raises as `sync_item`."""
    return [sync_item(one) for one in values(value)]


def batch_sync_request(value: Any) -> dict[str, Any]:
    """Binds a BatchSyncRequest; raises as `sync_item`."""
    return _record(value, _BATCH_SYNC_REQUEST)


def values(value: Any) -> list[Any]:
    """Binds a list of anything; raises as `sync_item`."""
    if value is None:
        raise AbsentError
    if not isinstance(value, list):
        raise MismatchError
    return value


def anything(value: Any) -> Any:
    """Binds whatever comes."""
    return value


def _record(value: Any, properties: dict[str, tuple[Callable[[Any], bool], object]]) -> dict[str, Any]:
    if value is None:
        raise AbsentError
    if not isinstance(value, dict):
        raise MismatchError
    bound = {name: default for name, (_, default) in properties.items()}
    spelled = {name.lower(): name for name in properties}
    for given, content in value.items():
        if (name := spelled.get(given.lower())) is not None:
            if not properties[name][0](content):
                raise MismatchError
            bound[name] = content
    return bound


def _any(_: Any) -> bool:
    return True


def _text(value: Any) -> bool:
    return value is None or type(value) is str


def _integer(bits: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def _optional(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _time(value: Any) -> bool:
    found = _DATE_TIME.fullmatch(value) if type(value) is str else None
    if found is None:
        return False
    try:
        datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}")
    except ValueError:
        return False
    return True


_SYNC_ITEM: dict[str, tuple[Callable[[Any], bool], object]] = {
    "entityType": (_text, ""),
    "entityId": (_any, None),
    "operation": (_text, ""),
    "payload": (_text, ""),
    "timestamp": (_time, "0001-01-01T00:00:00"),
    "storeId": (_any, None),
    "correlationId": (_text, ""),
    "sequence": (_optional(_integer(64)), None),
    "priority": (_optional(_integer(32)), None),
    "attempt": (_optional(_integer(32)), None),
}
_BATCH_SYNC_REQUEST: dict[str, tuple[Callable[[Any], bool], object]] = {
    "storeId": (_any, None),
    "sinceTimestamp": (_optional(_time), None),
    "cursor": (_text, None),
    "entityTypes": (_optional(_texts), None),
    "batchSize": (_integer(32), 100),
}
SYNC_ITEM_FIELDS = tuple(_SYNC_ITEM)
"""Their names, as we write them."""
