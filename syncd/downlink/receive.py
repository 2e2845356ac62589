"""What comes from HQ, read: arguments, pages of the feed, and the update in a `SyncItem`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.errors import DataError
from syncd.redaction import foreign
from syncd.store.catalog import entity_type_of
from syncd.store.database import storable
from syncd.store.field_values import MalformedError
from syncd.store.quarantine import Quarantined, raw_text
from syncd.store.times import sortable
from syncd.store.update import Envelope, Update, read_update
from syncd.wire.json import parse_json
from syncd.wire.large import Broken, LargeList
from syncd.wire.messages import any_case

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.store.entity_type import EntityType

REQUEST = "RequestBatchSync"
RECEIVE_ITEM = "ReceiveSyncItem"
PIECE_MESSAGES = 250
"""Read before anything else gets its turn, some milliseconds of work."""
MAX_KEPT_SINGLY = 20
MAX_LUMPED_EXAMPLES = 10


class UnreadableResponseError(DataError):
    """The hub's answer to a catch-up request is none that the contract knows, or says that it failed."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One page of HQ's changes (`BatchSyncResponse`).

    Attributes:
        total_items: how many HQ has; None where it says nothing that can be read.
        feed_epoch: the feed's name; another one belongs to another feed.
        cursor_unknown: the cursor that was asked for is none of this feed's.
    """

    items: list[Any]
    has_more: bool
    next_cursor: str | None
    total_items: int | None = None
    feed_epoch: str | None = None
    cursor_unknown: bool = False


def read_page(answer: object) -> FeedPage:
    """The page in an answer to `RequestBatchSync`.

    Raises:
        UnreadableResponseError: it is none, or says that it failed.
    """
    if not isinstance(answer, dict):
        raise UnreadableResponseError(f"{REQUEST} was answered with {type(answer).__name__}, not with a BatchSyncResponse")
    names = any_case(answer)
    if names.get("success") is False:
        raise UnreadableResponseError(foreign(names.get("errormessage") or "the hub says success = false, without a reason"))
    items = names.get("items")
    cursor = names.get("nextcursor")
    if items is not None and not isinstance(items, list):
        raise UnreadableResponseError("items is not a list")
    if cursor is not None and not isinstance(cursor, str | int):
        raise UnreadableResponseError("nextCursor is neither text nor a number")
    total, epoch = names.get("totalitems"), names.get("feedepoch")
    return FeedPage(
        items or [],
        names.get("hasmore") is True,
        None if cursor is None else storable(str(cursor)),
        total_items=total if type(total) is int and 0 <= total < 2**63 else None,
        feed_epoch=storable(str(epoch)) if isinstance(epoch, str | int) and epoch != "" else None,
        cursor_unknown=names.get("cursorunknown") is True,
    )


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


def is_list(arguments: list[Any]) -> bool:
    """Whether a call brings a list of messages, not one; several arguments are taken as a list, too."""
    return len(arguments) != 1 or isinstance(arguments[0], list | LargeList)


async def pieces_of(arguments: list[Any]) -> AsyncIterator[list[Any]]:
    """The messages that a call brings, some at a time; the loop gets its turn between them."""
    first = arguments[0] if len(arguments) == 1 else None
    if isinstance(first, LargeList):
        async for piece in first.chunks():
            yield piece
        return
    async for piece in in_pieces(first if isinstance(first, list) else arguments):
        yield piece


async def in_pieces(messages: list[Any]) -> AsyncIterator[list[Any]]:
    """The list, some messages at a time; the loop gets its turn between them. An empty list is one empty piece."""
    yield messages[:PIECE_MESSAGES]
    for start in range(PIECE_MESSAGES, len(messages), PIECE_MESSAGES):
        await asyncio.sleep(0)
        yield messages[start : start + PIECE_MESSAGES]


@dataclass(slots=True)
class Piece:
    """Some messages, read.

    Attributes:
        items: what is to be applied or kept.
        correlation_ids: theirs.
        unreadable: for each message None where it is among the items, else what is wrong with it.
    """

    items: list[Update | Quarantined]
    correlation_ids: list[str | None]
    unreadable: list[str | None]


class MessageReader:
    """Reads the messages of one call or page.

    A malformed message that says its correlation id is kept by itself, and so are the first few others that are objects. All the rest of
    one list, numbers where objects belong or what is no JSON, is one entry with a count: it may be millions.
    """

    def __init__(self, method: str, read: Callable[[object], Update], log: FilteringBoundLogger) -> None:
        self._method = method
        self._read = read
        self._log = log
        self._total = 0
        self._malformed = 0
        self._first_reason = ""
        self._lumped = 0
        self._lumped_reason = ""
        self._lumped_raw: list[str] = []

    def read(self, messages: list[Any]) -> Piece:
        """Read some more of them."""
        piece = Piece([], [], [])
        for message in messages:
            self._total += 1
            identifier = correlation_id_of(message)
            why = None
            try:
                piece.items.append(self._update(message))
            except MalformedError as error:
                why = self._refuse(piece, message, identifier, str(error))
            if why is None:
                piece.correlation_ids.append(identifier)
            piece.unreadable.append(why)
        return piece

    def finish(self) -> list[Quarantined]:
        """All are read: say so in the log where some could not be, and keep what these have in common."""
        if self._malformed:
            self._log.warning(
                "update_malformed", method=self._method, messages=self._malformed, of=self._total, reason=foreign(self._first_reason)
            )
        if not self._lumped:
            return []
        if self._lumped == 1:
            return [Quarantined(self._method, None, self._lumped_reason, self._lumped_raw[0])]
        reason = f"{self._lumped:,} of {self._total:,} elements cannot be read, the first: {self._lumped_reason}"
        return [Quarantined(self._method, None, reason, "\n".join(self._lumped_raw))]

    def _update(self, message: object) -> Update:
        if isinstance(message, Broken):
            raise MalformedError(message.reason)
        return self._read(message)

    def _refuse(self, piece: Piece, message: object, identifier: str | None, reason: str) -> str | None:
        """Keep it by itself, or return what is wrong with it."""
        self._malformed += 1
        self._first_reason = self._first_reason or reason
        if isinstance(message, dict) and (identifier is not None or self._malformed <= MAX_KEPT_SINGLY):
            piece.items.append(Quarantined(self._method, identifier, reason, raw_text(message)))
            return None
        self._lumped += 1
        self._lumped_reason = self._lumped_reason or reason
        if len(self._lumped_raw) < MAX_LUMPED_EXAMPLES:
            self._lumped_raw.append(_raw_text(message))
        return reason


def _raw_text(message: object) -> str:
    return message.raw.decode("utf-8", "backslashreplace") if isinstance(message, Broken) else raw_text(message)


def correlation_id_of(message: object) -> str | None:
    """The message's correlation id; None where it has none."""
    identifier = any_case(message).get("correlationid") if isinstance(message, dict) else None
    return storable(identifier) if isinstance(identifier, str) and identifier else None
