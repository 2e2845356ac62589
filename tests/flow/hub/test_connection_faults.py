"""The connection layer against the real hub, with a line in between that does its worst."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest

from syncd.errors import ConnectionFailed, ConnectionLost
from tests.support.fault_proxy import PASS, RESET, SILENT, Fault, FaultProxy
from tests.support.hub_rig import eventually, eventually_state, hub_settings, make_rig, running
from tests.support.refhub import RefHub
from tests.support.scripted_hub import ScriptedHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncd.config.settings import HubSettings

BEAT = {"storeId": 7, "timestamp": "2026-01-01T00:00:00.000Z", "pendingSyncCount": 0, "clientVersion": "1"}


@pytest.fixture
async def refhub() -> AsyncIterator[RefHub]:
    """A real hub of this test's own."""
    async with RefHub() as hub:
        yield hub


def through(proxy: FaultProxy, **options: Any) -> HubSettings:
    return hub_settings(f"http://127.0.0.1:{proxy.port}/hubs/sync", **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_it_connects_says_who_it_is_and_leaves_politely(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        session = await rig.hub.session()
        assert await session.invoke("heartbeat", BEAT) is None
        assert rig.states[-1] == "connected"
        assert rig.hub.status.connection_id == session.connection_id
        await refhub.control("POST", "push?store=7", {"method": "M", "args": []})
        await eventually(lambda: rig.logged("hub_message_unreadable"))
    assert rig.hub.status.state == "disconnected"
    await eventually_state(refhub, connections=0)
    assert session.loss is not None
    assert rig.capture.entries[0]["event"] == "hub_connecting"
    assert not any("id=" in str(entry) for entry in rig.capture.entries)


async def test_a_refused_connection_is_said_and_tried_again_until_the_hub_is_there() -> None:
    async with FaultProxy(1) as proxy:
        await proxy.refuse()
        async with running(through(proxy)) as rig:
            await eventually(lambda: rig.hub.status.reconnect_attempts >= 3)
            assert "refuses connections" in rig.last_error
            assert rig.hub.status.state == "connecting"
            async with RefHub() as hub:
                proxy.target = hub.port
                await proxy.listen()
                await rig.hub.session()
            assert rig.hub.status.reconnect_attempts == 0


async def test_a_reset_is_said_in_words() -> None:
    async with FaultProxy(1, lambda _: RESET) as proxy:
        with pytest.raises(ConnectionFailed, match="broke the connection off"):
            await make_rig(through(proxy)).hub.try_once()


async def test_a_name_that_nobody_knows_is_said_in_words() -> None:
    with pytest.raises(ConnectionFailed, match=r"name of no-such-hub\.invalid:443 cannot be resolved"):
        await make_rig(hub_settings("https://no-such-hub.invalid/h")).hub.try_once()


async def test_silence_before_negotiate_is_bounded(refhub: RefHub) -> None:
    async with FaultProxy(refhub.port, lambda _: SILENT) as proxy:
        with pytest.raises(ConnectionFailed, match=r"no answer to negotiate from .* within 0\.2 s"):
            await make_rig(through(proxy, connect_timeout_seconds=0.2)).hub.try_once()


async def test_silence_after_negotiate_is_bounded(refhub: RefHub) -> None:
    async with FaultProxy(refhub.port, lambda number: PASS if number == 1 else SILENT) as proxy:
        with pytest.raises(ConnectionFailed, match=r"WebSocket to .* no answer within 0\.5 s"):
            await make_rig(through(proxy, connect_timeout_seconds=0.5)).hub.try_once()


async def test_silence_during_the_signalr_handshake_is_bounded() -> None:
    async with ScriptedHub(handshake=None) as hub:
        with pytest.raises(ConnectionFailed, match=r"took the connection but not the SignalR handshake within 0\.3 s"):
            await make_rig(hub_settings(hub.url, connect_timeout_seconds=0.3)).hub.try_once()


async def test_a_half_open_line_is_noticed_by_the_hubs_silence_and_replaced(refhub: RefHub) -> None:
    async with FaultProxy(refhub.port) as proxy, running(through(proxy, server_timeout_seconds=0.4)) as rig:
        session = await rig.hub.session()
        waiting = asyncio.create_task(session.invoke("Nothing"))
        proxy.freeze()
        invocation = asyncio.create_task(session.invoke("Heartbeat", BEAT))
        with pytest.raises(ConnectionLost, match=r"nothing was heard from the hub for 0\.4 s"):
            await invocation
        await asyncio.gather(waiting, return_exceptions=True)
        proxy.thaw()
        assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None


async def test_a_hub_that_is_quiet_but_pings_is_kept() -> None:
    async with RefHub("--keepalive-seconds=0.2") as hub, running(hub_settings(hub.url(), server_timeout_seconds=1.5)) as rig:
        session = await rig.hub.session()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await session.lost.wait()
        assert session.loss is None


async def test_a_hub_that_is_stopped_is_silent_and_one_that_goes_on_is_found_again(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url(), server_timeout_seconds=0.4, connect_timeout_seconds=0.4)) as rig:
        session = await rig.hub.session()
        refhub.pause()
        await session.lost.wait()
        await eventually(lambda: rig.hub.status.reconnect_attempts >= 1)
        refhub.resume()
        assert (await rig.hub.session()) is not session


async def test_our_pings_keep_a_hub_from_giving_us_up() -> None:
    async with RefHub("--client-timeout-seconds=1") as hub, running(hub_settings(hub.url(), keep_alive_interval_seconds=0.2)) as rig:
        session = await rig.hub.session()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.5):
                await session.lost.wait()


async def test_a_cut_in_flight_fails_every_waiting_invocation_at_once(refhub: RefHub) -> None:
    await refhub.control("PUT", "faults", {"delayMs": 5000})
    async with FaultProxy(refhub.port) as proxy, running(through(proxy)) as rig:
        session = await rig.hub.session()
        waiting = [asyncio.create_task(session.invoke("SendSyncBatch", [])) for _ in range(5)]
        await asyncio.sleep(0)
        started = asyncio.get_running_loop().time()
        proxy.cut()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, ConnectionLost) for outcome in outcomes), outcomes
        assert asyncio.get_running_loop().time() - started < 1
        with pytest.raises(ConnectionLost):
            await session.invoke("Heartbeat", BEAT)


async def test_cut_at_random_bytes_it_always_comes_back(refhub: RefHub) -> None:
    for seed in range(12):
        chance = random.Random(seed)
        faults = {number: Fault(down=chance.randrange(1, 900), then="cut") for number in range(1, 6)}
        faulty = FaultProxy(refhub.port, lambda number, faults=faults: faults.get(number, PASS))  # type: ignore[misc]
        async with faulty as proxy, running(through(proxy)) as rig:
            async with asyncio.timeout(10):
                while proxy.accepted <= 5:
                    try:
                        await (await rig.hub.session()).invoke("Heartbeat", BEAT)
                    except ConnectionLost:
                        continue
            assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None, f"seed {seed}"


async def test_a_black_hole_at_any_byte_is_left_in_bounded_time(refhub: RefHub) -> None:
    options = {"connect_timeout_seconds": 0.3, "server_timeout_seconds": 0.3, "invocation_timeout_seconds": 0.3}
    for fault in (Fault(up=100), Fault(up=420), Fault(up=700), Fault(down=100), Fault(down=800)):
        faulty = FaultProxy(refhub.port, lambda number, fault=fault: fault if number <= 2 else PASS)  # type: ignore[misc]
        async with faulty as proxy, running(through(proxy, **options)) as rig, asyncio.timeout(15):
            while proxy.accepted <= 2:
                session = await rig.hub.session()
                try:
                    await session.invoke("Heartbeat", BEAT)
                except ConnectionLost:
                    continue
            await rig.hub.session()


async def test_fifty_cuts_cost_one_negotiate_and_one_upgrade_each_and_leave_no_task_behind(refhub: RefHub) -> None:
    async with FaultProxy(refhub.port) as proxy, running(through(proxy)) as rig:
        await rig.hub.session()
        tasks = len(asyncio.all_tasks())
        for _ in range(50):
            session = await rig.hub.session()
            assert proxy.cut() == 1
            await session.lost.wait()
        await rig.hub.session()
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
        state = await eventually_state(refhub, connections=1)
        assert (state["negotiates"], state["upgrades"], state["upgradesRefused"]) == (51, 51, 0)
        assert int(str(state["maxConnections"])) <= 2  # the hub may hear of a cut a moment after we are back
        losses = rig.logged("hub_connection_lost")
        assert len(losses) == 50
        assert losses[-1]["retry_in_seconds"] >= 24


async def test_a_restart_of_the_hub_is_survived(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        session = await rig.hub.session()
        await refhub.stop()
        await session.lost.wait()
        await eventually(lambda: rig.hub.status.reconnect_attempts >= 2)
        assert rig.hub.status.state == "reconnecting"
        assert rig.hub.status.disconnected_at is not None
        assert rig.hub.status.next_attempt_at is None or rig.hub.status.next_attempt_at > rig.hub.status.disconnected_at
        await refhub.start()
        assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None
        assert rig.hub.status.disconnected_at is None


async def test_after_so_many_failures_it_is_offline_says_so_once_and_goes_on_slowly() -> None:
    async with running(hub_settings(f"http://127.0.0.1:{free_port()}/h", max_reconnect_attempts=3)) as rig:
        await eventually(lambda: rig.hub.status.reconnect_attempts >= 8)
        assert rig.hub.status.state == "offline"
        assert len(rig.logged("hub_offline")) == 1
        assert all(delay >= 24 for delay in rig.clock.sleeps[3:])
        levels = [entry["log_level"] for entry in rig.logged("hub_connect_failed")]
        assert levels[:8] == ["warning"] * 3 + ["debug"] * 5


async def test_a_token_that_is_refused_is_told_once_even_after_a_long_silence(refhub: RefHub) -> None:
    await refhub.control("PUT", "faults", {"negotiateStatus": 503})
    async with running(hub_settings(refhub.url(), max_reconnect_attempts=2)) as rig:
        await eventually(lambda: rig.hub.status.reconnect_attempts >= 4)
        for _ in range(2):
            await refhub.control("PUT", "faults", {"negotiateStatus": 401})
            await eventually(lambda: rig.hub.status.auth_rejected)
            seen = rig.hub.status.reconnect_attempts
            await eventually(lambda seen=seen: rig.hub.status.reconnect_attempts >= seen + 3)  # type: ignore[misc]
            await refhub.control("PUT", "faults", {})
            await (await rig.hub.session()).invoke("Heartbeat", BEAT)
            await refhub.control("POST", "cut")
    assert [(entry["log_level"], "HTTP 401" in entry["reason"]) for entry in rig.logged("token_rejected")] == [("error", True)] * 2


async def test_quick_reconnects_are_granted_on_request_and_not_for_ever(refhub: RefHub) -> None:
    async with FaultProxy(refhub.port) as proxy, running(through(proxy)) as rig:
        for number in range(25):
            session = await rig.hub.session()
            rig.hub.retry_soon("learning the limit")
            proxy.cut()
            await session.lost.wait()
            await eventually(lambda number=number: len(rig.clock.sleeps) > number)  # type: ignore[misc]
        assert all(delay <= 1.5 for delay in rig.clock.sleeps[:20])
        assert all(delay >= 1 for delay in rig.clock.sleeps[20:25])
        assert [entry["granted"] for entry in rig.logged("hub_retry_soon")] == [True] * 20 + [False] * 5


async def test_a_request_for_a_quick_reconnect_ends_the_wait_that_has_begun(refhub: RefHub) -> None:
    rig = make_rig(hub_settings(refhub.url()))
    held = asyncio.Event()
    asked: list[float] = []

    async def delay(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 1:
            await held.wait()

    rig.clock.delay = delay  # type: ignore[method-assign]
    async with running(rig):
        session = await rig.hub.session()
        session.drop("test")
        await eventually(lambda: asked)
        assert rig.hub.status.next_attempt_at is not None
        rig.hub.retry_soon("now")
        assert (await rig.hub.session()) is not session
        assert 0.5 <= asked[1] <= 1.5
    assert not held.is_set()


async def test_a_connection_that_was_stable_starts_the_delays_anew(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        for _ in range(6):
            (await rig.hub.session()).drop("flapping")
        session = await rig.hub.session()
        rig.clock.ahead += 61
        session.drop("stable")
        await rig.hub.session()
        assert rig.clock.sleeps[5] >= 24
        assert rig.clock.sleeps[6] <= 5


async def test_cancelled_at_any_moment_it_ends_and_leaves_nothing(refhub: RefHub) -> None:
    for turns in [*range(0, 40, 3), 100, 200, 400]:
        async with running(hub_settings(refhub.url())):
            for _ in range(turns):
                await asyncio.sleep(0)
    await eventually_state(refhub, connections=0)


async def test_a_loss_and_a_cancellation_at_once_still_end_the_supervisor(refhub: RefHub) -> None:
    async with FaultProxy(refhub.port) as proxy:
        for turns in range(12):
            async with running(through(proxy)) as rig:
                await rig.hub.session()
                proxy.cut()
                for _ in range(turns):
                    await asyncio.sleep(0)


async def test_one_check_tells_the_facts_and_leaves(refhub: RefHub) -> None:
    rig = make_rig(hub_settings(refhub.url() + "?key=secret"))
    probe = await rig.hub.try_once()
    assert probe.hub_url.endswith("/hubs/sync?key=***")
    assert (probe.negotiate_version, probe.redirects) == (1, 0)
    assert probe.connection_id
    await eventually_state(refhub, connections=0, upgrades=1)
