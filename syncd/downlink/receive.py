"""What comes from HQ, read: arguments, pages of the feed, and the update in a `SyncItem`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.store.catalog import Envelope, MalformedError, Update, entity_type_of, read_update
from syncd.store.database import storable
from syncd.store.times import sortable
from syncd.wire.json import parse_json
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from syncd.store.catalog import EntityType

REQUEST = "RequestBatchSync"
RECEIVE_ITEM = "ReceiveSyncItem"


class UnreadableResponseError(ValueError):
    """The hub's answer to a catch-up request is none that the contract knows, or says that it failed."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One page of HQ's changes (`BatchSyncResponse`)."""

    items: list[Any]
    has_more: bool
    next_cursor: str | None


def read_page(answer: object) -> FeedPage:
    """The page in an answer to `RequestBatchSync`.

    Raises:
        UnreadableResponseError: it is none, or says that it failed.
    """
    if not isinstance(answer, dict):
        raise UnreadableResponseError(f"{REQUEST} was answered with {type(answer).__name__}, not with a BatchSyncResponse")
    names = any_case(answer)
    if names.get("success") is False:
        raise UnreadableResponseError(str(names.get("errormessage") or "the hub says success = false, without a reason"))
    items = names.get("items")
    cursor = names.get("nextcursor")
    if items is not None and not isinstance(items, list):
        raise UnreadableResponseError("items is not a list")
    if cursor is not None and not isinstance(cursor, str | int):
        raise UnreadableResponseError("nextCursor is neither text nor a number")
    return FeedPage(items or [], names.get("hasmore") is True, None if cursor is None else storable(str(cursor)))


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


def messages_of(arguments: list[Any]) -> tuple[list[Any], bool]:
    """One message or a list of them; several arguments are taken as a list, too."""
    if len(arguments) == 1 and isinstance(arguments[0], list):
        return arguments[0], True
    return arguments, len(arguments) != 1


def correlation_id_of(message: object) -> str | None:
    """The message's correlation id; None where it has none."""
    identifier = any_case(message).get("correlationid") if isinstance(message, dict) else None
    return storable(identifier) if isinstance(identifier, str) and identifier else None
