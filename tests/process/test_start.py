"""What keeps the daemon from starting is said at once, in words, with the exit code that tells a service manager what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.disks import immutable, read_only
from tests.support.program import of_process, run_to_its_end, service_manager
from tests.support.store import Daemon, Store
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

NOBODY = "http://127.0.0.1:9/hubs/sync"


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("sync__batchsize", 50, ["sync.batchsize", "batch_size"]),
        ("hub__url", "ftp://hq.example.com/hub", ["hub.url", "ftp"]),
        ("hub__url", "http://hq.example.com/hub", ["hub.url", "allow_insecure"]),
        ("hub__access_token_file", "/nowhere/token", ["hub.access_token_file", "/nowhere/token", "does not exist"]),
        ("sync__batch_size", 0, ["sync.batch_size", "0"]),
        ("database__path", "store.db", ["database.path", "absolute"]),
        ("database__path", "/etc", ["database.path", "/etc", "folder"]),
    ],
)
async def test_a_bad_configuration_is_refused_at_once_with_the_key_and_what_is_allowed(
    tmp_path: Path, setting: str, value: Any, says: list[str]
) -> None:
    store = Store(tmp_path, NOBODY)
    store.write_config(**{setting: value})
    ended = await run_to_its_end(store)
    assert ended.code == 78, ended.text
    for words in says:
        assert words in ended.text
    assert "Traceback" not in ended.text
    assert ended.at_once


@pytest.mark.parametrize("by", ["the same path", "a link to the file", "a link to the folder", "another state_path"])
async def test_a_second_instance_is_refused_with_the_pid_of_the_first(tmp_path: Path, by: str) -> None:
    first = Store(tmp_path, NOBODY)
    other = tmp_path / "other"
    other.mkdir()
    second = Store(other, NOBODY, database__path=str(first.path), status__path=str(other / "status.json"))
    if by == "a link to the file":
        (other / "link.db").symlink_to(first.path)
        second.write_config(database__path=str(other / "link.db"))
    elif by == "a link to the folder":
        (other / "link").symlink_to(tmp_path)
        second.write_config(database__path=str(other / "link" / "store.db"))
    elif by == "another state_path":
        second.write_config(database__state_path=str(other / "state.db"))
    async with first.running() as daemon:
        ended = await run_to_its_end(second)
        assert ended.code == 75, ended.text
        assert f"another syncd (pid {daemon.pid}) is already running" in ended.text
        assert ended.at_once
        assert first.status()["pid"] == daemon.pid, "the first goes on"


async def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    await store.create()
    execute(store.path, "INSERT INTO sync_schema VALUES ('store', 99, 'future', '')")
    ended = await run_to_its_end(store)
    assert ended.code == 78, ended.text
    assert "install a syncd at least as new" in ended.text
    assert ended.at_once


def no_database(store: Store) -> None:
    store.path.write_bytes(b"Dear Sir or Madam, " * 500)


def no_folder(store: Store) -> None:
    store.write_config(database__path=str(store.folder / "nowhere" / "store.db"))


def damaged(store: Store) -> None:
    store.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)


@pytest.mark.parametrize(
    ("what", "says"),
    [(no_database, "not a database"), (no_folder, "no such folder"), (damaged, "store.db")],
    ids=["no database", "no folder", "damaged"],
)
async def test_a_database_that_cannot_be_used_is_named(tmp_path: Path, what: Callable[[Store], None], says: str) -> None:
    store = Store(tmp_path, NOBODY)
    what(store)
    ended = await run_to_its_end(store)
    assert ended.code == 74, ended.text
    assert says in ended.text
    assert "Traceback" not in ended.text
    assert "Exception in thread" not in ended.text
    assert ended.at_once


@pytest.mark.parametrize(
    ("how", "what", "says"),
    [
        (immutable, "data/store.db", "store.db may not be read and written"),
        (immutable, "data", "SQLite needs its -wal and -shm files beside store.db"),
        (read_only, "data", "SQLite needs its -wal and -shm files beside store.db"),
    ],
    ids=["the file", "the folder", "the file system"],
)
async def test_what_may_not_be_written_is_named(
    tmp_path: Path, how: Callable[[Path], AbstractContextManager[None]], what: str, says: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    store = Store(tmp_path, NOBODY, database__path=str(data / "store.db"))
    store.path = data / "store.db"
    await store.create()
    with how(tmp_path / what):
        ended = await run_to_its_end(store)
    assert ended.code == 77, ended.text
    assert says in ended.text
    assert ended.at_once


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
async def test_a_link_in_our_way_costs_no_victim_its_content(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    victim = tmp_path / "victim"
    victim.write_text('{"precious": true}', encoding="ascii")
    store = Store(tmp_path, NOBODY)
    for name in ("store.db.syncd.pid", ".store.db.syncd.pid.tmp", "status.json", ".status.json.tmp"):
        make(tmp_path / name, victim)
    async with store.running() as daemon:
        assert store.status()["pid"] == daemon.pid, "what can be replaced is replaced"
        assert (tmp_path / "store.db.syncd.pid").read_text(encoding="ascii") == f"{daemon.pid}\n"
    (tmp_path / "store.db.syncd").unlink()
    for name in ("store.db.syncd.lock", "store.db.syncd", "store.db.syncd-wal", "store.db.syncd-shm"):
        (tmp_path / name).unlink(missing_ok=True)
        make(tmp_path / name, victim)
        ended = await run_to_its_end(store)
        assert ended.code == 77, ended.text
        assert f"{name} " in ended.text
        assert "see who put it there" in ended.text
        (tmp_path / name).unlink()
    assert victim.read_text(encoding="ascii") == '{"precious": true}'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_root_is_told_that_others_may_write_where_it_runs_us(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    async with store.running():
        assert store.events("root_in_shared_folder") == []
    tmp_path.chmod(0o2770)  # noqa: ASYNC240 - nothing else runs
    async with store.running():
        (warning,) = store.events("root_in_shared_folder")
        assert warning["folders"] == [str(tmp_path)]
        assert "as the service's user" in warning["hint"]


async def test_the_database_is_made_with_its_tables_so_that_a_pos_can_be_installed_after_it(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    async with store.running():
        store.sell([("Receipt", 1, "Create", "{}", 1)])
        assert store.count("pending") == 1
        assert store.query("SELECT count(*) FROM active_products") == [(0,)]


async def test_the_daemon_runs_on_uvloop_and_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    async with store.running() as daemon:
        (started,) = store.events("started")
        assert started["event_loop"] == "uvloop"
        assert b"/uvloop/loop." in of_process(daemon.pid, "maps")


async def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    first = Daemon(store)
    await first.start()
    await first.kill()
    assert store.status()["pid"] == first.pid, "it could not say goodbye"
    async with store.running() as second:
        assert second.pid != first.pid


async def test_the_environment_wins_and_a_bad_value_there_is_named_as_such(tmp_path: Path) -> None:
    ended = await run_to_its_end(Store(tmp_path, NOBODY), SYNCD_SYNC__BATCH_SIZE="many")
    assert ended.code == 78
    assert "SYNCD_SYNC__BATCH_SIZE" in ended.text or "sync.batch_size" in ended.text
    assert json.dumps("many").strip('"') in ended.text


async def test_why_it_does_not_start_is_left_with_the_service_manager(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    store.write_config(sync__batch_size=0)
    with service_manager(tmp_path) as manager:
        ended = await run_to_its_end(store, **manager.environ)
        assert ended.code == 78
        [status] = [line for line in manager.lines() if line.startswith("STATUS=")]
        assert "sync.batch_size" in status
