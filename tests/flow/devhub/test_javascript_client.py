"""Microsoft's JavaScript client is content with the development hub."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from syncd.devhub.faults import Faults
from syncd.devhub.server import DevHub
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACKAGE = "@microsoft/signalr@10.0.11"
SCRIPT = Path(__file__).with_name("javascript_client.mjs")
ANSWER_SECONDS = 30.0


def _install(npm: str, folder: Path) -> str | None:
    """Install the client; why it could not be, where that is so."""
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", PACKAGE]
    try:
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "it took more than two minutes"
    return installed.stderr[-300:] if installed.returncode else None


@pytest.fixture(scope="session")
def modules(request: pytest.FixtureRequest) -> Path:
    """A folder with the client installed in it, kept from run to run."""
    npm = shutil.which("npm")
    need("node", npm is not None and shutil.which("node") is not None, "node and npm are not installed")
    cache = request.config.cache
    assert npm is not None
    assert cache is not None
    folder = cache.mkdir(PACKAGE.replace("/", "-").replace("@", "-").strip("-"))
    with FileLock(folder / "lock"):
        if not (folder / "complete").exists():
            (folder / "package.json").write_text("{}")
            failure = _install(npm, folder)
            need("node", failure is None, f"npm could not install {PACKAGE}: {failure}")
            (folder / "complete").touch()
    return folder


class JavaScriptClient:
    """The node process: lines to it, events from it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def expect(self, event: str) -> dict[str, Any]:
        """The next event, which has to be this one."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        said = json.loads(line or '{"event":"the process has ended"}')
        assert said["event"] == event, said
        assert isinstance(said, dict)
        return said

    async def tell(self, do: str, **details: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
        await self._process.stdin.drain()

    async def invoke(self, method: str, *args: object) -> Any:
        await self.tell("invoke", method=method, args=args)
        return (await self.expect("result"))["result"]


@asynccontextmanager
async def javascript_client(url: str, modules: Path) -> AsyncIterator[JavaScriptClient]:
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), url, str(modules), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        client = JavaScriptClient(process)
        await client.expect("connected")
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def sync_item(entity_id: int) -> dict[str, object]:
    return {
        "entityType": "Receipt", "entityId": entity_id, "operation": "Create", "payload": "{}", "timestamp": "2026-11-23T10:00:00Z",
        "storeId": 7, "correlationId": f"c{entity_id}", "sequence": entity_id, "priority": 2, "attempt": 0,
    }  # fmt: skip


async def test_it_sends_a_batch_and_reads_the_verdicts(modules: Path) -> None:
    async with DevHub(faults=Faults(refuse_entity_ids=["2"])) as hub, javascript_client(hub.url, modules) as client:
        acks = await client.invoke("SendSyncBatch", [sync_item(number) for number in (1, 2, 3)])
        assert [(ack["correlationId"], ack["success"]) for ack in acks] == [("c1", True), ("c2", False), ("c3", True)]
        assert await client.invoke("Acknowledge", {"correlationId": "x", "success": True}) is None
        await client.tell("invoke", method="Nope", args=[])
        assert "Method does not exist." in (await client.expect("failed"))["error"]
        state = hub.state()
        assert (state["unique"], state["refused"], state["acksOk"], state["negotiates"], state["upgrades"]) == (2, 1, 1, 1, 1)


async def test_it_receives_updates_and_answers_questions(modules: Path) -> None:
    async with DevHub() as hub, javascript_client(hub.url, modules) as client:
        assert await hub.push("ReceivePriceUpdate", {"productId": 1, "price": 12.5}, store="7") == 1
        assert (await client.expect("price"))["price"] == {"productId": 1, "price": 12.5}
        assert await hub.push("ReceivePriceUpdate", {}, store="8") == 0
        assert await hub.invoke("AskStore", "everything") == "the answer to everything"


async def test_it_comes_back_after_a_line_that_was_lost(modules: Path) -> None:
    async with DevHub() as hub, javascript_client(hub.url, modules) as client:
        for connection in hub.connections:
            connection.drop()
        await client.expect("reconnected")
        assert len(await client.invoke("SendSyncBatch", [sync_item(1)])) == 1
        assert hub.state()["connects"] == 2


async def test_it_takes_a_cut_without_an_invitation_as_final(modules: Path) -> None:
    async with DevHub() as hub, javascript_client(hub.url, modules) as client:
        assert await hub.cut() == 1
        assert (await client.expect("closed"))["error"] is None


async def test_it_stops_politely(modules: Path) -> None:
    async with DevHub() as hub, javascript_client(hub.url, modules) as client:
        await client.tell("stop")
        assert (await client.expect("closed"))["error"] is None
        assert (await client.expect("stopped"))["disconnected"] is True
        async with asyncio.timeout(10):
            for connection in hub.connections:
                await connection.gone.wait()
