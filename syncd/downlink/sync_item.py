"""The update in a `SyncItem`, which a push or a page of the feed brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.store.catalog import entity_type_of
from syncd.store.field_values import MalformedError
from syncd.store.times import sortable
from syncd.store.update import Envelope, Update, read_update
from syncd.wire.json import parse_json
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from syncd.store.entity_type import EntityType

RECEIVE_ITEM = "ReceiveSyncItem"


def update_of_item(item: object, method: str = RECEIVE_ITEM) -> Update:
    """The update in a `SyncItem`, whose payload is one of the four messages as JSON text.

    Args:
        method: by which it came.

    Raises:
        MalformedError: says what is wrong with it.
    """
    if not isinstance(item, dict):
        raise MalformedError("a SyncItem must be an object")
    names = any_case(item)
    entity_type = entity_type_of(names.get("entitytype"))
    delete = str(names.get("operation", "")).lower() == "delete"
    payload = names.get("payload")
    if isinstance(payload, str) and payload.strip():
        try:
            payload = parse_json(payload)
        except ValueError as error:
            raise MalformedError(f"the payload is not JSON: {error}") from None
    elif delete and not payload:
        payload = {}
    if isinstance(payload, dict):
        payload = _with_what_the_item_says(entity_type, payload, names, delete=delete)
    return read_update(entity_type, payload, delete=delete, envelope=Envelope(method, item))


def _with_what_the_item_says(entity_type: EntityType, payload: dict[str, Any], names: dict[str, Any], *, delete: bool) -> dict[str, Any]:
    known = any_case(payload)
    added: dict[str, Any] = {}
    if known.get("correlationid") is None and isinstance(names.get("correlationid"), str) and names["correlationid"]:
        added["correlationId"] = names["correlationid"]
    if delete:  # it may say no more than which row, and when
        identifier = entity_type.fields[0].wire
        if known.get(identifier.lower()) is None and names.get("entityid") is not None:
            added[identifier] = names["entityid"]
        timestamp = names.get("timestamp")
        if known.get("updatedat") is None and known.get("version") is None and isinstance(timestamp, str) and sortable(timestamp):
            added["updatedAt"] = timestamp
    return {**payload, **added} if added else payload
