"""Reads what the hub sends: one record of the stream becomes one message.

Each stands alone: unknown types and fields are ignored, and one that cannot be read costs itself only. It is not
dropped without a trace: whoever waits for it is told, and its beginning is kept (`Unreadable`). The connection goes on,
since the separator tells where the next message begins, and one that comes again on every connection would otherwise
cut a store off for good.

A small record is parsed in one go, and so is a page of the feed as long as it holds no fractions. A larger one, and one
that cannot be parsed, is taken apart: the loop goes on meanwhile, and of a list everything is read that can be.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pysignalr.messages import CloseMessage, CompletionMessage, InvocationMessage, Message, MessageType, PingMessage

from syncd.errors import DataError
from syncd.wire.json import parse_json, parse_plain
from syncd.wire.large import LargeList, LargeText
from syncd.wire.scanner import LargeJSONError

SMALL_BYTES = 256 * 1024
"""Parsed in one go: some milliseconds at most."""
PLAIN_CALL = b'{"type":1,"target":"'
PAGE_BYTES = 2 * 1024 * 1024
PAGE_VALUES = 100_000
"""What orjson reads in the same time."""
KEPT_BYTES = 64 * 1024
"""Kept of a message that cannot be read."""
MAX_ARGUMENTS = 1000


class _Recorded:
    """A call that has the message as it came."""

    record: bytes

    @property
    def size(self) -> int:
        """Bytes it took on the wire."""
        return len(self.record)

    @property
    def whole_record(self) -> bytes | None:
        """From which it can be read once more."""
        return self.record


@dataclass
class Call(_Recorded, InvocationMessage, type_=MessageType.invocation):
    """The hub invokes one of our methods.

    Attributes:
        arguments: a long list among them is a `LargeList`.
        record: the message as it came.
    """

    record: bytes = b""


@dataclass
class UnreadCall(_Recorded, Message, type_=MessageType._):
    """A call as it came, which is read when its turn comes: a flood takes no more memory than its bytes.

    Attributes:
        record: as ASP.NET Core writes a call whose caller wants no result; nobody knows yet whether the rest is JSON.
    """

    record: bytes

    @property
    def invocation_id(self) -> str | None:
        """Who waits for a result after all."""
        call = read_call(self.record)
        return None if call is None else call.invocation_id


@dataclass
class Unreadable(Message, type_=MessageType._):
    """A message that cannot be used.

    Attributes:
        kind: its type, where it can be made out.
        invocation_id: whom it concerns, where it can be made out.
        target: the method, where it can be made out.
        reason: what is wrong, in plain words.
        beginning: as it came, at most `KEPT_BYTES`.
    """

    kind: int | None
    invocation_id: str | None
    target: str | None
    reason: str
    beginning: bytes

    @property
    def raw(self) -> str:
        """The beginning as text; bytes that are no UTF-8 are escaped."""
        return self.beginning.decode("utf-8", "backslashreplace")

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self.beginning)

    @property
    def whole_record(self) -> bytes | None:
        """From which it can be read once more; None where only the beginning is held."""
        return self.beginning if len(self.beginning) < KEPT_BYTES else None


class MalformedMessageError(DataError):
    """JSON, but no message of SignalR's."""


async def read_message(record: bytes) -> Message | None:
    """One message; None for a kind that we have no use for. A small one is read without letting anybody else run."""
    if len(record) <= SMALL_BYTES and record.startswith(PLAIN_CALL):
        return UnreadCall(record)
    return await read_whole(record)


async def read_whole(record: bytes) -> Message | None:
    """The same of one that has waited: a call is read, too."""
    if len(record) <= PAGE_BYTES:
        with suppress(ValueError):
            return _message(parse_json(record) if len(record) <= SMALL_BYTES else parse_plain(record, PAGE_VALUES), record)
    return await _Envelope(record).read()


def read_call(record: bytes) -> Call | None:
    """The call that this is, read in one go; None for what is none, or is better left to `read_whole`."""
    if len(record) <= SMALL_BYTES:
        with suppress(ValueError):
            message = _message(parse_json(record), record)
            return message if isinstance(message, Call) else None
    return None


def oversized(beginning: bytes, limit: int) -> _Envelope:
    """What can be made out of a message above the bound."""
    return _Envelope(beginning, f"a message of more than {limit:,} bytes was skipped")


def _message(fields: Any, record: bytes) -> Message | None:
    if not isinstance(fields, dict):
        raise MalformedMessageError("not an object")
    identity = fields.get("invocationId")
    match fields.get("type"):
        case 1:
            target, arguments = fields.get("target"), fields.get("arguments")
            if not isinstance(target, str) or not isinstance(arguments, list) or not isinstance(identity, str | None):
                raise MalformedMessageError("an invocation without target or arguments")
            return Call(identity, target, arguments, record=record)
        case 3:
            error = fields.get("error")
            if not isinstance(identity, str) or not isinstance(error, str | None):
                raise MalformedMessageError("a completion without invocationId, or with an error that is no text")
            return CompletionMessage(identity, fields.get("result"), error)
        case 6:
            return PingMessage()
        case 7:
            error = fields.get("error")
            return CloseMessage(None if error is None else str(error), fields.get("allowReconnect") is True)
        case _:
            return None


class _Envelope:
    """A record that is taken apart, first its members, then what they hold."""

    def __init__(self, record: bytes, known_reason: str | None = None) -> None:
        self._record = record
        self._known_reason = known_reason
        self._text = LargeText(record)
        self._spans: dict[str, tuple[int, int]] = {}

    async def read(self) -> Message | None:
        """The message; an `Unreadable` says what could be made out of it."""
        try:
            await self._find_members()
            fields: dict[str, Any] = {}
            for name, (start, end) in self._spans.items():
                if name == "arguments" and self._small("type") == 1:
                    fields[name] = await self._arguments(start)
                elif name in ("type", "invocationId", "target", "result", "error", "allowReconnect"):
                    fields[name] = await self._text.value(start, end, keep_broken=name == "result")
            return _message(fields, self._record)
        except ValueError as error:
            kind, identity, target = self._small("type"), self._small("invocationId"), self._small("target")
            return Unreadable(
                kind if isinstance(kind, int) else None,
                identity if isinstance(identity, str) else None,
                target if isinstance(target, str) else None,
                self._known_reason or f"unreadable message of {len(self._record):,} bytes: {str(error)[:200]}",
                self._record[:KEPT_BYTES],
            )

    async def _find_members(self) -> None:
        if self._record[:1] != b"{":
            raise MalformedMessageError("not an object")
        async for key, start, end in self._text.children(0):
            if len(self._spans) >= MAX_ARGUMENTS:
                raise LargeJSONError("too many members")
            self._spans[parse_json(key or b"")] = start, end
        if self._record[self._text.end :].strip():
            raise LargeJSONError("something follows the message")

    async def _arguments(self, start: int) -> list[Any]:
        if self._record[start : start + 1] != b"[":
            raise MalformedMessageError("an invocation without arguments")
        spans: list[tuple[int, int]] = []
        async for _, at, end in self._text.children(start):
            if len(spans) >= MAX_ARGUMENTS:
                raise LargeJSONError(f"more than {MAX_ARGUMENTS:,} arguments")
            spans.append((at, end))
        if len(spans) == 1 and self._record[spans[0][0] : spans[0][0] + 1] == b"[":
            return [LargeList(self._record, spans[0][0])]
        return [self._text.whole(at, end) for at, end in spans]

    def _small(self, name: str) -> Any:
        """A member that is needed to say what the message was; None where it cannot be read."""
        start, end = self._spans.get(name, (0, 0))
        if 0 < end - start <= 1000:
            with suppress(ValueError):
                return parse_json(self._record[start:end])
        return None
