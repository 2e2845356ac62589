"""The control calls are strict: a mistake is answered by 400 and what is wrong, and changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from syncd.devhub.control import ENDPOINTS
from syncd.devhub.faults import Faults
from syncd.devhub.server import DevHub
from tests.support.hub_handle import HubHandle, sync_item
from tests.support.raw_client import raw_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PUSH = {"method": "M", "args": [1]}
MANY = {"method": "M", "template": '{"n":{n}}', "from": 0, "count": 2}
MISTAKES: list[tuple[str, str, object, str]] = [
    ("GET", "state?verbose=1", None, "no parameter verbose"),
    ("GET", "items?store=7", None, "no parameter store"),
    ("GET", "times?x=1", None, "no parameter x"),
    ("GET", "faults?x=1", None, "no parameter x"),
    ("GET", "arrivals?ofset=1", None, "no parameter ofset here; did you mean offset"),
    ("GET", "arrivals?offset=-1", None, "offset is '-1'"),
    ("GET", "arrivals?count=many", None, "count is 'many'"),
    ("GET", "arrivals?count=1&count=2", None, "count is given twice"),
    ("POST", "reset?all=1", None, "no parameter all"),
    ("POST", "reset", {"faults": True}, "no body"),
    ("POST", "cut?store=7", None, "no parameter store"),
    ("POST", "cut", [7], "no body"),
    ("POST", "stop?now=1", None, "no parameter now"),
    ("POST", "stop", {"when": "now"}, "no body"),
    ("PUT", "faults", {"refuseEverry": 2}, "did you mean refuseEvery"),
    ("PUT", "faults", {"delayMs": 1, "halfVerdict": True}, "no fault halfVerdict"),
    ("PUT", "faults", {"delayMs": "1"}, "delayMs takes a whole number"),
    ("PUT", "faults", {"delayMs": True}, "delayMs takes a whole number"),
    ("PUT", "faults", {"delayMs": -1}, "takes a whole number from 0"),
    ("PUT", "faults", {"negotiateStatus": 99}, "takes 0 or a status of HTTP"),
    ("PUT", "faults", {"refuseEntityIds": [7]}, "takes a list of texts"),
    ("PUT", "faults", [], "faults are an object"),
    ("PUT", "faults", "nonsense", "is not JSON"),
    ("PUT", "faults", "", "a body of JSON is wanted"),
    ("PUT", "faults?delayMs=1", {}, "no parameter delayMs"),
    ("POST", "feed", {}, "a list of SyncItem is wanted"),
    ("POST", "feed", [sync_item(), {"entityTpye": "Price"}], "did you mean entityType"),
    ("POST", "feed", [sync_item(), sync_item(payload={})], "each field of its own type"),
    ("POST", "feed", [sync_item(), None], "a list of SyncItem is wanted"),
    ("POST", "feed?store=7", [sync_item()], "no parameter store"),
    ("POST", "push", {"method": "M", "arguments": [1]}, "no field arguments here"),
    ("POST", "push", {"method": "M"}, "args is missing"),
    ("POST", "push", {"args": []}, "method is missing"),
    ("POST", "push", {"method": 5, "args": []}, "method must be a text"),
    ("POST", "push", {"method": "M", "args": {}}, "args must be a list"),
    ("POST", "push", [PUSH], "an object with method, args is wanted"),
    ("POST", "push", "[" * 300 + "]" * 300, "nested too deeply"),
    ("POST", "push?stroe=7", PUSH, "did you mean store"),
    ("POST", "push-many", {**MANY, "permessage": 2}, "did you mean perMessage"),
    ("POST", "push-many", {**MANY, "perMessage": 0}, "perMessage is at least 1"),
    ("POST", "push-many", {**MANY, "count": -1}, "count from 0"),
    ("POST", "push-many", {**MANY, "count": True}, "count must be a whole number"),
    ("POST", "push-many", {**MANY, "from": "0"}, "from must be a whole number"),
    ("POST", "push-many", {**MANY, "template": "{"}, "the template is not JSON"),
    ("POST", "push-many", {"method": "M"}, "template, from, count are missing"),
    ("POST", "push-many?stores=7", MANY, "did you mean store"),
    ("POST", "invoke?seconds=soon", PUSH, "seconds is 'soon'"),
    ("POST", "invoke?seconds=nan", PUSH, "seconds is 'nan'"),
    ("POST", "invoke?seconds=-1", PUSH, "seconds is '-1'"),
    ("POST", "invoke?timeout=1", PUSH, "no parameter timeout"),
    ("POST", "invoke", {"method": "M", "args": [], "store": 7}, "no field store"),
]


@pytest.fixture
async def hub() -> AsyncIterator[HubHandle]:
    async with DevHub() as hub:
        yield HubHandle(hub.url)


@pytest.mark.parametrize(("method", "path", "body", "reason"), MISTAKES)
async def test_a_mistake_is_400_says_what_is_wrong_and_changes_nothing(
    hub: HubHandle, method: str, path: str, body: object, reason: str
) -> None:
    await hub.control("PUT", "faults", {"refuseEvery": 3})
    await hub.control("POST", "feed", [sync_item()])
    async with raw_client(f"{hub.url}?storeId=7") as client:
        await client.call("SendSyncBatch", [sync_item()])
        before = [await hub.state(), await hub.control("GET", "faults")]
        status, text = await hub.control_text(method, path, body if isinstance(body, str) else "" if body is None else json.dumps(body))
        assert (status, reason in text) == (400, True), text
        assert [await hub.state(), await hub.control("GET", "faults")] == before
        await hub.control("POST", "push", {"method": "Last", "args": []})
        assert (await client.receive())["target"] == "Last"  # nothing was pushed before it


def test_every_call_has_a_mistake_that_it_refuses() -> None:
    assert {f"{method} {path.partition('?')[0]}" for method, path, _, _ in MISTAKES} == {
        call.partition("?")[0].replace("/control/", "") for call in ENDPOINTS
    }


async def test_a_call_that_is_none_is_told_which_there_are(hub: HubHandle) -> None:
    for method, path in (("POST", "pish"), ("GET", "reset"), ("POST", "state"), ("DELETE", "faults"), ("GET", "")):
        status, text = await hub.control_text(method, path, "")
        assert status == 404
        assert all(call in text for call in ENDPOINTS)


async def test_whoever_opens_its_address_is_told_what_there_is(hub: HubHandle) -> None:
    async with aiohttp.ClientSession() as http, http.get(hub.url.removesuffix("hubs/sync")) as answer:
        text = await answer.text()
    assert answer.status == 200
    assert all(f"{call}\n      {meaning}\n" in text for call, meaning in ENDPOINTS.items())


async def test_a_push_says_how_many_stores_it_reached(hub: HubHandle) -> None:
    assert await hub.control("POST", "push", PUSH) == (200, 0)
    async with raw_client(f"{hub.url}?storeId=7"), raw_client(f"{hub.url}?storeId=8"):
        await hub.state_until(lambda state: state["connections"] == 2)
        assert await hub.control("POST", "push", PUSH) == (200, 2)
        assert await hub.control("POST", "push?store=8", PUSH) == (200, 1)
        assert await hub.control("POST", "push?store=9", PUSH) == (200, 0)


async def test_one_store_is_asked_for_a_result(hub: HubHandle) -> None:
    async with raw_client(f"{hub.url}?storeId=7") as asked, raw_client(f"{hub.url}?storeId=8"):
        await hub.state_until(lambda state: state["connections"] == 2)
        status, problem = await hub.control("POST", "invoke?store=9", PUSH)
        assert (status, problem["detail"]) == (409, "store 9 is not connected")
        await hub.control("POST", "invoke?store=7&seconds=0.01", PUSH)
        assert (await asked.receive())["target"] == "M"


async def test_the_faults_in_force_can_be_seen(hub: HubHandle) -> None:
    assert await hub.control("GET", "faults") == (200, Faults().to_json())
    await hub.control("PUT", "faults", {"HALFVERDICTS": True})
    assert await hub.control("GET", "faults") == (200, Faults(half_verdicts=True).to_json())


async def test_a_heartbeat_that_nobody_could_show_ends_its_connection_only(hub: HubHandle) -> None:
    async with raw_client(hub.url) as client:
        await client.send('{"type":1,"target":"Heartbeat","arguments":[' + "[" * 251 + "]" * 251 + "]}\x1e")
        assert (await client.the_end())[-1] == "closed 1000"
    assert (await hub.state())["heartbeats"] == 0
