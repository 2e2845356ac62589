"""What `syncd devhub` shows and does, seen from its terminal and from a store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from syncd.commands.devhub import run_devhub
from syncd.devhub.faults import Faults
from syncd.errors import ExitCode, HubError
from tests.support.hub_handle import HubHandle
from tests.support.raw_client import raw_client
from tests.support.store import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

ITEM = {
    "entityType": "Receipt", "entityId": 42, "operation": "Create", "payload": '{"total":12.50}', "timestamp": "2026-11-23T10:00:00Z",
    "storeId": 7, "correlationId": "c42", "sequence": 1, "priority": 2, "attempt": 0,
}  # fmt: skip
PRICE = '{"method": "ReceivePriceUpdate", "args": [{"productId": 1, "price": %s}]}'


class Terminal:
    """A pipe in place of standard output, and what has been read from it so far."""

    def __init__(self) -> None:
        self._reader, self.fd = os.pipe()
        os.set_blocking(self._reader, False)
        self.text = ""

    def close(self) -> None:
        os.close(self._reader)
        os.close(self.fd)

    def lines(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 65_536):
                self.text += data.decode()
        return self.text.splitlines()

    async def line_with(self, text: str) -> str:
        found: str = await until(lambda: next((line for line in self.lines() if text in line), None), f"a line with {text}")
        return found


@asynccontextmanager
async def devhub(
    terminal: Terminal, *, faults: Sequence[str] = (), push_file: Path | None = None, json_output: bool = False
) -> AsyncIterator[str]:
    work = run_devhub(port=0, push_file=push_file, faults=list(faults), json_output=json_output, fd=terminal.fd)
    running = asyncio.create_task(work)
    try:
        line = await terminal.line_with("/hubs/sync")
        yield json.loads(line)["url"] if json_output else line.removeprefix("Development hub ready: ")
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == ExitCode.OK
        await terminal.line_with("topped")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


async def test_it_says_where_it_listens_and_shows_what_arrives(terminal: Terminal) -> None:
    async with devhub(terminal, faults=["refuse-entity-ids=43, 44"]) as url:
        assert "Point a store at it" in await terminal.line_with(f"SYNCD_HUB__URL={url}")
        async with raw_client(f"{url}?storeId=7") as client:
            await client.call("Heartbeat", {"storeId": 7, "pendingSyncCount": 3, "state": "online"})
            await client.call("SendSyncBatch", [ITEM, {**ITEM, "entityId": 43, "correlationId": "c43"}])
            await client.call("Acknowledge", {"correlationId": "x", "success": False, "errorMessage": "malformed"})
        await terminal.line_with("leave")
    shown = [line.split(maxsplit=1)[1].split() for line in terminal.lines()[2:-1]]
    assert [" ".join(words) for words in shown] == [
        "connect store 7",
        "heartbeat store 7 3 pending online",
        'item store 7 Create Receipt/42 {"total":12.50}',
        'item store 7 Create Receipt/43 {"total":12.50} refused: refused by fault',
        "ack x not applied: malformed",
        "leave store 7",
    ]
    assert terminal.lines()[-1] == (
        "Stopped: 1 items, 0 sent twice, 1 refused; 1 heartbeats; 0 updates acknowledged, 1 not; 1 connections."
    )


async def test_it_shows_what_is_asked_of_it_over_http_and_what_stores_fetch(terminal: Terminal) -> None:
    async with devhub(terminal) as url:
        hub = HubHandle(url)
        await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [{}]})
        await hub.faults(refuseEvery=2, captivePortal=False)
        await hub.faults()
        await hub.control("POST", "feed", [ITEM])
        async with raw_client(f"{url}?storeId=7") as client:
            await client.call("RequestBatchSync", {"storeId": 7})
            await hub.control("POST", "push", {"method": "ReceivePriceUpdate", "args": [{}]})
            many = {"method": "ReceivePriceUpdate", "template": "{}", "from": 1, "count": 5, "perMessage": 2}
            await hub.control("POST", "push-many?store=7", many)
        await terminal.line_with("leave")
    shown = [" ".join(line.split()[1:]) for line in terminal.lines()[2:-1]]
    assert shown == [
        "push ReceivePriceUpdate to nobody: no store is connected",
        "faults refuseEvery = 2",
        "faults none",
        "connect store 7",
        "page store 7 1 items of 1, from cursor none",
        "push ReceivePriceUpdate to 1 store",
        "push ReceivePriceUpdate, 3 messages, to store 7",
        "leave store 7",
    ]


async def test_a_line_stays_one_whatever_a_payload_holds(terminal: Terminal) -> None:
    async with devhub(terminal) as url, raw_client(url) as client:
        await client.call("SendSyncItem", {**ITEM, "payload": "one\ntwo\x1b[31m\u2028ü"})
        await client.call("SendSyncItem", {**ITEM, "payload": "x" * 20_000, "correlationId": "long"})
        long = await terminal.line_with("20,0")
        short = await terminal.line_with("one")
    assert short.endswith(r"one\x0atwo\x1b[31m\x2028ü")
    assert len(long) < 600
    assert long.endswith("x… (20,048 characters)")


async def test_json_lines_are_for_programs(terminal: Terminal) -> None:
    async with devhub(terminal, json_output=True) as url, raw_client(url) as client:
        await client.call("SendSyncItem", ITEM)
    events: list[dict[str, Any]] = [json.loads(line) for line in terminal.lines()]
    assert [event["event"] for event in events][:3] == ["ready", "connect", "item"]
    assert events[2]["item"] == ITEM
    assert events[-1]["unique"] == 1


async def test_a_file_is_pushed_to_who_connects_and_again_when_it_changes(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "price.json"
    file.write_text(PRICE % "12.50")
    async with devhub(terminal, push_file=file) as url, raw_client(url) as client:
        assert '"price":12.50' in await client.receive_text()
        file.write_text("{ half")
        await terminal.line_with("not done")
        file.write_text(f"[{PRICE % '13.00'},{PRICE % '14.00'}]")
        assert '"price":13.00' in await client.receive_text()
        assert '"price":14.00' in await client.receive_text()
        file.write_text(f"{PRICE % '15.00'}\n\n{PRICE % '16.00'}\n")
        assert '"price":15.00' in await client.receive_text()
        assert '"price":16.00' in await client.receive_text()


async def test_the_control_door_ends_it_as_well(terminal: Terminal) -> None:
    running = asyncio.create_task(run_devhub(port=0, push_file=None, faults=[], json_output=False, fd=terminal.fd))
    url = (await terminal.line_with("ready:")).removeprefix("Development hub ready: http://").removesuffix("/hubs/sync")
    reader, writer = await asyncio.open_connection(*url.split(":"))
    writer.write(b"POST /control/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert await running == ExitCode.OK
    writer.close()
    await writer.wait_closed()


async def test_a_port_that_is_taken_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(HubError, match=f"port {port} of 127.0.0.1 is taken"):
            await run_devhub(port=port, push_file=None, faults=[], json_output=False)


async def test_a_push_file_that_cannot_be_used_is_said_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"method": 5}')
    (tmp_path / "line.json").write_text(PRICE % "1" + '\n{"method": 5}\n')
    (tmp_path / "more.json").write_text('{"method": "M", "args": [], "store": 7}')
    (tmp_path / "half.json").write_text(PRICE % "1" + '\n{"method":\n')
    for name, reason in (
        ("wrong.json", "is wanted"),
        ("more.json", "and no more is wanted"),
        ("line.json", "line 2: .* is wanted"),
        ("half.json", "unexpected end"),
        ("absent.json", "No such file"),
    ):
        with pytest.raises(ValueError, match=reason):
            await run_devhub(port=0, push_file=tmp_path / name, faults=[], json_output=False)


def test_faults_are_set_by_name() -> None:
    faults = Faults()
    for assignment in ("refuse-every=10", "half_verdicts=yes", "refuse-retryable=off", "throw-for-entity-ids=7,A-1"):
        faults.set(assignment)
    assert faults == Faults(refuse_every=10, half_verdicts=True, refuse_retryable=False, throw_for_entity_ids=["7", "A-1"])


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("refuse=10", r"there is no fault refuse.*There are delay-ms, refuse-every.*captive-portal"),
        ("refuse-evry=10", r"there is no fault refuse-evry; did you mean refuse-every\?"),
        ("refuse-every", "give refuse-every=VALUE; it takes a whole number"),
        ("=3", "'=3' is no fault: give NAME=VALUE"),
        ("delay-ms=99999999999", "at most 2147483647"),
        ("negotiate-status=99", "takes 0 or a status of HTTP"),
        ("refuse-every=often", "'often' is not a whole number"),
        ("half-verdicts=maybe", "'maybe' is neither yes nor no"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_what_can(assignment: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Faults().set(assignment)
