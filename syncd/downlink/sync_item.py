"""The update in a `SyncItem`, which a push or a page of the feed brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.store.catalog import UNDECLARED
from syncd.store.field_values import MalformedError
from syncd.store.times import sortable
from syncd.store.update import Envelope, Update, read_update
from syncd.wire.json import json_type, parse_json
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from syncd.store.catalog import Catalog
    from syncd.store.entity_type import EntityType

RECEIVE_ITEM = "ReceiveSyncItem"


def update_of_item(catalog: Catalog, item: object, method: str = RECEIVE_ITEM) -> Update:
    """The update in a `SyncItem`, whose payload is the kind's message as JSON text.

    Args:
        method: by which it came.

    Raises:
        MalformedError: says what is wrong with it.
    """
    if not isinstance(item, dict):
        raise MalformedError("a SyncItem must be an object")
    names = any_case(item)
    name = names.get("entitytype")
    if not isinstance(name, str) or not name:
        raise MalformedError("entityType is missing" if name in (None, "") else f"entityType must be text, this is {json_type(name)}")
    kind = catalog.of(name)
    delete = str(names.get("operation", "")).lower() == "delete"
    given = names.get("payload")
    payload = given
    if isinstance(given, str) and given.strip():
        try:
            payload = parse_json(given)
        except ValueError as error:
            raise MalformedError(f"the payload is not JSON: {error}") from None
    elif delete and not given:
        payload = {}
    envelope = Envelope(method, item)
    if kind is None:
        return read_update(UNDECLARED, _as_it_came(name, given, payload, names), delete=delete, envelope=envelope)
    if isinstance(payload, dict):
        payload = _with_what_the_item_says(kind, payload, names, delete=delete)
    return read_update(kind, payload, delete=delete, envelope=envelope)


def _with_what_the_item_says(kind: EntityType, payload: dict[str, Any], names: dict[str, Any], *, delete: bool) -> dict[str, Any]:
    known = any_case(payload)
    added: dict[str, Any] = {}
    if known.get("correlationid") is None and isinstance(names.get("correlationid"), str) and names["correlationid"]:
        added["correlationId"] = names["correlationid"]
    if delete:  # it may say no more than which row
        identifier = next(field.wire for field in kind.fields if field.column == kind.keys[0])
        if known.get(identifier.lower()) is None and names.get("entityid") is not None:
            added[identifier] = names["entityid"]
    timestamp = names.get("timestamp")
    if known.get("updatedat") is None and known.get("version") is None and isinstance(timestamp, str) and sortable(timestamp):
        added["updatedAt"] = timestamp
    return {**payload, **added} if added else payload


def _as_it_came(name: str, text: object, payload: object, names: dict[str, Any]) -> dict[str, Any]:
    """The message for the table `entities`; of the payload only what tells whether it is newer has to be understood."""
    known = any_case(payload) if isinstance(payload, dict) else {}
    version, dates = known.get("version"), (known.get("updatedat"), names.get("timestamp"))
    return {
        "entityType": name,
        "entityId": names.get("entityid"),
        "payload": None if payload == {} and not text else text if isinstance(text, str) else payload,
        "isDeleted": known.get("isdeleted") is True,
        "version": version if type(version) is int or type(version) is str else None,
        "updatedAt": next((date for date in dates if isinstance(date, str) and sortable(date)), None),
        "correlationId": known.get("correlationid") or names.get("correlationid"),
    }
