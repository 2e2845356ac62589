"""The update in a `SyncItem`, which a push or a page of the feed brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from syncd.store.catalog import UNDECLARED
from syncd.store.field_values import MalformedError
from syncd.store.times import sortable
from syncd.store.update import Envelope, Update, read_update
from syncd.wire.json import json_type, parse_json
from syncd.wire.messages import any_case, fields_in_any_case

if TYPE_CHECKING:
    from syncd.store.catalog import Catalog
    from syncd.store.entity_type import EntityType

RECEIVE_ITEM = "ReceiveSyncItem"
_item_fields = fields_in_any_case("entitytype", "entityid", "operation", "payload", "timestamp", "correlationid")
_payload_fields = fields_in_any_case("correlationid", "updatedat", "version")


def update_of_item(catalog: Catalog, item: object, method: str = RECEIVE_ITEM) -> Update:
    """The update in a `SyncItem`, whose payload is the kind's message as JSON text.

    Args:
        method: by which it came.

    Raises:
        MalformedError: says what is wrong with it.
    """
    if not isinstance(item, dict):
        raise MalformedError("a SyncItem must be an object")
    name, identifier, operation, text, timestamp, correlation_id = _item_fields(item)
    if not isinstance(name, str) or not name:
        raise MalformedError("entityType is missing" if name in (None, "") else f"entityType must be text, this is {json_type(name)}")
    kind = catalog.of(name)
    delete = str(operation).lower() == "delete"
    payload = text
    if isinstance(text, str) and text.strip():
        try:
            payload = parse_json(text)
        except ValueError as error:
            raise MalformedError(f"the payload is not JSON: {error}") from None
    elif delete and not text:
        payload = {}
    said = _Said(identifier, timestamp, correlation_id)
    if kind is None:
        payload = _as_it_came(name, text, payload, said)
    elif isinstance(payload, dict):
        payload = _with_what_the_item_says(kind, payload, said, delete=delete)
    return read_update(UNDECLARED if kind is None else kind, payload, delete=delete, envelope=Envelope(method, item))


class _Said(NamedTuple):
    """What an item says beside its payload."""

    entity_id: Any
    timestamp: Any
    correlation_id: Any


def _with_what_the_item_says(kind: EntityType, payload: dict[str, Any], said: _Said, *, delete: bool) -> dict[str, Any]:
    correlation_id, updated_at, version = _payload_fields(payload)
    added: dict[str, Any] = {}
    if correlation_id is None and isinstance(said.correlation_id, str) and said.correlation_id:
        added["correlationId"] = said.correlation_id
    if delete:  # it may say no more than which row
        identifier = next(field.wire for field in kind.fields if field.column == kind.keys[0])
        if any_case(payload).get(identifier.lower()) is None and said.entity_id is not None:
            added[identifier] = said.entity_id
    if updated_at is None and version is None and isinstance(said.timestamp, str) and sortable(said.timestamp):
        added["updatedAt"] = said.timestamp
    return {**payload, **added} if added else payload


def _as_it_came(name: str, text: object, payload: object, said: _Said) -> dict[str, Any]:
    """The message for the table `entities`; of the payload only what tells whether it is newer has to be understood."""
    known = any_case(payload) if isinstance(payload, dict) else {}
    version, dates = known.get("version"), (known.get("updatedat"), said.timestamp)
    return {
        "entityType": name,
        "entityId": said.entity_id,
        "payload": None if payload == {} and not text else text if isinstance(text, str) else payload,
        "isDeleted": known.get("isdeleted") is True,
        "version": version if type(version) is int or type(version) is str else None,
        "updatedAt": next((date for date in dates if isinstance(date, str) and sortable(date)), None),
        "correlationId": known.get("correlationid") or said.correlation_id,
    }
