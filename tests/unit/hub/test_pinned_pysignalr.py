"""What we rely on inside pysignalr and websockets; an upgrade that changes any of it must fail here, not in a shop."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import pysignalr
from pysignalr.messages import CloseMessage, CompletionMessage, InvocationMessage, Message, MessageType, PingMessage
from pysignalr.protocol.json import JSONProtocol
from pysignalr.transport.abstract import ConnectionState
from pysignalr.transport.websocket import WebsocketTransport
from websockets.asyncio import client
from websockets.asyncio.connection import Connection

PRIVATE_COROUTINES = ("_keepalive", "_on_message")


class Socket:
    """A connection that remembers what was sent and has one thing to say."""

    def __init__(self, says: str = "") -> None:
        self.sent: list[Any] = []
        self._says = says

    async def send(self, data: Any) -> None:
        self.sent.append(data)

    async def recv(self) -> str:
        return self._says


def a_transport(**kwargs: Any) -> tuple[WebsocketTransport, list[Message]]:
    heard: list[Message] = []

    async def callback(message: Message) -> None:
        heard.append(message)

    return WebsocketTransport("ws://localhost/hub", JSONProtocol(), callback, skip_negotiation=True, **kwargs), heard


def test_pysignalr_is_the_version_whose_insides_we_use() -> None:
    assert version("pysignalr") == "1.3.3"


def test_websockets_is_of_a_series_that_was_tried() -> None:
    assert 16 <= int(version("websockets").partition(".")[0]) < 18


def test_the_transport_has_the_coroutines_that_we_use_and_override() -> None:
    for name in PRIVATE_COROUTINES:
        assert inspect.iscoroutinefunction(getattr(WebsocketTransport, name)), name
    assert list(inspect.signature(WebsocketTransport._keepalive).parameters) == ["self", "conn"]


async def test_the_transport_has_the_attributes_that_we_use() -> None:
    transport, _ = a_transport(headers={"A": "b"})
    assert transport._url == "ws://localhost/hub"
    assert transport._headers == {"A": "b"}
    assert transport._state is ConnectionState.disconnected
    assert transport._ws is None
    assert not transport._connected.is_set()


async def test_on_open_only_remembers_the_callback() -> None:
    transport, _ = a_transport()

    async def opened() -> None:
        raise AssertionError

    transport.on_open(opened)
    assert transport._open_callback is opened


async def test_the_keepalive_sleeps_its_interval_and_pings_for_ever() -> None:
    transport, _ = a_transport(signalr_ping_interval=0.001)
    socket = Socket()
    task = asyncio.create_task(transport._keepalive(socket))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while len(socket.sent) < 3:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(socket.sent) == {'{"type": 6}\x1e'}


async def test_a_message_goes_to_the_callback() -> None:
    transport, heard = a_transport()
    await transport._on_message(PingMessage())
    assert heard == [PingMessage()]


def test_the_messages_have_the_fields_that_we_read_and_write() -> None:
    assert InvocationMessage("1", "M", [2]).arguments == [2]
    assert CompletionMessage("1", None, "no").error == "no"
    assert CloseMessage(None, True).allow_reconnect is True
    assert MessageType.invocation.value == 1


def test_the_protocol_is_json_version_1_with_the_record_separator() -> None:
    protocol = JSONProtocol()
    request = protocol.handshake_message()
    assert (request.protocol, request.version, protocol.record_separator) == ("json", 1, "\x1e")


def test_pysignalr_patches_only_the_iteration_of_connect_which_we_do_not_use() -> None:
    assert client.connect.__aiter__ is pysignalr.__aiter__
    for name in ("__await__", "connect", "open_tcp_connection"):
        assert getattr(client.connect, name).__module__ == "websockets.asyncio.client", name


def test_connect_takes_the_arguments_that_we_give() -> None:
    parameters = inspect.signature(client.connect).parameters
    ours = {"additional_headers", "user_agent_header", "proxy", "compression", "open_timeout", "ping_interval", "close_timeout"}
    assert ours | {"max_size", "create_connection", "logger", "kwargs"} <= set(parameters)
    assert "tuple" in str(parameters["max_size"].annotation)


def test_a_connection_gets_its_bytes_by_data_received_and_gives_them_frame_by_frame() -> None:
    assert issubclass(client.ClientConnection, Connection)
    assert issubclass(client.ClientConnection, asyncio.Protocol)
    assert inspect.isasyncgenfunction(client.ClientConnection.recv_streaming)
    assert inspect.signature(client.ClientConnection.send).parameters["text"].default is None
