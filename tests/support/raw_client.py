"""A SignalR client that does nothing by itself: the test says every message."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SEPARATOR = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + SEPARATOR
ANSWER_SECONDS = 60.0
CLOSED = "closed"  # what `receive` returns for the WebSocket's close, followed by its code


def invocation(target: str, *arguments: object, number: str | None = "1", **more: object) -> str:
    """An invocation as it goes over the wire; number None asks for no answer."""
    message: dict[str, object] = {"type": 1, "target": target, "arguments": arguments, **more}
    if number is not None:
        message["invocationId"] = number
    return json.dumps(message, ensure_ascii=False) + SEPARATOR


class RawClient:
    """One WebSocket to a hub.

    Attributes:
        socket: for what is not said in text.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._records: deque[str] = deque()

    async def send(self, *texts: str) -> None:
        """Sends the texts as one frame, exactly as given."""
        await self.socket.send_str("".join(texts))

    async def receive_text(self) -> str:
        """The next hub message as written, without its separator; "closed CODE" at the end."""
        while not self._records:
            async with asyncio.timeout(ANSWER_SECONDS):
                frame = await self.socket.receive()
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return f"{CLOSED} {self.socket.close_code}"
            *records, rest = frame.data.split(SEPARATOR)
            assert not rest, f"half a message: {frame.data}"
            self._records.extend(records)
        return self._records.popleft()

    async def receive(self) -> Any:
        """The next hub message, pings left out; "closed CODE" at the end."""
        while True:
            text = await self.receive_text()
            if text.startswith(CLOSED):
                return text
            message = json.loads(text)
            if message != {"type": 6}:
                return message

    async def call(self, target: str, *arguments: object) -> Any:
        """Invokes and waits for the completion; what else comes before it is dropped."""
        await self.send(invocation(target, *arguments))
        while True:
            message = await self.receive()
            if not isinstance(message, dict) or message.get("type") == 3:
                return message

    async def the_end(self) -> list[Any]:
        """Every message up to the close, and the close."""
        seen = []
        while not isinstance(message := await self.receive(), str):
            seen.append(message)
        return [*seen, message]


@asynccontextmanager
async def raw_client(url: str, handshake: str | None = HANDSHAKE, headers: dict[str, str] | None = None) -> AsyncIterator[RawClient]:
    """Connects to a hub's address, its query included; its handshake is answered already unless it is None."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url, autoping=True, max_msg_size=0, headers=headers) as socket:
        client = RawClient(socket)
        if handshake is not None:
            await client.send(handshake)
            assert await client.receive() == {}
        yield client
