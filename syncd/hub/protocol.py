"""SignalR's JSON protocol on pysignalr's, stricter in what it sends.

UTF-8 and compact (ASP.NET Core counts bytes), no `headers`, no null where the server demands a string, never NaN, and
nothing above the hub's limit: that one message would cost the connection, again and again. What comes is cut into
records here, and read in `incoming`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from pysignalr.messages import (
    CloseMessage,
    CompletionMessage,
    HandshakeMessage,
    HandshakeRequestMessage,
    InvocationMessage,
    Message,
    PingMessage,
)
from pysignalr.protocol.json import JSONProtocol

from syncd.errors import ConnectionFailed, MessageTooLarge
from syncd.hub.incoming import KEPT_BYTES
from syncd.redaction import foreign
from syncd.wire.json import Number, parse_json

SEPARATOR = b"\x1e"
MAX_INBOUND_BYTES = 32 * 1024 * 1024
"""A longer message is skipped, whatever fragments it comes in, so that no hub can make us hold any amount of memory."""
MAX_HANDSHAKE_BYTES = 64 * 1024
"""The same before the hub has answered our handshake."""
_SEPARATORS = re.compile(SEPARATOR + b"*")
_WINDOW = 64 * 1024
ID_DIGITS = 12
"""Digits allowed for an invocation's id when sizes are computed ahead; at 1000 a second they last 30 years."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The only argument of an invocation, as JSON already."""

    json: bytes


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
        match message:
            case InvocationMessage(arguments=[Encoded(json=argument)]):  # most of what we send: it is copied once
                head = orjson.dumps(_fields(InvocationMessage(message.invocation_id, message.target, [])))
                data = b"".join((head.removesuffix(b"]}"), argument, b"]}", SEPARATOR))
            case _:
                fields = _fields(message)
                text = orjson.dumps(fields, default=_number, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
                if b"null" in text and _holds_nan(fields):
                    raise ValueError("NaN and Infinity are not JSON")
                data = text + SEPARATOR
        if len(data) > self._limit:
            raise MessageTooLarge(len(data), self._limit)
        return data

    def records(self, raw: bytes) -> Iterator[bytes | Oversized]:
        """The messages that this fragment completes, some of them empty, and those that have just become too long."""
        return self._records.feed(raw)


def check_handshake(record: bytes) -> None:
    """Read the hub's answer to our handshake.

    Raises:
        ConnectionFailed: it refuses us, or what answers is no SignalR hub.
    """
    try:
        answer = parse_json(record)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ConnectionFailed("what answered our handshake is no SignalR hub")
    if answer.get("error") is not None:
        raise ConnectionFailed(f"the hub refused the handshake: {foreign(answer['error'])}")


def invocation_size(method: str, argument_bytes: int) -> int:
    """Bytes of an invocation with one argument of that many bytes, separator included.

    An upper bound by a few digits.
    """
    return _empty_invocation_bytes(method) + argument_bytes + len(SEPARATOR)


@cache
def _empty_invocation_bytes(method: str) -> int:
    return len(orjson.dumps(_fields(InvocationMessage("0" * ID_DIGITS, method, []))))


@dataclass(frozen=True, slots=True)
class Oversized:
    """A message above the bound; the rest of it is skipped.

    Attributes:
        beginning: as it came.
    """

    beginning: bytes


class _Records:
    """Cuts a stream at its separators, holding no more than the bound."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skipping = False

    def feed(self, raw: bytes) -> Iterator[bytes | Oversized]:
        start = 0
        while (end := raw.find(SEPARATOR, start)) >= 0:
            if end == start and not self._held and not self._skipping:  # an empty record, and maybe millions of them
                start = _SEPARATORS.match(raw, start, start + _WINDOW).end()  # type: ignore[union-attr] # it matches nothing, too
                yield b""
                continue
            if self._skipping or self._held:
                yield from self._hold(raw, start, end)
                if self._held:
                    yield bytes(self._held)
                self._held, self._skipping = bytearray(), False
            elif end - start > MAX_INBOUND_BYTES:
                yield Oversized(raw[start : start + KEPT_BYTES])
            else:
                yield raw[start:end]
            start = end + len(SEPARATOR)
        yield from self._hold(raw, start, len(raw))

    def _hold(self, raw: bytes, start: int, end: int) -> Iterator[Oversized]:
        if self._skipping:
            return
        if len(self._held) + end - start > MAX_INBOUND_BYTES:
            beginning = bytes(self._held[:KEPT_BYTES])
            beginning += raw[start : start + KEPT_BYTES - len(beginning)]
            self._held, self._skipping = bytearray(), True
            yield Oversized(beginning)
        else:
            self._held += raw[start:end]


def _fields(message: Message | HandshakeMessage) -> dict[str, Any]:
    """What goes on the wire for each kind of message that we send.

    For a null where a string belongs the server closes the connection.
    """
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
