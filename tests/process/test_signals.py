"""Signals, and what a service manager hears."""

from __future__ import annotations

import signal
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from syncd.store.admin import OutboxAdmin
from tests.support.program import service_manager
from tests.support.refhub import RefHub
from tests.support.store import Daemon, Store, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOBODY = "http://127.0.0.1:9/hubs/sync"


async def arrived(hub: RefHub) -> int:
    return int(str((await hub.state())["unique"]))


def known_as_sent(store: Store) -> int:
    with OutboxAdmin(store.database) as outbox:
        return len(outbox.rows("sent", -1))


@asynccontextmanager
async def amid_a_backlog(folder: Path, delay_ms: int) -> AsyncIterator[tuple[RefHub, Store, Daemon]]:
    """A hub that takes its time, and a daemon that has sent a part."""
    async with RefHub() as hub:
        await hub.control("PUT", "faults", {"delayMs": delay_ms})
        store = Store(folder, hub.url())
        await store.create()
        store.sell_many(5000)
        daemon = Daemon(store)
        await daemon.start()
        try:

            async def some() -> bool:
                return await arrived(hub) >= 100

            await until(some, "a part has arrived")
            yield hub, store, daemon
        finally:
            await daemon.kill()


async def test_told_to_stop_amid_a_backlog_it_finishes_what_is_in_flight_and_no_more(tmp_path: Path) -> None:
    async with amid_a_backlog(tmp_path, 100) as (hub, store, daemon):
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert await daemon.wait() == 0
        assert time.monotonic() - began < 5
        status = store.status()
        assert (status["state"], status["pid"]) == ("stopped", daemon.pid)
        there = await arrived(hub)
        assert 100 <= there < 5000
        assert known_as_sent(store) == there, "what HQ has taken is known here, and nothing else"
        assert status["outbox"]["pending"]["total"] == 5000 - there
        await hub.control("PUT", "faults", {})
        async with store.running():

            async def all_of_it() -> bool:
                return await arrived(hub) == 5000

            await until(all_of_it, "the rest goes out after the next start")
        state = await hub.state()
        assert (state["duplicates"], state["orderViolationCount"]) == (0, 0)
        assert state["digest"] == store.digest()


async def test_a_second_signal_cuts_the_waiting_short(tmp_path: Path) -> None:
    async with amid_a_backlog(tmp_path, 50) as (hub, store, daemon):
        hub.pause()
        daemon.signal(signal.SIGTERM)
        await until(lambda: store.status().get("state") == "stopping", "it waits for what is in flight")
        began = time.monotonic()
        daemon.signal(signal.SIGINT)
        assert await daemon.wait() == 0
        assert time.monotonic() - began < 4, "a hub that is silent would have held it for ten seconds"
        assert store.status()["state"] == "stopped"
        hub.resume()


async def test_killed_amid_a_backlog_it_goes_on_after_the_next_start(tmp_path: Path) -> None:
    async with amid_a_backlog(tmp_path, 20) as (hub, store, daemon):
        await daemon.kill()
        await hub.control("PUT", "faults", {})
        async with store.running():

            async def all_of_it() -> bool:
                return await arrived(hub) == 5000

            await until(all_of_it, "every row is at HQ")
            await until(lambda: store.count("pending") == 0, "the till's file says so")
        state = await hub.state()
        assert state["orderViolationCount"] == 0
        assert int(str(state["duplicates"])) <= 12 * 50, "only what was in flight went twice, and HQ dropped it"
        assert state["digest"] == store.digest()


async def test_a_new_configuration_is_taken_and_a_bad_one_is_not(tmp_path: Path) -> None:
    async with RefHub() as first, RefHub() as second:
        store = Store(tmp_path, first.url())
        await store.create()
        async with store.running() as daemon:
            await until(lambda: store.status().get("state") == "online", "it is connected")
            store.write_config(sync__batch_size=0)
            daemon.signal(signal.SIGHUP)
            (refused,) = await until(lambda: store.events("configuration_refused"), "the bad one is refused")
            assert "sync.batch_size" in refused["error"]
            store.sell([("Receipt", 1, "Create", "{}", 1)])

            async def at_the_first() -> bool:
                return await arrived(first) == 1

            await until(at_the_first, "the old one is still in use")
            store.write_config(sync__batch_size=10, hub__url=second.url())
            daemon.signal(signal.SIGHUP)
            await until(lambda: store.events("configuration_reloaded"), "the good one is taken")
            store.sell([("Receipt", 2, "Create", "{}", 1)])

            async def at_the_second() -> bool:
                return await arrived(second) == 1

            await until(at_the_second, "the new hub is in use")
            assert store.status()["pid"] == daemon.pid
            assert await arrived(first) == 1


async def test_a_service_manager_hears_the_whole_life(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    with service_manager(tmp_path) as manager:
        daemon = Daemon(store)
        await daemon.start(environ={**manager.environ, "WATCHDOG_USEC": "1000000"})
        try:
            await until(lambda: manager.lines().count("WATCHDOG=1") >= 3, "the watchdog is fed")
            lines = manager.lines()
            assert lines[0] in ("READY=1", "WATCHDOG=1")
            assert lines.count("READY=1") == 1, "local work is possible, though no hub answers"
            assert any(line.startswith("STATUS=") and "rows wait for HQ" in line for line in lines)
            daemon.signal(signal.SIGHUP)
            await until(lambda: manager.lines().count("READY=1") == 2, "it is ready again")
            lines = manager.lines()
            at = lines.index("RELOADING=1")
            assert lines[at + 1].startswith("MONOTONIC_USEC=")
            assert at < len(lines) - 1 - lines[::-1].index("READY=1")
            daemon.signal(signal.SIGTERM)
            assert await daemon.wait() == 0
            lines = manager.lines()
            assert "STOPPING=1" in lines
            assert lines.index("STOPPING=1") > at
        finally:
            await daemon.kill()


async def test_a_service_manager_hears_that_a_new_configuration_was_refused_until_one_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    refused = "the new configuration was refused, the old one is in use: "
    with service_manager(tmp_path) as manager:
        daemon = Daemon(store)
        await daemon.start(environ=manager.environ)
        try:
            store.write_config(sync__batch_size=0)
            daemon.reload()
            await until(lambda: any(refused in line and "sync.batch_size" in line for line in manager.lines()), "it says so")
            store.write_config(sync__batch_size=10)
            daemon.reload()
            await until(lambda: manager.lines().count("READY=1") == 2, "the good one is taken")
            await until(lambda: "refused" not in [line for line in manager.lines() if line.startswith("STATUS=")][-1], "and no more")
        finally:
            await daemon.stop()


async def test_a_watchdog_is_fed_often_enough_for_its_patience(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    with service_manager(tmp_path) as manager:
        daemon = Daemon(store)
        await daemon.start(environ={**manager.environ, "WATCHDOG_USEC": "2000000"})
        try:
            fed: list[float] = []

            def look() -> bool:
                new = manager.lines().count("WATCHDOG=1") - len(fed)
                fed.extend([time.monotonic()] * new)
                return len(fed) >= 6

            await until(look, "it is fed")
            assert max(later - earlier for earlier, later in pairwise(fed)) < 2
        finally:
            await daemon.stop()
