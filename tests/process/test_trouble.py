"""Disks, locks and files that go wrong under the running daemon: nothing is lost, it is said, and it goes on by itself."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from syncd.store.admin import OutboxAdmin
from tests.support.disks import fill, small_disk
from tests.support.program import of_process
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

NOBODY = "http://127.0.0.1:9/hubs/sync"


async def all_arrived(hub: RefHub, count: int) -> None:
    async def there() -> bool:
        return int(str((await hub.state())["unique"])) == count

    await until(there, f"{count} rows are at HQ")


def contents(folder: Path, pattern: str) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob(pattern))


def health(store: Store, word: str, reason: str = "") -> bool:
    status = store.status()
    return status["health"] == word and (not reason or any(reason in text for text in status["reasons"]))


def own_name() -> str:
    return f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"


async def test_a_till_that_holds_its_file_for_eight_seconds_delays_the_marks_and_nothing_else(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = Store(tmp_path, hub.url())
        await store.create()
        store.sell_many(200)
        with closing(store.till()) as till:
            till.execute("BEGIN IMMEDIATE")
            till.execute("INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('Receipt', 'late', 'Create', '{}')")
            began = time.monotonic()
            async with store.running():
                await all_arrived(hub, 200)
                assert time.monotonic() - began < 8, "sending does not wait for the lock"
                await until(lambda: health(store, "warning", f"held the write lock for 5 s: {own_name()}"), "the status says whose it is")
                assert store.status()["database"]["writeLockHolder"] == own_name()
                await until(lambda: time.monotonic() - began > 8, "eight seconds are over")
                assert store.count("sent") == 0
                till.execute("COMMIT")
                await until(lambda: store.status()["database"]["writeLockHeldSince"] is None, "the lock is free")
                assert store.status()["health"] == "healthy"
                await all_arrived(hub, 201)
                await until(lambda: store.count("sent") == 201, "the marks follow")
                assert [event["holder"] for event in store.events("write_lock_held")] == [own_name()]
                assert store.events("write_lock_free")
                assert not store.events("database_unusable")
        assert (await hub.state())["duplicates"] == 0


async def test_a_full_disk_loses_nothing_is_critical_and_over_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3) as disk:
        async with RefHub() as hub:
            store = Store(tmp_path, hub.url(), database__path=str(disk / "store.db"))
            await store.create()
            async with store.running():
                await until(lambda: store.status().get("state") == "online", "it is connected")
                hub.pause()
                store.sell_many(300)
                await until(lambda: store.status()["outbox"]["pending"]["total"] == 300, "the rows are known")
                filler = fill(disk)
                hub.resume()
                await all_arrived(hub, 300)
                await until(lambda: health(store, "critical", "disk"), "the status says why")
                await until(lambda: store.status()["findings"][0]["code"] == "database_full", "and what to do: to make room")
                assert store.status()["outbox"]["sentTotal"] == 0, "what is not durable does not count"
                filler.unlink()
                await until(lambda: store.count("sent") == 300, "every row is marked")
                await until(lambda: health(store, "healthy"), "the trouble is over")
            state = await hub.state()
            assert (state["duplicates"], state["orderViolationCount"]) == (0, 0)
            assert state["digest"] == store.digest()


async def test_killed_on_a_full_disk_it_sends_again_what_it_could_not_write_down(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3) as disk:
        async with RefHub() as hub:
            store = Store(tmp_path, hub.url(), database__path=str(disk / "store.db"))
            await store.create()
            daemon = Daemon(store)
            await daemon.start()
            await until(lambda: store.status().get("state") == "online", "it is connected")
            hub.pause()
            store.sell_many(100)
            await until(lambda: store.status()["outbox"]["pending"]["total"] == 100, "the rows are known")
            filler = fill(disk)
            hub.resume()
            await all_arrived(hub, 100)
            await until(lambda: health(store, "critical", "disk"), "the status says why")
            await daemon.kill()
            filler.unlink()
            async with store.running():
                await until(lambda: store.count("sent") == 100, "every row is marked")
            assert (await hub.state())["unique"] == 100
            assert (await hub.state())["digest"] == store.digest()


async def test_a_file_of_our_own_that_is_garbage_is_put_aside_and_hq_drops_what_comes_twice(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = Store(tmp_path, hub.url())
        await store.create()
        store.sell_many(100)
        with closing(store.till()) as till:
            till.execute("BEGIN IMMEDIATE")  # so that nothing is marked in the till's file
            daemon = Daemon(store)
            await daemon.start()
            await all_arrived(hub, 100)
            await until(lambda: store.status()["outbox"]["sentTotal"] == 100, "it is durable in our own file")
            await daemon.kill()
            till.execute("ROLLBACK")
        journal = store.database.state_path
        for ending in ("-wal", "-shm"):
            journal.with_name(journal.name + ending).unlink(missing_ok=True)
        journal.write_bytes(os.urandom(20_000))
        async with store.running():
            await until(lambda: store.count("sent") == 100, "all of it went out again, and is marked")
            assert store.events("journal_damaged")
            assert len(contents(tmp_path, "store.db.syncd.damaged-*Z")) == 20_000
        state = await hub.state()
        assert (state["unique"], state["duplicates"]) == (100, 100)
        assert state["digest"] == store.digest()


async def test_a_database_that_is_replaced_under_the_daemon_ends_it_with_a_clear_word(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    backup = Store(tmp_path / "backup", NOBODY)
    await backup.create()
    store = Store(tmp_path, NOBODY)
    daemon = Daemon(store)
    await daemon.start()
    backup.path.replace(store.path)
    assert await daemon.wait() == 74
    assert "was replaced by another file" in store.log_path.read_text(encoding="utf-8")


async def test_a_database_that_is_taken_away_ends_the_daemon_with_a_clear_word(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    daemon = Daemon(store)
    await daemon.start()
    store.path.rename(tmp_path / "elsewhere.db")
    assert await daemon.wait() == 74
    text = store.log_path.read_text(encoding="utf-8")
    assert "has gone" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["store.db.syncd", "store.db.syncd-wal", "store.db-wal", "store.db.syncd.lock"])
async def test_a_file_of_the_store_that_is_deleted_under_the_daemon_ends_it_with_a_clear_word(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path, NOBODY)
    daemon = Daemon(store)
    await daemon.start()
    (tmp_path / name).unlink()
    assert await daemon.wait() == 74
    text = store.log_path.read_text(encoding="utf-8")
    assert f"{name} has gone while it was in use" in text
    assert "Traceback" not in text


async def test_failed_rows_are_brought_back_and_others_cancelled_beside_a_running_daemon(tmp_path: Path) -> None:
    async with RefHub() as hub:
        await hub.control("PUT", "faults", {"refuseEntityIds": ["1", "2"], "refuseRetryable": False})
        store = Store(tmp_path, hub.url())
        await store.create()
        store.sell([("Receipt", n, "Create", "{}", 3) for n in range(5)])
        async with store.running():
            await all_arrived(hub, 3)
            await until(lambda: store.status()["outbox"]["failed"] == 2, "two have failed")
            await hub.control("PUT", "faults", {})
            with OutboxAdmin(store.database) as outbox:
                first, second = outbox.rows("failed", 10)
                assert outbox.cancel([first.id]) == 1
                assert outbox.retry([second.id]) == 1
            await all_arrived(hub, 4)
            await until(lambda: store.status()["outbox"]["failed"] == 0, "none has failed any more")
            await until(lambda: store.count("sent") == 4, "the till's file says so")
            assert store.count("cancelled") == 1
            assert store.status()["outbox"]["pending"]["total"] == 0


async def test_a_row_with_text_that_is_no_utf8_fails_alone_and_the_daemon_goes_on(tmp_path: Path) -> None:
    async with RefHub() as hub:
        store = Store(tmp_path, hub.url())
        await store.create()
        store.sell([("Receipt", n, "Create", "{}", 1) for n in range(8)])
        with closing(sqlite3.connect(store.path)) as till:
            columns = ("payload", "entity_type", "entity_id", "correlation_id")
            for number, column in enumerate(columns, 1):
                till.execute(f"UPDATE sync_outbox SET {column} = CAST(x'80FF' AS TEXT) WHERE id = ?", (number,))
            till.execute("UPDATE sync_outbox SET correlation_id = x'0102', entity_type = x'03' WHERE id = 5")
            till.commit()
        async with store.running():
            await all_arrived(hub, 3)
            await until(lambda: store.status()["outbox"]["failed"] == 5, "the five have failed", 8)
            await until(lambda: store.count("sent") == 3 and store.count("failed") == 5, "the till's file says so")
            with OutboxAdmin(store.database) as outbox:
                assert {row.id for row in outbox.rows("failed", 10)} == {1, 2, 3, 4, 5}


async def test_no_token_is_ever_shown(tmp_path: Path) -> None:
    async with RefHub("--auth=1") as hub:
        token = str(await hub.control("POST", "token?store=7&seconds=3600"))
        token_file = tmp_path / "token"
        token_file.write_text(token + "\n", encoding="utf-8")
        store = Store(tmp_path, hub.url(), hub__access_token_file=str(token_file), log__level="debug")
        await store.create()
        async with store.running() as daemon:
            await until(lambda: store.status().get("state") == "online", "the token is accepted")
            token_file.write_text("wrong-" + token, encoding="utf-8")
            await hub.control("POST", "cut")
            await until(lambda: health(store, "degraded", "does not accept our token"), "a wrong one is refused")
            places = {
                "the log": store.log_path.read_bytes(),
                "the status file": store.status_path.read_bytes(),
                "the command line": of_process(daemon.pid, "cmdline"),
                "the store's files": contents(tmp_path, "store.db*"),
            }
        secrets = [part.encode() for part in token.split(".") if len(part) > 8]
        assert secrets
        for place, content in places.items():
            assert not any(secret in content for secret in secrets), f"{place} shows it"
