"""TCP in between that misbehaves on demand, and an HTTP proxy that notes what it was asked for."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


@dataclass(frozen=True)
class Fault:
    """What happens to one connection.

    Attributes:
        up: bytes that still pass from client to server; None for all.
        down: bytes that still pass from server to client; None for all.
        then: at the first of the two limits: `hole` swallows everything silently, `cut` resets both sides.
    """

    up: int | None = None
    down: int | None = None
    then: Literal["hole", "cut"] = "hole"


PASS = Fault()
SILENT = Fault(up=0, down=0)
RESET = Fault(up=0, down=0, then="cut")


class Listener:
    """A loopback server whose connections are tasks with an owner."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no more connections; those that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        raise NotImplementedError

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            await self.serve(self.accepted, reader, writer)
        except OSError:
            pass
        except asyncio.CancelledError:
            return  # ours alone cancel it, on the way out
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


class FaultProxy(Listener):
    """Between a client and `127.0.0.1:target`; `plan` says what happens to the n-th connection (from 1)."""

    def __init__(self, target: int, plan: Callable[[int], Fault] = lambda _: PASS) -> None:
        super().__init__()
        self.target = target
        self.plan = plan
        self._frozen = asyncio.Event()
        self._live: set[asyncio.StreamWriter] = set()

    def freeze(self) -> None:
        """Half-open: connections stay, and nothing passes any more."""
        self._frozen.set()

    def thaw(self) -> None:
        """New connections pass again."""
        self._frozen.clear()

    def cut(self) -> int:
        """Reset all connections; how many there were."""
        for writer in (live := list(self._live)):
            _reset(writer)
        return len(live) // 2

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.plan(number)
        if fault == RESET:
            _reset(writer)
            return
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target)
        both = {writer, target_writer}
        self._live |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, target_writer, writer, fault.up, fault.then))
                group.create_task(self._pump(target_reader, writer, target_writer, fault.down, fault.then))
        except* OSError:
            pass
        finally:
            self._live -= both
            target_writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, back: asyncio.StreamWriter, left: int | None, then: str
    ) -> None:
        while data := await source.read(65536):
            if self._frozen.is_set():
                await asyncio.Event().wait()
            if left is not None:
                data, left = data[:left], left - len(data)
            if data:
                sink.write(data)
                await sink.drain()
            if left is not None and left <= 0:
                if then == "cut":
                    _reset(sink)
                    _reset(back)
                    return
                await asyncio.Event().wait()
        if sink.can_write_eof():
            sink.write_eof()


class HttpProxy(Listener):
    """An HTTP proxy for which every host is this machine.

    Attributes:
        asked: `(method, host:port)` of every request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del number
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        authority = target if method == "CONNECT" else urlsplit(target).netloc
        self.asked.append((method, authority))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(authority.rpartition(":")[2]))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far_writer.write(head.replace(f"http://{authority}".encode(), b"", 1))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer))
                group.create_task(_copy(far_reader, writer))
        except* OSError:
            pass
        finally:
            far_writer.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset, as a line does that drops dead or a firewall that has had enough."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
