"""A line with a long round trip and no other fault: every byte arrives so many seconds later, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class DelayLine:
    """Between a client and `127.0.0.1:target`.

    Args:
        one_way_seconds: how long a byte travels, each way.
    """

    def __init__(self, target: int, one_way_seconds: float) -> None:
        self._target = target
        self._delay = one_way_seconds
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = 0

    def url(self, direct: str) -> str:
        """The same address, by way of this line."""
        return direct.replace(f":{self._target}/", f":{self.port}/")

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        waiting: deque[bytes] = deque()

        def deliver() -> None:
            data = waiting.popleft()
            if sink.is_closing():
                return
            if data:
                sink.write(data)
            else:
                sink.close()

        while True:
            try:
                data = await source.read(65536)
            except OSError:
                data = b""
            waiting.append(data)
            loop.call_later(self._delay, deliver)
            if not data:
                return
