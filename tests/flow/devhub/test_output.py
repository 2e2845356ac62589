"""A development hub serves on, whatever becomes of the output that it prints to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd.commands import output_lines
from syncd.commands.output_lines import OutputLines
from syncd.devhub.hub import Watcher
from syncd.devhub.server import DevHub
from tests.support.hub_handle import HubHandle, sync_item
from tests.support.raw_client import raw_client
from tests.support.store import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator


@asynccontextmanager
async def devhub(*options: str, stdout: int) -> AsyncIterator[tuple[HubHandle, Process]]:
    """The command as a process with this standard output, from when it listens to a SIGTERM that it obeys."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", "devhub", "--port", "0", *options,
        stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield await hub_of(process), process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)


async def hub_of(process: Process) -> HubHandle:
    """The hub, as soon as it listens; its output may tell nobody where."""
    port = await until(lambda: listening_port(process.pid), "it listens")
    return HubHandle(f"http://127.0.0.1:{port}/hubs/sync")


def listening_port(pid: int) -> int:
    """The port that a process listens on; 0 where there is none."""
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(fd.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if state == "0A" and f"socket:[{inode}]" in links:
            return int(local.partition(":")[2], 16)
    return 0


async def works(hub: HubHandle) -> None:
    """A store connects, is pushed to, sends a row, gets HQ's verdict, and leaves."""
    async with raw_client(f"{hub.url}?storeId=7") as client:
        for _ in range(20):
            (ack,) = (await client.call("SendSyncBatch", [sync_item()]))["result"]
            assert ack["success"]
        assert (await client.call("Heartbeat", {"storeId": 7}))["result"] is None
        await client.call("Acknowledge", {"correlationId": "a", "success": True})
    await hub.state_until(lambda state: state["connections"] == 0)


def somewhere(kind: str) -> tuple[int, int | None]:
    """A standard output that cannot be written, or will not be; and its other end."""
    if kind == "full disk":
        return os.open("/dev/full", os.O_WRONLY), None
    if kind == "journald restarted":
        ours, theirs = socket.socketpair()
        return theirs.detach(), ours.detach()
    reader, writer = os.pipe()
    if kind != "reader gone":
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 65_536)
        os.set_blocking(writer, kind == "a reader that never reads")
    return writer, reader


@pytest.mark.parametrize(
    ("kind", "cannot_be_written"),
    [
        ("reader gone", True),
        ("journald restarted", True),
        ("full disk", True),
        ("a reader that never reads", False),
        ("a pipe that somebody has made non-blocking", False),
    ],
)
async def test_it_serves_on_and_stops_when_asked(kind: str, cannot_be_written: bool, tmp_path: Path) -> None:
    push = tmp_path / "push.json"
    push.write_text('{"method": "ReceivePriceUpdate", "args": [{"productId": 1}]}')
    stdout, reader = somewhere(kind)
    async with devhub("--push", str(push), stdout=stdout) as (hub, process):
        os.close(stdout)
        if cannot_be_written and reader is not None:
            os.close(reader)
        await works(hub)
        push.write_text('{"method": "ReceivePriceUpdate", "args": [{"productId": 1, "price": 1}]}')
        await works(hub)
    if not cannot_be_written and reader is not None:
        os.close(reader)
    assert process.returncode == 0
    assert process.stderr is not None
    said = (await process.stderr.read()).decode()
    assert said.count("standard output cannot be written") == cannot_be_written
    assert "Traceback" not in said


async def test_one_without_a_standard_output_serves_too() -> None:
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exec {sys.executable} -m syncd devhub --port 0 >&-")
    await works(await hub_of(process))
    process.terminate()
    assert await process.wait() == 0


async def test_what_a_slow_reader_misses_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_lines, "MAX_WAITING_LINES", 3)
    reader, writer = os.pipe()
    output = OutputLines(lambda lines: f"{lines} left out", writer)
    filler = "x" * 70_000  # more than a pipe holds
    output.write(filler)
    await until(lambda: not output._waiting, "the thread is writing it")
    for number in range(5):
        output.write(str(number))
    data = b""
    while not data.endswith(b"left out\n"):
        data += os.read(reader, 65_536)
    assert data.decode().splitlines() == [filler, "0", "1", "2", "2 left out"]
    output.write("and on")
    output.close()
    assert os.read(reader, 65_536) == b"and on\n"
    os.close(reader)
    os.close(writer)


async def test_a_watcher_that_fails_costs_no_store_anything() -> None:
    class Raising(Watcher):
        def on_connect(self, connection: object) -> None:
            raise ZeroDivisionError(connection)

        def on_item(self, item: object, ack: object) -> None:
            raise ZeroDivisionError(item, ack)

        on_disconnect = on_heartbeat = on_ack = on_connect  # type: ignore[assignment]

    async with DevHub(watcher=Raising()) as hub:
        await works(HubHandle(hub.url))
        assert hub.state()["unique"] == 20


async def test_clients_that_are_cut_off_in_the_middle_of_anything_leave_nothing_behind() -> None:
    async with DevHub() as hub:
        handle = HubHandle(hub.url)
        for number in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", int(hub.url.split(":")[2].split("/")[0]))
            request = "GET /hubs/sync?storeId=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            writer.write((request.encode() + b"\x81\xfe\x01\x00abcdef")[: 1 + number])  # the upgrade, and a frame that does not end
            await writer.drain()
            writer.transport.abort()
        await works(handle)
        assert hub.connections == []
