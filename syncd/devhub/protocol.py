"""The JSON hub protocol, as strict as ASP.NET Core's own parser and as forgiving.

It skips unknown fields, and closes the connection for anything that is not to the letter, a `null` in the place of a text
included.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from syncd.devhub import exact

if TYPE_CHECKING:
    from collections.abc import Callable

SEPARATOR = b"\x1e"
JSON_PROTOCOL = "json"
NEWEST_VERSION = 2  # of the handshake; 2 differs from 1 by stateful reconnect only, which nobody has to use

CLOSE = {"type": 7}
CLOSE_WITH_ERROR = {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}
PING = {"type": 6}


class Type(IntEnum):
    """Message types that a client may send."""

    INVOCATION = 1
    STREAM_ITEM = 2
    COMPLETION = 3
    STREAM_INVOCATION = 4
    CANCEL_INVOCATION = 5
    PING = 6
    CLOSE = 7
    ACK = 8
    SEQUENCE = 9


class ProtocolError(Exception):
    """The client sent something that ends its connection."""


class HandshakeError(Exception):
    """The handshake failed; the message is what the client is told."""


class InvocationError(Exception):
    """A hub method cannot answer.

    Attributes:
        before: it could not even be called: no such method, or arguments of the wrong number or type.
    """

    def __init__(self, reason: str | None = None, *, before: bool = False) -> None:
        super().__init__(reason or "")
        self.reason = reason
        self.before = before

    def text(self, method: str) -> str:
        """What the client is told. ASP.NET Core keeps the reason to itself, unless it is a `HubException`."""
        what = f"Failed to invoke '{method}' due to an error" if self.before else f"An unexpected error occurred invoking '{method}'"
        return f"{what} on the server." + (f" HubException: {self.reason}" if self.reason else "")


def encode(message: dict[str, Any]) -> bytes:
    """One message with its separator."""
    return exact.dumps(message) + SEPARATOR


def read_handshake(record: bytes) -> None:
    """Judges the client's first message.

    Raises:
        HandshakeError: its text is the answer's `error`.
    """
    unreadable = "An unexpected error occurred during connection handshake."
    try:
        request = exact.loads(record)
    except ValueError as error:
        raise HandshakeError(unreadable) from error
    if not isinstance(request, dict) or not _is_text(request.get("protocol")) or not _is_int32(request.get("version")):
        raise HandshakeError(unreadable)
    if request["protocol"].lower() != JSON_PROTOCOL:
        raise HandshakeError(f"The protocol '{request['protocol']}' is not supported.")
    if request["version"] > NEWEST_VERSION:
        raise HandshakeError(f"The server does not support version {request['version']} of the '{JSON_PROTOCOL}' protocol.")


def read_message(record: bytes) -> dict[str, Any] | None:
    """Parses one message, its separator removed; None for a type that is unknown.

    Raises:
        ProtocolError: the connection has to be closed.
    """
    try:
        message = exact.loads(record)
    except ValueError as error:
        raise ProtocolError("not JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("not an object")
    for name, fits in _FIELDS.items():
        if name in message and not fits(message[name]):
            raise ProtocolError(f"{name} has the wrong type")
    if "type" not in message:
        raise ProtocolError("type is missing")
    if message["type"] not in _REQUIRED:
        return None
    for name in _REQUIRED[message["type"]]:
        if name not in message:
            raise ProtocolError(f"{name} is missing")
    if message["type"] == Type.COMPLETION and "result" in message and "error" in message:
        raise ProtocolError("a completion has a result or an error")
    return message


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_int32(value: object) -> bool:
    return type(value) is int and -(2**31) <= value < 2**31


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_headers(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


_FIELDS: dict[str, Callable[[object], bool]] = {
    "type": _is_int32,
    "invocationId": _is_text,
    "target": _is_text,
    "error": _is_text,
    "arguments": lambda value: isinstance(value, list),
    "streamIds": _is_texts,
    "headers": _is_headers,
    "allowReconnect": lambda value: isinstance(value, bool),
    "sequenceId": lambda value: type(value) is int,
}
_REQUIRED: dict[int, tuple[str, ...]] = {
    Type.INVOCATION: ("target", "arguments"),
    Type.STREAM_ITEM: ("invocationId", "item"),
    Type.COMPLETION: ("invocationId",),
    Type.STREAM_INVOCATION: ("invocationId", "target", "arguments"),
    Type.CANCEL_INVOCATION: ("invocationId",),
    Type.PING: (),
    Type.CLOSE: (),
    Type.ACK: ("sequenceId",),
    Type.SEQUENCE: ("sequenceId",),
}
