"""What we rely on inside pysignalr and websockets; an upgrade that changes any of it must fail here, not in a shop."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from typing import cast

import pysignalr
import pytest
from pysignalr.messages import CloseMessage, CompletionMessage, InvocationMessage, MessageType
from pysignalr.protocol.json import JSONProtocol
from pysignalr.transport.abstract import Transport
from websockets import http11
from websockets.asyncio import client
from websockets.asyncio.connection import Connection
from websockets.streams import StreamReader


def test_pysignalr_is_the_version_whose_insides_we_use() -> None:
    assert version("pysignalr") == "1.3.3"


def test_websockets_is_of_a_series_that_was_tried() -> None:
    assert int(version("websockets").partition(".")[0]) == 17


def test_a_transport_needs_no_more_than_what_we_write() -> None:
    assert Transport.__abstractmethods__ == {"run", "send"}


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


async def test_a_connection_of_another_make_is_opened_the_same_way() -> None:
    opened = asyncio.Event()

    class Protocol(asyncio.Protocol):
        def connection_made(self, _: asyncio.BaseTransport) -> None:
            opened.set()

    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connector = client.connect(f"ws://127.0.0.1:{port}/", proxy=None, sock=None, ssl=None)
        made = Protocol()
        connector.factory = lambda uri: cast("client.ClientConnection", made)  # noqa: ARG005
        assert await connector.open_tcp_connection() is made  # type: ignore[comparison-overlap]
        await opened.wait()


def test_an_answers_head_is_read_without_its_body_and_the_body_by_itself() -> None:
    reader = StreamReader()
    read = reader.read_line, reader.read_exact, reader.read_to_eof
    reader.feed_data(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    head = http11.Response.parse(*read, proxy=True)
    with pytest.raises(StopIteration) as end:
        next(head)
    response = end.value.value
    assert (response.status_code, response.body) == (200, b"")
    with pytest.raises(StopIteration) as end:
        next(http11.read_body(200, response.headers, *read))
    assert end.value.value == b"{}"
