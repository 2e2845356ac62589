"""The hub of the examples, compiled as it stands: a store sends to it, learns from it, and notices when its feed is another."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from tests.support.csc import csrun
from tests.support.flow import make_store
from tests.support.raw_client import raw_client
from tests.support.store import Store, until

if TYPE_CHECKING:
    from types import TracebackType

PROGRAM = (Path(__file__).parents[3] / "examples/hub/Program.cs").read_text(encoding="utf-8")
START_SECONDS = 120.0
TOKENS = {"Stores": "the-stores-own", "Prices": "another"}


class PrintedHub:
    """The program in a process; a restart keeps its port, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "hub"
        self._folder.mkdir()
        (self._folder / "Program.cs").write_text(PROGRAM, encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None
        self._log = folder / "hub.log"

    def url(self, path: str = "/hubs/sync") -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        program = csrun()
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                program, str(self._folder), f"--urls={self.url('')}", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **{f"Tokens__{name}": token for name, token in TOKENS.items()}},
            )  # fmt: skip
        await until(self._is_up, "the hub listens", START_SECONDS)

    async def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self.log
        try:
            return await self.status("POST", "/hubs/sync/negotiate", token=None) == 401
        except aiohttp.ClientConnectionError:
            return False

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    async def status(self, method: str, path: str, *, token: str | None, json: object = None) -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as http, http.request(method, self.url(path), json=json, headers=headers) as answer:
            return answer.status

    async def price(self, number: int, amount: str, at: str) -> None:
        price = {"productId": number, "price": float(amount), "currency": "EUR", "updatedAt": at, "correlationId": f"p{number}-{amount}"}
        assert await self.status("POST", "/prices", token=TOKENS["Prices"], json=price) == 200


async def a_store(folder: Path, hub: PrintedHub) -> Store:
    token = folder / "token"
    token.write_text(TOKENS["Stores"])
    return await make_store(folder, hub.url(), hub__access_token_file=str(token))


def prices(store: Store) -> dict[int, str]:
    return dict(store.query("SELECT product_id, price FROM prices"))


async def test_the_printed_hub_takes_sales_gives_prices_and_its_new_feed_is_noticed(tmp_path: Path) -> None:
    async with PrintedHub(tmp_path) as hub:
        store = await a_store(tmp_path, hub)
        store.sell([("Receipt", n, "Create", "{}", 2) for n in range(120)] + [("Weather", 1, "Create", "{}", 3)])
        await hub.price(1, "12.5", "2026-11-23T10:00:00Z")
        async with store.running():
            await until(lambda: store.status()["outbox"]["sentTotal"] == 120, "the receipts are at HQ")
            await until(lambda: store.status()["outbox"]["failed"] == 1, "what HQ takes none of has failed")
            assert "HQ takes no Weather" in store.status()["outbox"]["recentErrors"][0]["error"]
            await until(lambda: prices(store) == {1: "12.5"}, "what was set while the store was away is there")
            await hub.price(2, "3.25", "2026-11-23T10:00:00Z")
            await until(lambda: prices(store) == {1: "12.5", 2: "3.25"}, "what is set now is there")
        assert hub.log.count("Took Receipt") == 120

        await hub.stop()
        await hub.start()
        for number in (1, 2, 3):
            await hub.price(number, "99.5", "2026-11-24T10:00:00Z")
        async with store.running():
            await until(lambda: prices(store) == {1: "99.5", 2: "99.5", 3: "99.5"}, "its new feed is read from the beginning")
        assert len(store.events("catch_up_started_over")) == 1


async def test_the_printed_hub_lets_in_who_has_the_token_for_that_and_nobody_else(tmp_path: Path) -> None:
    async with PrintedHub(tmp_path) as hub:
        price = {"productId": 1, "price": 1, "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z", "correlationId": "p"}
        for token, status in ((None, 401), ("", 401), ("wrong", 401), (TOKENS["Stores"], 403), (TOKENS["Prices"], 200)):
            assert await hub.status("POST", "/prices", token=token, json=price) == status
        for token, status in ((None, 401), ("wrong", 401), (TOKENS["Prices"], 403), (TOKENS["Stores"], 200)):
            assert await hub.status("POST", "/hubs/sync/negotiate?negotiateVersion=1", token=token) == status


async def test_the_printed_hub_takes_a_row_once_however_many_bring_it_at_the_same_moment(tmp_path: Path) -> None:
    item = {
        "entityType": "Receipt", "entityId": 1, "operation": "Create", "payload": "{}", "timestamp": "2026-11-23T10:00:00Z", "storeId": 7,
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {TOKENS['Stores']}"}

    async def bring(url: str) -> list[bool]:
        async with raw_client(url, headers=headers) as client:
            verdicts: list[bool] = []
            for number in range(100):
                answer: dict[str, Any] = await client.call("SendSyncBatch", [item | {"correlationId": f"row {number}"}])
                verdicts += [ack["success"] for ack in answer["result"]]
            return verdicts

    async with PrintedHub(tmp_path) as hub:
        assert await asyncio.gather(*(bring(hub.url()) for _ in range(8))) == [[True] * 100] * 8
    assert hub.log.count("Took Receipt") == 100
