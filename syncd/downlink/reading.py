"""The messages of a call or of a page of the feed, read some at a time; unreadable ones go into the quarantine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.redaction import foreign
from syncd.store.field_values import MalformedError
from syncd.store.quarantine import Quarantined, raw_text
from syncd.store.text import storable
from syncd.wire.large import Broken, LargeList
from syncd.wire.messages import fields_in_any_case

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from structlog.typing import FilteringBoundLogger

    from syncd.store.update import Update

CHUNK_MESSAGES = 250
"""Read before anything else gets its turn, some milliseconds of work."""
MAX_KEPT_SINGLY = 20
"""Malformed objects without a correlation id that get a quarantine entry each; those after them share one."""
MAX_EXAMPLES = 10
"""Of the messages that share an entry, as many are kept as they came."""

_correlation_id = fields_in_any_case("correlationid")


def is_list(arguments: list[Any]) -> bool:
    """Whether a call brings a list of messages, not one; several arguments are taken as a list, too."""
    return len(arguments) != 1 or isinstance(arguments[0], list | LargeList)


async def chunks_of(arguments: list[Any]) -> AsyncIterator[list[Any]]:
    """The messages that a call brings, some at a time; other tasks get a turn in between."""
    first = arguments[0] if len(arguments) == 1 else None
    if isinstance(first, LargeList):
        async for chunk in first.chunks():
            yield chunk
        return
    async for chunk in in_chunks(first if isinstance(first, list) else arguments):
        yield chunk


async def in_chunks(messages: list[Any]) -> AsyncIterator[list[Any]]:
    """The list, some messages at a time; other tasks get a turn in between. An empty list is one empty chunk."""
    yield messages[:CHUNK_MESSAGES]
    for start in range(CHUNK_MESSAGES, len(messages), CHUNK_MESSAGES):
        await asyncio.sleep(0)
        yield messages[start : start + CHUNK_MESSAGES]


@dataclass(slots=True)
class ReadMessages:
    """What some messages held.

    Attributes:
        items: what is to be applied or kept.
        correlation_ids: theirs.
        unreadable: for each message, what is wrong with it; None where it is among the items.
    """

    items: list[Update | Quarantined]
    correlation_ids: list[str | None]
    unreadable: list[str | None]


class MessageReader:
    """Reads the messages of one call or page.

    A malformed message with a correlation id gets a quarantine entry of its own, and so do the first few other
    objects. All the rest of one list (numbers where objects belong, or what is no JSON) shares one entry with a
    count, since it may be millions.

    Args:
        kept_singly: malformed objects without a correlation id that get an entry each.
    """

    def __init__(
        self, method: str, read: Callable[[object], Update], log: FilteringBoundLogger, kept_singly: int = MAX_KEPT_SINGLY
    ) -> None:
        self._kept_singly = kept_singly
        self._method = method
        self._read = read
        self._log = log
        self._total = 0
        self._malformed = 0
        self._first_reason = ""
        self._sharing = 0
        self._shared_reason = ""
        self._examples: list[str] = []

    def read(self, messages: list[Any]) -> ReadMessages:
        """Read some more of them."""
        read = ReadMessages([], [], [])
        for message in messages:
            self._total += 1
            identifier = correlation_id_of(message)
            why = None
            try:
                read.items.append(self._update(message))
            except MalformedError as error:
                why = self._refuse(read, message, identifier, str(error))
            if why is None:
                read.correlation_ids.append(identifier)
            read.unreadable.append(why)
        return read

    def finish(self) -> list[Quarantined]:
        """All are read: log that some could not be, and return the entry that they share."""
        if self._malformed:
            self._log.warning(
                "update_malformed", method=self._method, messages=self._malformed, of=self._total, reason=foreign(self._first_reason)
            )
        if not self._sharing:
            return []
        if self._sharing == 1:
            return [Quarantined(self._method, None, self._shared_reason, self._examples[0])]
        reason = f"{self._sharing:,} of {self._total:,} elements cannot be read, the first: {self._shared_reason}"
        return [Quarantined(self._method, None, reason, "\n".join(self._examples))]

    def _update(self, message: object) -> Update:
        if isinstance(message, Broken):
            raise MalformedError(message.reason)
        return self._read(message)

    def _refuse(self, read: ReadMessages, message: object, identifier: str | None, reason: str) -> str | None:
        """Give it an entry of its own, or return what is wrong with it."""
        self._malformed += 1
        self._first_reason = self._first_reason or reason
        if isinstance(message, dict) and (identifier is not None or self._malformed <= self._kept_singly):
            read.items.append(Quarantined(self._method, identifier, reason, raw_text(message)))
            return None
        self._sharing += 1
        self._shared_reason = self._shared_reason or reason
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(_raw_text(message))
        return reason


def _raw_text(message: object) -> str:
    return message.raw.decode("utf-8", "backslashreplace") if isinstance(message, Broken) else raw_text(message)


def correlation_id_of(message: object) -> str | None:
    """The message's correlation id; None where it has none."""
    (identifier,) = _correlation_id(message) if isinstance(message, dict) else (None,)
    return storable(identifier) if isinstance(identifier, str) and identifier else None
