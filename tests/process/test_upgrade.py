"""A store of the first release goes on with this one: nothing lost, nothing sent twice, whatever happens on the way."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from syncd.store.migrate import migrations
from tests.support.first_schema import restore
from tests.support.flow import close_shop
from tests.support.store import Daemon, Store, until
from tests.support.storefiles import execute, opened

PROJECT = Path(__file__).parents[2]


def upgrade(store: Path, kill_at: int) -> int:
    """Open the store in a process of its own; its exit code."""
    command = [sys.executable, "-m", "tests.support.killed_upgrade", str(store), str(kill_at)]
    return subprocess.run(command, cwd=PROJECT, check=False, timeout=60).returncode


def content(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table of both files, but for the times in the record of the steps."""
    found = {"schema": execute(store, "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")}
    for file in (store, store.with_name("store.db.syncd")):
        for (table,) in execute(file, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
            columns = "component, version, name" if table == "sync_schema" else "*"
            found[f"{file.name} {table}"] = execute(file, f"SELECT {columns} FROM {table} ORDER BY 1, 2")
    return found


async def test_killed_at_any_point_of_the_upgrade_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed" / "store.db"
    undisturbed.parent.mkdir()
    restore(undisturbed)
    before = content(undisturbed)
    async with opened(undisturbed.parent):
        pass
    after = content(undisturbed)
    assert {row[:2] for row in after["store.db sync_schema"]} == {
        (component, step.version) for component in ("outbox", "store") for step in migrations(component)
    }
    for table in ("store.db sync_outbox", "store.db receipts", "store.db.syncd outcome"):
        assert [row[:7] for row in after[table]] == [row[:7] for row in before[table]]
    for number in range(1, 100):
        store = tmp_path / str(number) / "store.db"
        store.parent.mkdir()
        restore(store)
        code = upgrade(store, number)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        async with opened(store.parent):
            assert content(store) == after, f"killed at look {number}"
    assert number >= 3, "the journal's opening, the outbox' second step and what lies around it were all cut"


async def test_told_to_stop_while_a_long_table_is_copied_it_stops_at_once_and_the_next_start_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path, "http://127.0.0.1:9/hubs/sync")
    restore(store.path)
    with closing(sqlite3.connect(store.path)) as till, till:
        rows = [(1000 + number, f"{number}.00") for number in range(50_000)]
        till.executemany("INSERT INTO prices (product_id, price) VALUES (?, ?)", rows)
    daemon = Daemon(store)
    await daemon.start(wait=False)
    await until(lambda: store.events("upgrade_copying"), "it copies")
    assert await daemon.stop() == 0
    assert store.events("upgrade_interrupted")
    ((copied,),) = execute(store.path, "SELECT count(*) FROM sync_rebuilt_prices")
    assert copied > 0
    close_shop(store)
    async with store.running():
        assert execute(store.path, "SELECT count(*) FROM prices WHERE product_id >= 1000") == [(50_000,)]
