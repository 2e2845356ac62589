"""One page of HQ's feed, as `RequestBatchSync` answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from syncd.errors import DataError
from syncd.redaction import foreign
from syncd.store.text import storable
from syncd.wire.json import json_type
from syncd.wire.messages import any_case

REQUEST = "RequestBatchSync"


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
        UnreadableResponseError: it holds none, or says that the request failed.
    """
    if not isinstance(answer, dict):
        raise UnreadableResponseError(f"{REQUEST} was answered with {json_type(answer)}, not with a BatchSyncResponse")
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
