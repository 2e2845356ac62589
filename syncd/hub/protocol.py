"""SignalR's JSON protocol on pysignalr's, stricter in what it sends and more lenient in what it takes.

Out: UTF-8 and compact (ASP.NET Core counts bytes), no `headers`, no null where the server demands a string, never NaN, and
nothing above the hub's limit: that one message would cost the connection, again and again.

In: a message may share a frame with others or span several. Each stands alone: unknown types and fields are ignored, and one that
cannot be read costs itself only. Its caller is told where the envelope can still be made out (`Unreadable`), else it is counted
as noise; the connection goes on, since the separator keeps us in step and a message that comes again on every connection would
otherwise cut a store off for good.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from pysignalr.messages import (
    CloseMessage,
    CompletionMessage,
    HandshakeMessage,
    HandshakeRequestMessage,
    HandshakeResponseMessage,
    InvocationMessage,
    Message,
    MessageType,
    PingMessage,
)
from pysignalr.protocol.json import JSONProtocol

from syncd.errors import ConnectionFailed, MessageTooLarge
from syncd.redaction import foreign
from syncd.wire.json import Number, parse_json

SEPARATOR = b"\x1e"
MAX_INBOUND_BYTES = 64 * 1024 * 1024
"""A longer message is skipped, so that no hub can make us hold any amount of memory."""
ID_DIGITS = 12
"""Digits allowed for an invocation's id when sizes are computed ahead; at 1000 a second they last 30 years."""


@dataclass
class Call(InvocationMessage, type_=MessageType.invocation):
    """The hub invokes one of our methods.

    Attributes:
        size: bytes it took on the wire.
        unreadable: why it cannot be handed to a handler; its caller still wants an answer.
    """

    size: int = 0
    unreadable: str | None = None


@dataclass
class Unreadable(Message, type_=MessageType._):
    """A message that cannot be used.

    Attributes:
        kind: its type, where it can be made out.
        invocation_id: whom it concerns, where it can be made out.
        reason: what is wrong, in plain words.
    """

    kind: int | None
    invocation_id: str | None
    reason: str


class HubProtocol(JSONProtocol):
    """Encodes and decodes for one connection: it remembers the beginning of a message whose end is still to come."""

    def __init__(self, max_message_bytes: int) -> None:
        super().__init__()
        self._limit = max_message_bytes
        self._records = _Records()

    def encode(self, message: Message | HandshakeMessage) -> str:
        """See `dump`."""
        return self.dump(message).decode()

    def dump(self, message: Message | HandshakeMessage) -> bytes:
        """Encode a message, its separator included.

        Raises:
            MessageTooLarge: above the hub's limit.
            ValueError: it holds NaN or Infinity.
            TypeError: it holds what JSON cannot.
        """
        fields = _fields(message)
        text = orjson.dumps(fields, default=_number, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
        if b"null" in text and _holds_nan(fields):
            raise ValueError("NaN and Infinity are not JSON")
        size = len(text) + len(SEPARATOR)
        if size > self._limit:
            raise MessageTooLarge(size, self._limit)
        return text + SEPARATOR

    def decode(self, raw_message: str | bytes) -> list[Message]:
        """The messages that this piece of the stream completes."""
        raw = raw_message.encode() if isinstance(raw_message, str) else raw_message
        messages = [message for record in self._records.feed(raw) if (message := _read(record)) is not None]
        if self._records.take_oversized():
            messages.append(Unreadable(None, None, f"a message of more than {MAX_INBOUND_BYTES} bytes was skipped"))
        return messages

    def decode_handshake(self, raw_message: str | bytes) -> tuple[HandshakeResponseMessage, Iterable[Message]]:
        """The hub's answer to our handshake, and the messages that came along with it.

        Raises:
            ConnectionFailed: it refuses us, or what answers is no SignalR hub.
        """
        raw = raw_message.encode() if isinstance(raw_message, str) else raw_message
        first, separator, rest = raw.partition(SEPARATOR)
        try:
            answer = parse_json(first)
        except ValueError:
            answer = None
        if not separator or not isinstance(answer, dict):
            raise ConnectionFailed("what answered our handshake is no SignalR hub")
        if answer.get("error") is not None:
            raise ConnectionFailed(f"the hub refused the handshake: {foreign(answer['error'])}")
        return HandshakeResponseMessage(None), self.decode(rest)


def invocation_size(method: str, argument_bytes: int) -> int:
    """Bytes of an invocation with one argument of that many bytes, separator included; an upper bound by a few digits."""
    empty = orjson.dumps(_fields(InvocationMessage("0" * ID_DIGITS, method, [])))
    return len(empty) + argument_bytes + len(SEPARATOR)


class _MalformedError(ValueError):
    """JSON, but no message of SignalR's."""


class _Records:
    """Cuts a stream at its separators, holding no more than the bound."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._skipping = False
        self._oversized = 0

    def feed(self, raw: bytes) -> list[bytes]:
        head, *tail = raw.split(SEPARATOR)
        self._hold(head)
        if not tail:
            return []
        whole = [] if self._skipping else [b"".join(self._pieces)]
        self._pieces, self._held, self._skipping = [], 0, False
        self._hold(tail.pop())
        return [record for record in (*whole, *tail) if record]

    def take_oversized(self) -> bool:
        """Whether messages had to be skipped since the last time."""
        oversized, self._oversized = self._oversized, 0
        return oversized > 0

    def _hold(self, piece: bytes) -> None:
        if not piece or self._skipping:
            return
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > MAX_INBOUND_BYTES:
            self._pieces, self._held, self._skipping = [], 0, True
            self._oversized += 1


def _fields(message: Message | HandshakeMessage) -> dict[str, Any]:
    """What goes on the wire for each kind of message that we send; a null where a string belongs makes the server hang up."""
    match message:
        case HandshakeRequestMessage():
            return {"protocol": message.protocol, "version": message.version}
        case InvocationMessage():
            return {"type": 1, "invocationId": message.invocation_id, "target": message.target, "arguments": message.arguments}
        case CompletionMessage(error=None):
            return {"type": 3, "invocationId": message.invocation_id, "result": message.result}
        case CompletionMessage():
            return {"type": 3, "invocationId": message.invocation_id, "error": message.error}
        case PingMessage():
            return {"type": 6}
        case CloseMessage():
            return {"type": 7}
        case _:
            raise TypeError(f"syncd never sends a {type(message).__name__}")


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.encode())
    raise TypeError(f"{type(value).__name__} is not JSON")


def _holds_nan(value: object) -> bool:
    """NaN and Infinity, which orjson writes as null: another value."""
    match value:
        case float():
            return not math.isfinite(value)
        case Mapping():
            return any(map(_holds_nan, value.values()))
        case list() | tuple():
            return any(map(_holds_nan, value))
        case _:
            return False


def _read(record: bytes) -> Message | None:
    """One message; None for a kind that we have no use for."""
    try:
        fields = parse_json(record)
        return _understood(fields, len(record))
    except ValueError as error:
        return _salvaged(record, str(error))


def _understood(fields: object, size: int) -> Message | None:
    if not isinstance(fields, dict):
        raise _MalformedError("not an object")
    identity = fields.get("invocationId")
    match fields.get("type"):
        case 1:
            target, arguments = fields.get("target"), fields.get("arguments")
            if not isinstance(target, str) or not isinstance(arguments, list) or not isinstance(identity, str | None):
                raise _MalformedError("an invocation without target or arguments")
            return Call(identity, target, arguments, size=size)
        case 3:
            error = fields.get("error")
            if not isinstance(identity, str) or not isinstance(error, str | None):
                raise _MalformedError("a completion without invocationId, or with an error that is no text")
            return CompletionMessage(identity, fields.get("result"), error)
        case 6:
            return PingMessage()
        case 7:
            error = fields.get("error")
            return CloseMessage(None if error is None else str(error), fields.get("allowReconnect") is True)
        case _:
            return None


def _salvaged(record: bytes, reason: str) -> Unreadable:
    """Make out whom a broken message concerned, NaN and huge numbers forgiven, so that nobody waits for it in vain."""
    try:
        fields = cast("object", json.loads(record, parse_constant=_forget, parse_int=_small, parse_float=_forget))
    except (ValueError, RecursionError):
        fields = None
    envelope = fields if isinstance(fields, dict) else {}
    kind, identity = envelope.get("type"), envelope.get("invocationId")
    return Unreadable(
        kind if isinstance(kind, int) else None,
        identity if isinstance(identity, str) else None,
        f"unreadable message of {len(record)} bytes: {reason[:200]}",
    )


def _forget(_: str) -> None:
    return None


def _small(digits: str) -> int | None:
    return int(digits) if len(digits) == 1 else None
