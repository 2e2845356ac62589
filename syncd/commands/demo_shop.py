"""The store of `syncd demo`: a database as a till leaves it after a long outage, a configuration, and the daemon as a process."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import structlog

from syncd.clock import SystemClock
from syncd.config.settings import DatabaseSettings
from syncd.store.opening import open_store

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from pathlib import Path

    from syncd.devhub.server import DevHub

SALES = 1500  # each is a receipt, a payment, a stock movement, and for every tenth a fiscal record
PRODUCTS = 120
TIMEOUT_SECONDS = 60.0
STORE_ID = 17


class DemoFailedError(Exception):
    """Something did not happen in time."""


class Shop:
    """A store in a folder: database, configuration, and the daemon."""

    def __init__(self, folder: Path, hub: DevHub) -> None:
        self.path = folder / "store.db"
        self.status_path = folder / "status.json"
        self._config = folder / "syncd.toml"
        self._log = folder / "syncd.log"
        self._hub = hub
        self._process: Process | None = None
        self.rows = 0

    async def open(self) -> None:
        """Make the database, and a backlog as the till would leave it."""
        self._config.write_text(
            f'[store]\nid = {STORE_ID}\nname = "Demo"\n[database]\npath = "{self.path}"\n'
            f'[hub]\nurl = "{self._hub.url}"\nreconnect_delay_seconds = 2\n[status]\npath = "{self.status_path}"\n',
            encoding="utf-8",
        )
        files = await open_store(DatabaseSettings(path=str(self.path)), SystemClock(), structlog.get_logger())  # type: ignore[arg-type]
        await files.close()
        chance = random.Random(7)  # noqa: S311 - a believable shop, the same every time
        sql = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES (?, ?, ?, ?, ?)"
        with closing(sqlite3.connect(self.path, isolation_level=None)) as till:
            till.execute("CREATE TABLE sales (id INTEGER PRIMARY KEY, product_id INTEGER, total TEXT)")
            till.execute("BEGIN")
            for sale in range(1, SALES + 1):
                product, cents = chance.randint(1, PRODUCTS), chance.randint(120, 2500)
                total = f"{cents // 100}.{cents % 100:02}"
                till.execute("INSERT INTO sales VALUES (?, ?, ?)", (sale, product, total))
                till.execute(sql, ("Receipt", sale, "Create", json.dumps({"receiptId": sale, "productId": product, "total": total}), 2))
                till.execute(sql, ("Payment", sale, "Create", json.dumps({"receiptId": sale, "amount": total, "method": "card"}), 2))
                till.execute(sql, ("Inventory", product, "Update", json.dumps({"productId": product, "sold": 1}), 3))
                if sale % 10 == 0:
                    till.execute(sql, ("FiscalRecord", sale, "Create", json.dumps({"receiptId": sale, "total": total}), 1))
                    till.execute(sql, ("LoyaltyPoints", sale, "Update", json.dumps({"receiptId": sale, "points": cents // 100}), 4))
            till.execute("COMMIT")
        self.rows = self.count("SELECT count(*) FROM sync_outbox")

    async def start(self) -> None:
        """Start the daemon, as the service manager would."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "syncd", "run", "--config", str(self._config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")},
            )  # fmt: skip

    async def stop(self) -> int:
        """Stop it; its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()

    async def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is so.

        Raises:
            DemoFailedError: it is not, or the daemon has ended.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            if self._process is not None and self._process.returncode is not None:
                raise DemoFailedError(f"the daemon ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise DemoFailedError(f"it took more than {TIMEOUT_SECONDS:g} s until {what}")
            await asyncio.sleep(0.05)

    def status(self) -> dict[str, Any]:
        """The status file, as a monitor reads it."""
        try:
            document: dict[str, Any] = json.loads(self.status_path.read_bytes())
        except FileNotFoundError:
            return {}
        return document

    def correlation_ids(self) -> set[str]:
        """Of all that the till wrote."""
        with closing(sqlite3.connect(self.path)) as connection:
            return {row[0] for row in connection.execute("SELECT correlation_id FROM sync_outbox")}

    def count(self, sql: str) -> int:
        """One figure from the store's database."""
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute(sql).fetchone()[0])
