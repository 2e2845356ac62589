"""The commands on the pages that need no booted system, as they are printed: `sudo` is played, a terminal says yes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from syncd.store.catalog import PRICE
from syncd.store.inbox import Inbox
from syncd.store.update import read_update
from tests.support.clock import FakeClock
from tests.support.pages import commands_of
from tests.support.store import PATIENCE_SECONDS, Store, until
from tests.support.storefiles import opened

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent
SUDO = '#!/bin/sh\nwhile [ "$1" = -u ]; do shift 2; done\nexec "$@"\n'
ROWS = """
INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload, status, sent_at, created_at)
VALUES (4000, 'Receipt', 1, 'Create', '{}', 'sent', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-9 days'),
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-10 days'));
INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload, status, attempts, last_error)
VALUES (4711, 'Receipt', 17, 'Create', '{"total":"12.50"}', 'failed', 5, 'no such till'),
       (4712, 'Receipt', 18, 'Create', '{}', 'failed', 5, 'no such till'),
       (4713, 'Payment', 19, 'Create', '{}', 'failed', 5, 'no such till');
"""
WHY, OUTBOX = commands_of("docs/trouble.md")
[VACUUM] = commands_of("docs/upgrade.md")[:1]
DEVHUB, PUSH = commands_of("docs/devhub.md")
DEMO, _ = (line.partition("#")[0].strip() for line in commands_of("README.md", "Try it")[0].splitlines())


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    """One with three failed rows, an old one that HQ has, and a price; the service's user is whoever runs this."""
    store = Store(tmp_path, "http://127.0.0.1:9/hubs/sync")
    async with opened(tmp_path) as files:
        price = {"productId": 4711, "price": "12.50", "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"}
        await Inbox(files.store, FakeClock()).apply([read_update(PRICE, price)])
    with closing(store.till()) as till:
        till.executescript(ROWS)
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    return store


def run(store: Store, commands: str, stdin: int = subprocess.DEVNULL) -> str:
    """What they printed; each must end well."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    environ |= {"SYNCD_CONFIG": str(store.config_path), "PATH": f"{store.folder}:{PROGRAM}:{environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euxc", commands.replace("/var/lib/syncd", str(store.folder))], stdin=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=environ, timeout=PATIENCE_SECONDS * 3, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_why_tells_of_a_row_an_entity_and_a_price(store: Store) -> None:
    shown = run(store, WHY)
    assert shown.count("no such till") >= 2
    assert "12.50" in shown


def test_failed_rows_are_listed_shown_brought_back_given_up_and_old_ones_purged(store: Store, yes: int) -> None:
    shown = run(store, OUTBOX, stdin=yes)
    assert '"total":"12.50"' in shown
    rows = [json.loads(line) for line in run(store, "syncd outbox list --json").splitlines() if line.startswith("{")]
    assert {row["id"]: row["status"] for row in rows if row["status"] != "cancelled"} == {4711: "pending", 4712: "pending"}
    assert store.query("SELECT count(*) FROM sync_outbox WHERE id = 4000") == [(0,)]


def test_the_copy_before_an_upgrade_has_the_rows(store: Store) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed")
    run(store, VACUUM)
    with closing(sqlite3.connect(store.folder / "before-upgrade.db")) as copy:
        assert copy.execute("SELECT count(*) FROM sync_outbox").fetchone() == (4,)


async def test_a_test_hub_a_store_and_a_push(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    database = tmp_path / "store.db"

    def here(command: str) -> str:
        return command.replace("syncd devhub", f"syncd devhub --port {port}").replace("/tmp/", f"{tmp_path}/").replace("5199", port)

    def has(count: str, rows: int) -> bool:
        if not database.exists():
            return False
        with closing(sqlite3.connect(database)) as till:
            if till.execute("SELECT 1 FROM sqlite_schema WHERE name = 'current_prices'").fetchone() is None:
                return False
            return bool(till.execute(count).fetchone() == (rows,))

    async def start(command: str) -> asyncio.subprocess.Process:
        quiet = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_shell(f"exec env {here(command)}", stdin=quiet, stdout=quiet, env=environ, cwd=tmp_path)

    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    environ["PATH"] = f"{PROGRAM}:{environ['PATH']}"
    started: list[asyncio.subprocess.Process] = []
    try:
        for command in DEVHUB.replace("\\\n", " ").splitlines():
            started.append(await start(command))  # noqa: PERF401  (what has started is ended, also where another does not start)
        status = tmp_path / "status.json"
        await until(lambda: status.exists() and json.loads(status.read_bytes())["connection"]["state"] == "connected", "it is connected")
        done = await asyncio.create_subprocess_exec("bash", "-ec", here(PUSH), env=environ, stdout=asyncio.subprocess.DEVNULL)
        assert await done.wait() == 0
        await until(lambda: has("SELECT count(*) FROM current_prices WHERE product_id = 7 AND price = '12.50'", 1), "the price is there")
    finally:
        for process in reversed(started):
            if process.returncode is None:
                process.terminate()
            await process.wait()


def test_the_demo_ends_well() -> None:
    if not (PROJECT / ".venv").is_dir():
        pytest.skip("there is no .venv, and the demo would make it")
    done = subprocess.run([DEMO], cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE_SECONDS * 2, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is well" in done.stdout
