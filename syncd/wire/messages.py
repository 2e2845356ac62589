"""The contract's messages: those we write, and those we read, whatever case their names have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from syncd.clock import iso_ms
from syncd.errors import DataError
from syncd.redaction import foreign
from syncd.wire.json import json_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

T = TypeVar("T")


class UnreadableAnswerError(DataError):
    """The hub's answer to a batch is neither nothing nor a list of acks."""


@dataclass(frozen=True, slots=True)
class SyncAck:
    """HQ's answer for one item (`SyncAck`).

    Attributes:
        error: HQ's words as we may repeat them, bounded and without the secrets in use.
        retryable: False where HQ will never take it.
    """

    correlation_id: str
    success: bool
    error: str | None
    retryable: bool


MAX_SPELLINGS = 100
MAX_SPELLING_CHARACTERS = 2_000


class Spellings(dict[tuple[str, ...], T]):
    """What is worked out once for all messages with the same names in the same order: HQ's have the same ones, day after day.

    Bounded, since a hub may send whatever it likes.
    """

    def __init__(self, work_out: Callable[[tuple[str, ...]], T]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, names: tuple[str, ...]) -> T:
        found = self._work_out(names)
        if sum(map(len, names)) <= MAX_SPELLING_CHARACTERS:
            if len(self) >= MAX_SPELLINGS:
                self.clear()
            self[names] = found
        return found


_lower = Spellings(lambda names: tuple([name.lower() for name in names]))


def any_case(message: dict[str, Any]) -> dict[str, Any]:
    """Names in lower case: inbound names are matched case-insensitively, as .NET does."""
    return dict(zip(_lower[tuple(message)], message.values(), strict=True))


def fields_in_any_case(*wanted: str) -> Callable[[dict[str, Any]], Iterator[Any]]:
    """Make a function that gives these fields of a message, where only some are of use; None for one that it does not have.

    Args:
        wanted: their names in lower case.
    """

    def work_out(names: tuple[str, ...]) -> tuple[str | None, ...]:
        written = {name.lower(): name for name in names}
        return tuple(written.get(name) for name in wanted)

    names_in = Spellings(work_out)
    return lambda message: map(message.get, names_in[tuple(message)])  # type: ignore[arg-type] # no message has None for a name


class UnencodableError(DataError):
    """The row can never be written as JSON; the text says why."""


def encode_item(
    *,
    entity_type: object,
    entity_id: object,
    operation: object,
    payload: object,
    timestamp: str,
    store_id: int | str,
    correlation_id: object,
    sequence: int,
    priority: object,
    attempt: int,
) -> bytes:
    """A row's `SyncItem`, ready for the wire.

    Raises:
        UnencodableError: a text holds half of a surrogate pair, which is what bytes that are no UTF-8 decode to, or a
            column holds what JSON has no word for.
    """
    item = {
        "entityType": entity_type,
        "entityId": entity_id,
        "operation": operation,
        "payload": payload,
        "timestamp": timestamp,
        "storeId": store_id,
        "correlationId": correlation_id,
        "sequence": sequence,
        "priority": priority,
        "attempt": attempt,
    }
    try:
        return orjson.dumps(item)
    except TypeError as error:
        raise UnencodableError(f"the row cannot be written as JSON: {error} (its text is not valid UTF-8)") from None


def read_acks(result: object) -> list[SyncAck] | None:
    """HQ's acks for a batch, or None where it returned nothing: all accepted. One that cannot be read is left out.

    Raises:
        UnreadableAnswerError: it is neither of the two.
    """
    if result is None:
        return None
    acks = [result] if isinstance(result, dict) else result
    if not isinstance(acks, list):
        raise UnreadableAnswerError(f"HQ answers a batch with {json_type(result)}, not with a list of verdicts")
    return [read for ack in acks if isinstance(read := _read_ack(ack), SyncAck)]


def accepts_all(result: object, correlation_ids: Sequence[str]) -> bool:
    """Whether this is what nearly every answer is: nothing, or a success for each of these in their order, and no more than that."""
    if result is None:
        return True
    if not isinstance(result, list) or len(result) != len(correlation_ids):
        return False
    try:
        in_order = [ack["correlationId"] for ack in result] == list(correlation_ids)
        return in_order and False not in [ack["success"] is True for ack in result]
    except (TypeError, KeyError):  # it is to be read one by one
        return False


def unreadable_ack(result: object) -> str | None:
    """The first thing in an answer that is no readable ack, in words; None where all of them can be read."""
    acks = result if isinstance(result, list) else [result]
    return next((problem for ack in acks if isinstance(problem := _read_ack(ack), str)), None)


def _read_ack(ack: object) -> SyncAck | str:
    if not isinstance(ack, dict):
        return f"{json_type(ack)} in place of a verdict"
    names = any_case(ack)
    if not isinstance(names.get("correlationid"), str):
        return "a verdict without a correlationId"
    if not isinstance(names.get("success"), bool):
        return "a verdict without success"
    error = names.get("errormessage")
    return SyncAck(
        correlation_id=names["correlationid"],
        success=names["success"],
        error=foreign(error) if isinstance(error, str) else None,
        retryable=names.get("retryable") is not False,
    )


def acks_by_row(acks: list[SyncAck]) -> Callable[[str], SyncAck | None]:
    """Find a row's ack by its correlation id, in whatever case: a .NET hub may hand a Guid back in the other one."""
    exact = {ack.correlation_id: ack for ack in acks}
    folded: dict[str, SyncAck | None] = {}
    for correlation_id, ack in exact.items():
        key = correlation_id.casefold()
        folded[key] = None if key in folded else ack  # ids that differ by their case alone are found only exactly

    def find(correlation_id: str) -> SyncAck | None:
        return exact.get(correlation_id) or folded.get(correlation_id.casefold())

    return find


def sync_ack(correlation_id: str | None, error: str | None, processed_at: datetime) -> dict[str, object]:
    """Our answer for an update of HQ's (`SyncAck`); never a null where a .NET record has a plain string."""
    ack: dict[str, object] = {
        "correlationId": correlation_id or "",
        "success": error is None,
        "processedAt": iso_ms(processed_at),
    }
    if error is not None:
        ack["errorMessage"] = foreign(error)
        ack["retryable"] = False
    return ack


def accepting_ack(processed_at: datetime) -> Callable[[str], bytes]:
    """Writes `sync_ack` as JSON for many that were applied at one moment, by their correlation ids."""
    rest = orjson.dumps(sync_ack(None, None, processed_at)).removeprefix(b'{"correlationId":""')
    return lambda correlation_id: b'{"correlationId":' + orjson.dumps(correlation_id) + rest


def batch_sync_request(
    store_id: int | str, cursor: str | None, since: str | None, entity_types: list[str], batch_size: int
) -> dict[str, object]:
    """What a catch-up asks for (`BatchSyncRequest`), without the fields that are not known."""
    request: dict[str, object] = {"storeId": store_id, "batchSize": batch_size}
    if cursor is not None:
        request["cursor"] = cursor
    if since is not None:
        request["sinceTimestamp"] = since
    if entity_types:
        request["entityTypes"] = entity_types
    return request
