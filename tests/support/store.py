"""A store PC for tests: its database as a till writes it, its configuration, and the real daemon as a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

from syncd.clock import SystemClock
from syncd.config.settings import DatabaseSettings
from syncd.store.names import names_in
from syncd.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02


async def until(
    condition: Callable[[], Awaitable[Any] | Any], what: str, seconds: float = PATIENCE_SECONDS, *, poll_seconds: float = POLL_SECONDS
) -> Any:
    """Wait for a condition, and fail with its name; returns what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            message = f"it never came true within {seconds:g} s: {what}"
            raise AssertionError(message)
        await asyncio.sleep(poll_seconds)


class Store:
    """A store in a folder; settings are given as `section__key=value`."""

    def __init__(self, folder: Path, hub_url: str, store_id: int | str = 7, **settings: Any) -> None:
        self.folder = folder
        self.path = folder / "store.db"
        self.status_path = folder / "status.json"
        self.config_path = folder / "syncd.toml"
        self.log_path = folder / "syncd.log"
        self.settings: dict[str, Any] = {
            "store__id": store_id,
            "database__path": str(self.path),
            "hub__url": hub_url,
            "hub__reconnect_delay_seconds": 0.5,
            "hub__reconnect_max_delay_seconds": 2,
            "status__path": str(self.status_path),
            **settings,
        }
        self.declarations = ""  # `[entities.…]`, as they stand in the file
        self.python_options: tuple[str, ...] = ("-X", "dev", "-W", "error::ResourceWarning")  # slow, and it finds things
        self.write_config()

    @property
    def database(self) -> DatabaseSettings:
        """The `database` section."""
        return DatabaseSettings(**{k.partition("__")[2]: v for k, v in self.settings.items() if k.startswith("database__")})

    @property
    def outbox(self) -> str:
        """The name of the table."""
        return names_in(self.database).of("sync_outbox")

    def write_config(self, **changes: Any) -> None:
        """Write the configuration file anew."""
        self.settings.update(changes)
        sections: dict[str, list[str]] = {}
        for key, value in self.settings.items():
            section, _, name = key.partition("__")
            sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
        text = "\n".join(f"[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items())
        self.config_path.write_text(text + self.declarations, encoding="utf-8")

    async def create(self) -> None:
        """Make the database with its tables, as `syncd run` does."""

        class Quiet:
            def error(self, *_: object, **__: object) -> None: ...

        files = await open_store(self.database, SystemClock(), Quiet())  # type: ignore[arg-type]
        await files.close()

    def till(self) -> sqlite3.Connection:
        """A till's connection; close it."""
        connection = sqlite3.connect(self.database.outbox_path, isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def sell(self, rows: Sequence[tuple[str, object, str, str, int]]) -> None:
        """Write outbox rows (entity type and id, operation, payload, priority) in one commit."""
        with closing(self.till()) as till:
            till.execute("BEGIN IMMEDIATE")
            columns = "entity_type, entity_id, operation, payload, priority"
            till.executemany(f"INSERT INTO {self.outbox} ({columns}) VALUES (?, ?, ?, ?, ?)", rows)
            till.execute("COMMIT")

    def sell_many(self, count: int, *, entities: int | None = None, payload_bytes: int = 200) -> None:
        """Write so many receipts of all four priorities; `entities` different ones (each its own by default)."""
        filler = "ü" * (payload_bytes // 2)
        self.sell(
            [
                ("Receipt", n % (entities or count), "Create", json.dumps({"n": n, "total": "12.50", "note": filler}), 1 + n % 4)
                for n in range(count)
            ]
        )

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read from the store's database; with a prefix, names in brackets have it."""
        with closing(self.till()) as till:
            return till.execute(names_in(self.database).sql(sql), parameters).fetchall()

    def count(self, status: str) -> int:
        """Rows with this status in the till's file."""
        return int(self.query(f"SELECT count(*) FROM {self.outbox} WHERE status = ?", status)[0][0])

    def digest(self) -> str:
        """What the hub's `digest` must be once every row has arrived."""
        total = bytearray(32)
        for row in self.query(f"SELECT correlation_id, entity_type, entity_id, operation, payload FROM {self.outbox}"):
            text = "\n".join(str(part) for part in row)
            for index, byte in enumerate(hashlib.sha256(text.encode()).digest()):
                total[index] ^= byte
        return total.hex()

    def status(self) -> dict[str, Any]:
        """The status file; empty while there is none."""
        try:
            document: dict[str, Any] = json.loads(self.status_path.read_bytes())
        except FileNotFoundError:
            return {}
        return document

    def log(self) -> list[dict[str, Any]]:
        """The daemon's log, all its lives."""
        lines = self.log_path.read_text(encoding="utf-8").splitlines() if self.log_path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.log() if line["event"] == name]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Daemon]:
        """The daemon, from READY (its status file is there) to a clean stop."""
        daemon = Daemon(self)
        await daemon.start()
        try:
            yield daemon
        finally:
            await daemon.stop()


class Daemon:
    """`syncd run` as a process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    async def start(self, *, wait: bool = True, environ: dict[str, str] | None = None) -> None:
        """Start it; with `wait`, return when it has written its status file."""
        with self.store.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self.store.python_options, "-m", "syncd", "run", "--config", str(self.store.config_path),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**{k: v for k, v in os.environ.items() if not k.startswith("SYNCD_")}, **(environ or {})},
            )  # fmt: skip
        if wait:
            await until(self.is_up, "the daemon writes its status file")

    def is_up(self) -> bool:
        """Whether the status file is this process's."""
        assert self.process is not None
        if self.process.returncode is not None:
            message = f"syncd ended with {self.process.returncode}:\n{self.store.log_path.read_text(encoding='utf-8')[-3000:]}"
            raise AssertionError(message)
        return bool(self.store.status().get("pid") == self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def reload(self) -> None:
        """Have it read its configuration again."""
        self.signal(signal.SIGHUP)

    async def wait(self, seconds: float = 30) -> int:
        """Its exit code."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def stop(self) -> int:
        """Ask it to stop, and wait for that; a process that is gone already is fine."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        try:
            return await self.wait()
        except TimeoutError:
            await self.kill()
            raise

    async def kill(self) -> None:
        """Pull the plug."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
