"""What passes over a connection: invocations, the hub's calls and their handlers, and what a hub may get wrong."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from syncd.errors import (
    ClosedByHub,
    ConnectionLost,
    InvocationError,
    InvocationTimeout,
    MessageTooLarge,
    MethodMissing,
)
from syncd.hub import dispatcher as dispatcher_module
from syncd.wire.json import Number
from tests.support.hub_rig import eventually, eventually_state, hub_settings, make_rig, running
from tests.support.refhub import RefHub
from tests.support.scripted_hub import ScriptedHub, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncd.hub.session import HubSession

BEAT = {"storeId": 7}


@pytest.fixture
async def refhub() -> AsyncIterator[RefHub]:
    """A real hub of this test's own."""
    async with RefHub() as hub:
        yield hub


def an_item(number: int, payload: str = "{}") -> dict[str, Any]:
    return {
        "entityType": "Receipt", "entityId": number, "operation": "Create", "payload": payload, "timestamp": "2026-01-01T00:00:00.000Z",
        "storeId": 7, "correlationId": f"c{number}", "sequence": number, "priority": 3, "attempt": 1,
    }  # fmt: skip


# ── invocations ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("option", ["--detailed-errors=0", "--detailed-errors=1", "--no-stateful=1"])
async def test_results_errors_and_missing_methods_are_told_apart(option: str) -> None:
    async with RefHub(option) as hub, running(hub_settings(hub.url())) as rig:
        session = await rig.hub.session()
        assert await session.invoke("Heartbeat", BEAT) is None
        (ack,) = await session.invoke("sendsyncbatch", [an_item(1)])
        assert (ack["correlationId"], ack["success"]) == ("c1", True)
        assert not session.lacks("Nothing")
        with pytest.raises(MethodMissing):
            await session.invoke("Nothing")
        assert session.lacks("nothing")
        with pytest.raises(InvocationError, match="Failed to invoke 'SendSyncBatch'") as unbound:
            await session.invoke("SendSyncBatch", 5)
        assert not isinstance(unbound.value, MethodMissing)
        await hub.control("PUT", "faults", {"throwForEntityIds": ["2"]})
        with pytest.raises(InvocationError, match="HQ cannot process"):
            await session.invoke("SendSyncBatch", [an_item(2)])
        assert session.loss is None


async def test_rows_that_are_json_already_arrive_byte_for_byte(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        session = await rig.hub.session()
        payload = '{"total": 12.50, "name": "Müsli 麵 \\u001e"}'
        argument = json.dumps([an_item(1, payload)], ensure_ascii=False).encode()
        await session.invoke_encoded("SendSyncBatch", argument)
        items = await refhub.control("GET", "items")
        assert isinstance(items, list)
        assert items[0]["payload"] == payload


async def test_numbers_come_back_with_their_text(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        received: list[Any] = []

        async def receive(arguments: list[Any], _: bool) -> None:
            received.append(arguments[0])

        rig.hub.on("M", receive)
        await rig.hub.session()
        await refhub.control("POST", "push", b'{"method":"M","args":[{"price":12.50,"count":3,"tiny":1.0E-7}]}')
        await eventually(lambda: received)
        assert received == [{"price": "12.50", "count": 3, "tiny": "1.0E-7"}]
        assert isinstance(received[0]["price"], Number)


async def test_a_message_at_the_limit_passes_and_one_byte_more_is_refused_before_it_is_sent(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url(), max_message_bytes=32768)) as rig:
        session = await rig.hub.session()
        room = 32768 - session.encoded_size("Heartbeat", 2)
        assert await session.invoke_encoded("Heartbeat", b'"' + b"x" * room + b'"') is None
        with pytest.raises(MessageTooLarge) as refused:
            await session.invoke_encoded("Heartbeat", b'"' + b"x" * (room + 12) + b'"')
        assert refused.value.limit == 32768
        assert session.loss is None


async def test_a_message_above_the_hubs_limit_ends_the_connection_with_its_error(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url(), max_message_bytes=100_000)) as rig:
        session = await rig.hub.session()
        with pytest.raises(ClosedByHub) as closed:
            await session.invoke("Heartbeat", {"x": "y" * 40_000})
        assert closed.value.error == "Connection closed with an error."
        assert closed.value.allow_reconnect
        assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None


async def test_an_answer_that_does_not_come_is_a_time_out_which_drops_the_connection(refhub: RefHub) -> None:
    await refhub.control("PUT", "faults", {"silentEvery": 1})
    async with running(hub_settings(refhub.url(), invocation_timeout_seconds=0.2)) as rig:
        session = await rig.hub.session()
        with pytest.raises(InvocationTimeout, match=r"SendSyncBatch: no answer within 0\.2 s"):
            await session.invoke("SendSyncBatch", [])
        with pytest.raises(ConnectionLost, match="SendSyncBatch: no answer"):
            await session.invoke("Heartbeat", BEAT)
        following = await rig.hub.session()
        assert following is not session
        assert rig.logged("hub_connection_lost")[0]["reason"] == "SendSyncBatch: no answer within 0.2 s"
        with pytest.raises(InvocationTimeout):
            await following.invoke("SendSyncBatch", [], timeout_seconds=0.1)
        session = await rig.hub.session()
        session.drop("no answer from HQ")
        with pytest.raises(ConnectionLost, match="no answer from HQ"):
            await session.invoke("Heartbeat", BEAT)
        assert (await rig.hub.session()) is not session
        assert rig.logged("hub_connection_lost")[-1]["reason"] == "no answer from HQ"


async def test_what_cannot_be_json_is_refused_and_costs_nothing(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        session = await rig.hub.session()
        with pytest.raises(ValueError, match="NaN"):
            await session.invoke("Heartbeat", {"x": float("nan")})
        with pytest.raises(TypeError):
            await session.invoke("Heartbeat", object())
        assert await session.invoke("Heartbeat", BEAT) is None


# ── greeting ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_greeting_comes_first_on_every_connection_and_its_failure_is_not_fatal(refhub: RefHub) -> None:
    rig = make_rig(hub_settings(refhub.url()))
    greeted: list[HubSession] = []

    async def beat(session: HubSession) -> None:
        greeted.append(session)
        await session.invoke("Heartbeat", BEAT)

    async def fail(session: HubSession) -> None:
        await session.invoke("Nothing")

    rig.hub.on_connected(beat)
    rig.hub.on_connected(fail)
    async with running(rig):
        for connections in (1, 2):
            session = await rig.hub.session()
            assert len(greeted) == connections
            assert greeted[-1] is session
            assert (await refhub.state())["heartbeats"] == connections
            session.drop("again")
        assert "does not exist" in rig.logged("first_heartbeat_failed")[0]["reason"]


async def test_a_connection_lost_during_the_greeting_is_never_handed_out() -> None:
    async def script(wire: Wire) -> None:
        if len(hub.upgrades) == 1:
            await wire.say({"type": 7, "error": "not now", "allowReconnect": True})
        await wire.until_gone()

    rig = make_rig(hub_settings(""))
    lost: list[HubSession] = []

    async def wait(session: HubSession) -> None:
        if not lost:
            lost.append(session)
            await session.invoke("Heartbeat", BEAT)

    async with ScriptedHub(script) as hub:
        rig = make_rig(hub_settings(hub.url))
        rig.hub.on_connected(wait)
        async with running(rig):
            session = await rig.hub.session()
            assert session is not lost[0]
            assert session.loss is None


async def test_a_bug_in_a_greeting_ends_the_supervisor_with_its_error(refhub: RefHub) -> None:
    async def broken(_: HubSession) -> None:
        raise KeyError("bug")

    rig = make_rig(hub_settings(refhub.url()))
    rig.hub.on_connected(broken)
    with pytest.raises(KeyError, match="bug"):
        await rig.hub.run()
    assert rig.states[-1] == "disconnected"
    await eventually_state(refhub, connections=0)


# ── the hub's calls ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_result_is_sent_while_reading_goes_on(refhub: RefHub) -> None:
    release = asyncio.Event()

    async def slow(arguments: list[Any], wants_result: bool) -> object:
        await release.wait()
        return {"got": arguments, "wanted": wants_result}

    async with running(hub_settings(refhub.url())) as rig:
        rig.hub.on("AskMe", slow)
        session = await rig.hub.session()
        asked = asyncio.create_task(refhub.control("POST", "invoke", {"method": "askme", "args": [1, "x"]}))
        for _ in range(20):
            assert await session.invoke("Heartbeat", BEAT) is None
        release.set()
        assert await asked == {"got": [1, "x"], "wanted": True}


async def test_every_kind_of_answer_to_a_call_reaches_the_hub(refhub: RefHub) -> None:
    async def nothing(_arguments: list[Any], _: bool) -> None:
        return

    async def failing(_arguments: list[Any], _: bool) -> None:
        raise RuntimeError("the drawer is stuck")

    async def cancelled(_arguments: list[Any], _: bool) -> None:
        raise asyncio.CancelledError

    async def odd(_arguments: list[Any], _: bool) -> object:
        return object()

    async def huge(_arguments: list[Any], _: bool) -> object:
        return "x" * 40_000

    async def ask(method: str) -> str:
        with pytest.raises(RuntimeError, match="502") as answer:
            await refhub.control("POST", "invoke", {"method": method, "args": []})
        return str(answer.value)

    async with running(hub_settings(refhub.url())) as rig:
        for handler in (nothing, failing, cancelled, odd, huge):
            rig.hub.on(handler.__name__, handler)
        session = await rig.hub.session()
        assert await refhub.control("POST", "invoke", {"method": "nothing", "args": []}) is None
        assert "the drawer is stuck" in await ask("failing")
        assert "cancelled" in await ask("cancelled")
        assert "is not JSON serializable" in await ask("odd")
        assert "above the limit" in await ask("huge")
        assert "Client didn" in await ask("unknown")
        assert session.loss is None


async def test_a_handler_may_invoke(refhub: RefHub) -> None:
    handled = 0
    async with running(hub_settings(refhub.url())) as rig:

        async def acknowledge(arguments: list[Any], _: bool) -> None:
            nonlocal handled
            await (await rig.hub.session()).invoke("Acknowledge", {"correlationId": arguments[0]["id"], "success": True})
            handled += 1

        rig.hub.on("M", acknowledge)
        await rig.hub.session()
        await refhub.control("POST", "push-many", {"method": "M", "template": '{"id":"c{n}"}', "from": 0, "count": 1500})
        await eventually(lambda: handled == 1500, seconds=30)
        await eventually_state(refhub, acksOkDistinct=1500)


async def test_handlers_start_in_the_order_of_arrival_and_do_not_wait_for_each_other(refhub: RefHub) -> None:
    started: list[int] = []
    gate = asyncio.Event()

    async def handler(arguments: list[Any], _: bool) -> None:
        started.append(arguments[0]["n"])
        await gate.wait()

    async with running(hub_settings(refhub.url())) as rig:
        rig.hub.on("A", handler)
        session = await rig.hub.session()
        await refhub.control("POST", "push-many", {"method": "A", "template": '{"n":{n}}', "from": 0, "count": 1000})
        await eventually(lambda: len(started) == 1000)
        assert started == list(range(1000))
        assert await session.invoke("Heartbeat", BEAT) is None
        gate.set()


def call(number: object, method: str = "A", **fields: object) -> dict[str, Any]:
    return {"type": 1, "target": method, "arguments": [number if isinstance(number, list) else {"n": number}]} | fields


@pytest.mark.parametrize("unpacked", [1_000, 2])
async def test_neighbouring_calls_are_handled_together_and_each_keeps_its_place(monkeypatch: pytest.MonkeyPatch, unpacked: int) -> None:
    monkeypatch.setattr(dispatcher_module, "MAX_UNPACKED", unpacked)
    monkeypatch.setattr(dispatcher_module, "MAX_BURST", 3)
    seen: list[Any] = []
    answers: list[Any] = []
    calls: list[dict[str, Any] | str] = [
        call(0), call(1), call(2, "a"), call(3), call(4), call(5, invocationId="s1"), call(6), call([7]), call(8), call(9),
        call(10, "B"), call(11, "B"), call(12), {"type": 6}, call(13), "nonsense", call(14), call(15), call(16, arguments=[{"n": 16}, 1]),
    ]  # fmt: skip

    async def script(wire: Wire) -> None:
        await wire.say(*calls)
        while (message := await wire.listen()) is not None:
            answers.append(message)

    async def handler(arguments: list[Any], wants_result: bool) -> str | None:
        seen.append(("one", arguments[0]["n"] if isinstance(arguments[0], dict) else arguments[0]))
        return "result" if wants_result else None

    async def burst(messages: list[Any]) -> None:
        seen.append([message["n"] for message in messages])

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url)) as rig:
        rig.hub.on("A", handler, burst)
        rig.hub.on("B", handler)
        await rig.hub.session()
        await eventually(lambda: ("one", 16) in seen and answers)
        assert seen == [
            [0, 1, 2], [3, 4], ("one", 5), ("one", 6), ("one", [7]), [8, 9], ("one", 10), ("one", 11), [12, 13], [14, 15], ("one", 16),
        ]  # fmt: skip
        assert answers == [{"type": 3, "invocationId": "s1", "result": "result"}]


async def test_where_neighbours_fail_together_each_has_its_own_answer() -> None:
    seen: list[int] = []

    async def script(wire: Wire) -> None:
        await wire.say(*map(call, range(5)))
        await wire.until_gone()

    async def handler(arguments: list[Any], _: bool) -> None:
        assert arguments[0]["n"] != 2, "two is one too many"
        seen.append(arguments[0]["n"])

    async def burst(messages: list[Any]) -> None:
        for message in messages:
            await handler([message], False)

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url)) as rig:
        rig.hub.on("A", handler, burst)
        await rig.hub.session()
        await eventually(lambda: seen == [0, 1, 0, 1, 3, 4])
        assert [event.get("calls") for event in rig.logged("hub_handler_failed")] == [5, None]


async def test_beyond_its_bounds_a_flood_is_shed_and_answers_pings_and_callers_do_not_wait_for_it(
    refhub: RefHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "MAX_WAITING", 50)
    monkeypatch.setattr(dispatcher_module, "MAX_UNPACKED", 10)
    monkeypatch.setattr(dispatcher_module, "MAX_RUNNING", 20)
    gate, started, done = asyncio.Event(), list[int](), 0

    async def handler(arguments: list[Any], _: bool) -> None:
        nonlocal done
        started.append(arguments[0]["n"])
        await gate.wait()
        done += 1

    template = '{"n":{n},"pad":"' + "x" * 2000 + '"}'
    async with running(hub_settings(refhub.url(), server_timeout_seconds=2, keep_alive_interval_seconds=0.2)) as rig:
        rig.hub.on("M", handler)
        session = await rig.hub.session()
        await refhub.control("POST", "push-many", {"method": "M", "template": template, "from": 0, "count": 5000})
        assert len(await session.invoke("SendSyncBatch", [an_item(1)])) == 1  # its answer comes behind the flood
        assert (len(started), rig.hub.status.shed_total, rig.hub.status.is_shedding) == (20, 4930, True)
        with pytest.raises(RuntimeError, match="too many calls waiting"):
            await refhub.control("POST", "invoke", {"method": "M", "args": [{"n": -1}]})
        assert not rig.shed
        gate.set()
        await eventually(lambda: rig.shed == [4931])  # now is the time to catch up
        await eventually(lambda: done == 70)
        assert started == list(range(70))
        assert not rig.hub.status.is_shedding
        assert await session.invoke("Heartbeat", BEAT) is None
        assert session.loss is None


async def test_what_was_shed_is_told_when_the_connection_is_lost_too(refhub: RefHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "MAX_WAITING", 1)
    monkeypatch.setattr(dispatcher_module, "MAX_RUNNING", 1)
    gate = asyncio.Event()

    async def stuck(_arguments: list[Any], _: bool) -> None:
        await gate.wait()

    async with running(hub_settings(refhub.url())) as rig:
        rig.hub.on("M", stuck)
        session = await rig.hub.session()
        await refhub.control("POST", "push-many", {"method": "M", "template": "{n}", "from": 0, "count": 5})
        await eventually(lambda: rig.hub.status.shed_total >= 3)
        session.drop("test")
        await eventually(lambda: rig.shed == [rig.hub.status.shed_total])
        assert not rig.hub.status.is_shedding


async def test_verdicts_do_not_wait_for_handlers(refhub: RefHub) -> None:
    gate = asyncio.Event()

    async def stuck(_arguments: list[Any], _: bool) -> None:
        await gate.wait()

    async with running(hub_settings(refhub.url())) as rig:
        rig.hub.on("M", stuck)
        session = await rig.hub.session()
        await refhub.control("POST", "push-many", {"method": "M", "template": '{"n":{n}}', "from": 0, "count": 6000})
        async with asyncio.timeout(10):
            assert len(await session.invoke("SendSyncBatch", [an_item(1)])) == 1


@pytest.mark.parametrize("megabytes", [5, 24])
async def test_a_large_update_arrives_whole(refhub: RefHub, megabytes: int) -> None:
    # 24 MB are more fragments of 4 KiB than websockets puts together itself.
    sizes: list[int] = []

    async def handler(arguments: list[Any], _: bool) -> None:
        (lines,) = arguments
        sizes.append(sum([len(line) async for piece in lines.chunks() for line in piece]))

    async with running(hub_settings(refhub.url())) as rig:
        rig.hub.on("M", handler)
        session = await rig.hub.session()
        lines = {"template": '"' + "ü" * 5000 + '"', "from": 0, "count": megabytes * 100, "perMessage": megabytes * 100}
        await refhub.control("POST", "push-many", {"method": "M", **lines})
        await eventually(lambda: sizes, seconds=30)
        assert sizes == [megabytes * 500_000]
        assert session.loss is None


async def test_a_handler_that_fails_and_a_method_that_nobody_knows_are_told_and_cost_nothing_else(refhub: RefHub) -> None:
    calls = 0

    async def failing(_arguments: list[Any], _: bool) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("no")

    async with running(hub_settings(refhub.url())) as rig:
        rig.hub.on("M", failing)
        session = await rig.hub.session()
        await refhub.control("POST", "push-many", {"method": "M", "template": "{n}", "from": 0, "count": 50})
        await refhub.control("POST", "push-many", {"method": "Unheard", "template": "{n}", "from": 0, "count": 50})
        await eventually(lambda: calls == 50)
        assert await session.invoke("Heartbeat", BEAT) is None
        await eventually(lambda: [message.target for message in rig.unreadable].count("Unheard") == 50)
        assert {line["subject"] for line in rig.logged("hub_handler_failed")} == {"M"}  # by which the log limits repeats
        assert "Unheard" in {line["subject"] for line in rig.logged("hub_message_unreadable")}


# ── what a hub may get wrong ────────────────────────────────────────────────────────────────────────────────────────


async def test_malformed_messages_cost_themselves_and_their_callers_hear_of_it() -> None:
    answers: list[dict[str, Any]] = []
    arrived: list[Any] = []

    async def script(wire: Wire) -> None:
        await wire.say(
            "nonsense",
            {"type": 99},
            {"type": 3, "invocationId": "777", "result": 1},
            '{"type":1,"invocationId":"s1","target":"M","arguments":[NaN]}',
            '{"type":1,"invocationId":"s2","target":"M"}',
            '{"type":1,"target":"M","arguments":[Infinity]}',
            {"type": 1, "target": "M", "arguments": ["fine"], "future": True},
        )
        while (message := await wire.listen()) is not None:
            if message["type"] == 1:
                await wire.say('{"type":3,"invocationId":"' + message["invocationId"] + '","result":NaN}')
            else:
                answers.append(message)

    async def handler(arguments: list[Any], _: bool) -> None:
        arrived.append(arguments)

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url)) as rig:
        rig.hub.on("m", handler)
        session = await rig.hub.session()
        with pytest.raises(InvocationError, match="NaN is not JSON"):
            await session.invoke("Ask")
        await eventually(lambda: len(answers) == 2 and arrived)
        assert [answer["invocationId"] for answer in answers] == ["s1", "s2"]
        assert all("unreadable message" in answer["error"] for answer in answers)
        assert arrived == [["fine"]]
        assert session.loss is None
        await eventually(lambda: len(rig.unreadable) == 5)
        told = [(message.kind, message.target) for message in rig.unreadable]
        assert sorted(told, key=str) == [(1, "M"), (1, "M"), (1, "M"), (3, "Ask"), (None, None)]


async def test_messages_that_come_with_the_handshake_and_in_pieces_are_read() -> None:
    arrived: list[Any] = []

    async def script(wire: Wire) -> None:
        await wire.socket.send_str('guments":["second"]}\x1e{"type":1,"target":"M",')
        await wire.socket.send_bytes(b'"arguments":["third"]}\x1e')
        await wire.until_gone()

    async def handler(arguments: list[Any], _: bool) -> None:
        arrived.extend(arguments)

    first = '{}\x1e{"type":1,"target":"M","arguments":["first"]}\x1e{"type":1,"target":"M","ar'
    async with ScriptedHub(script, handshake=first) as hub, running(hub_settings(hub.url)) as rig:
        rig.hub.on("M", handler)
        await rig.hub.session()
        await eventually(lambda: arrived == ["first", "second", "third"])


async def test_a_web_server_that_answers_pings_for_a_hub_that_hangs_is_silence() -> None:
    async def script(wire: Wire) -> None:
        while not wire.socket.closed:
            await wire.socket.ping(b"x" * 100)
            await asyncio.sleep(0.02)

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url, server_timeout_seconds=0.4)) as rig:
        session = await rig.hub.session()
        async with asyncio.timeout(5):
            await session.lost.wait()
        assert "nothing was heard" in str(session.loss)


async def test_a_large_message_on_a_slow_line_is_no_silence() -> None:
    async def script(wire: Wire) -> None:
        body = b'{"type":1,"target":"M","arguments":["' + b"x" * 60_000 + b'"]}\x1e'
        writer = wire.socket._writer
        assert writer is not None
        transport = writer.transport
        assert transport is not None
        transport.write(b"\x81\x7f" + len(body).to_bytes(8, "big"))  # one frame, slowly
        for at in range(0, len(body), 3000):
            transport.write(body[at : at + 3000])
            await asyncio.sleep(0.05)
        await wire.until_gone()

    arrived: list[int] = []

    async def handler(arguments: list[Any], _: bool) -> None:
        arrived.append(len(arguments[0]))

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url, server_timeout_seconds=0.4)) as rig:
        rig.hub.on("M", handler)
        session = await rig.hub.session()
        await eventually(lambda: arrived == [60_000])
        assert session.loss is None


async def test_a_close_message_fails_what_is_in_flight_before_the_socket_is_closed() -> None:
    hold = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.listen()
        await wire.say({"type": 7, "error": "too much", "allowReconnect": True})
        await hold.wait()

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url)) as rig:
        session = await rig.hub.session()
        started = asyncio.get_running_loop().time()
        with pytest.raises(ClosedByHub, match="too much"):
            await session.invoke("M")
        assert asyncio.get_running_loop().time() - started < 1
        hold.set()


async def test_leaving_says_goodbye_and_closes_with_1000() -> None:
    goodbyes: list[Any] = []

    async def script(wire: Wire) -> None:
        goodbyes.extend(await wire.until_gone())
        goodbyes.append(wire.socket.close_code)

    async with ScriptedHub(script) as hub:
        async with running(hub_settings(hub.url)) as rig:
            await rig.hub.session()
        await eventually(lambda: goodbyes == [{"type": 7}, 1000])


async def test_a_hub_that_does_not_answer_our_leaving_holds_us_for_a_second_at_most() -> None:
    hold = asyncio.Event()

    async def script(_: Wire) -> None:
        await hold.wait()

    async with ScriptedHub(script) as hub:
        async with running(hub_settings(hub.url)) as rig:
            session = await rig.hub.session()
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 2
        assert session.loss is not None
        hold.set()
