"""The development hub behaves as the real one: every test here runs against both, at the level of the wire."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio

from syncd.devhub.limits import Limits
from syncd.devhub.server import DevHub
from tests.support.raw_client import RawClient, invocation, raw_client
from tests.support.refhub import RefHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSED_WITH_ERROR = [{"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}, "closed 1000"]
ABORTED = [{"type": 7}, "closed 1000"]
HEARTBEAT_RESPONSE = {"type": 1, "target": "HeartbeatResponse", "arguments": []}


@dataclass
class Hub:
    """Either hub, seen from outside."""

    url: str

    async def control(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of a control call; a text is sent as it stands."""
        status, text = await self.control_text(method, path, body if isinstance(body, str) else json.dumps(body))
        return status, json.loads(text) if text.startswith(("{", "[", '"')) or text[:1].isdecimal() or text == "null" else text

    async def control_text(self, method: str, path: str, body: str) -> tuple[int, str]:
        address = self.url.removesuffix("/hubs/sync") + f"/control/{path}"
        headers = {"Content-Type": "application/json"}
        data = None if method == "GET" else body.encode()
        async with aiohttp.ClientSession() as http, http.request(method, address, data=data, headers=headers) as answer:
            return answer.status, await answer.text()

    async def state(self) -> dict[str, Any]:
        status, state = await self.control("GET", "state")
        assert status == 200
        assert isinstance(state, dict)
        return state

    async def state_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 10
        while not condition(state := await self.state()):
            assert time.monotonic() < deadline, state
            await asyncio.sleep(0.01)
        return state

    async def faults(self, **faults: object) -> None:
        status, _ = await self.control("PUT", "faults", faults)
        assert status == 200

    async def negotiate(self, query: str = "?negotiateVersion=1", method: str = "POST") -> tuple[int, Any, str | None]:
        """Status, answer and Retry-After."""
        async with aiohttp.ClientSession() as http, http.request(method, f"{self.url}/negotiate{query}") as answer:
            body = await answer.json() if answer.content_type == "application/json" else await answer.text()
            return answer.status, body, answer.headers.get("Retry-After")

    async def refusal(self, query: str) -> tuple[int, str | None]:
        """Status and Retry-After of a WebSocket upgrade that is refused."""
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with raw_client(self.url + query, None):
                pass
        return refused.value.status, refused.value.headers.get("Retry-After") if refused.value.headers else None


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["devhub", "refhub"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "devhub":
        async with DevHub() as devhub:
            yield devhub.url
    else:
        async with RefHub("--no-stateful=1", "--feed-epochs=1") as refhub:
            yield refhub.url()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["devhub", "refhub"])
async def hasty(request: pytest.FixtureRequest) -> AsyncIterator[Hub]:
    """A hub whose timers run after a second and whose messages are small."""
    if request.param == "devhub":
        limits = Limits(max_message_bytes=8192, keep_alive_seconds=1, client_timeout_seconds=1, handshake_timeout_seconds=1)
        async with DevHub(limits=limits) as devhub:
            yield Hub(devhub.url)
    else:
        options = ("keepalive-seconds", "client-timeout-seconds", "handshake-timeout-seconds")
        async with RefHub("--max-message-bytes=8192", *(f"--{option}=1" for option in options)) as refhub:
            yield Hub(refhub.url())


@pytest_asyncio.fixture(loop_scope="module")
async def hub(running: str) -> Hub:
    hub = Hub(running)
    await hub.state_until(lambda state: state["connections"] == 0)
    await hub.control("POST", "reset")
    return hub


@pytest_asyncio.fixture(loop_scope="module")
async def client(hub: Hub) -> AsyncIterator[RawClient]:
    async with raw_client(hub.url) as client:
        yield client


def sync_item(entity_id: object = 1, **more: object) -> dict[str, Any]:
    return {
        "entityType": "Receipt", "entityId": entity_id, "operation": "Create", "payload": '{"total":12.50,"näme":"€"}',
        "timestamp": "2026-11-23T10:00:00.123Z", "storeId": 7, "correlationId": str(uuid.uuid4()), "sequence": 1, "priority": 2,
        "attempt": 0, **more,
    }  # fmt: skip


def sized(length: int) -> str:
    """A heartbeat of so many bytes, its separator included."""
    return invocation("Heartbeat", {"x": "y" * (length - len(invocation("Heartbeat", {"x": ""})))})


def error_of(method: str, rest: str) -> dict[str, object]:
    return {"type": 3, "invocationId": "1", "error": rest.replace("{}", f"'{method}'")}


NOT_CALLED = "Failed to invoke {} due to an error on the server."
MISSING = NOT_CALLED + " HubException: Method does not exist."
THROWN = "An unexpected error occurred invoking {} on the server."


class TestNegotiate:
    async def test_the_first_version_has_one_id(self, hub: Hub) -> None:
        for query in ("", "?negotiateVersion=0"):
            status, answer, _ = await hub.negotiate(query)
            assert status == 200
            assert set(answer) == {"negotiateVersion", "connectionId", "availableTransports"}
            assert answer["negotiateVersion"] == 0
            async with raw_client(f"{hub.url}?id={answer['connectionId']}"):
                pass

    async def test_the_second_version_has_a_public_and_a_secret_id(self, hub: Hub) -> None:
        for query in ("?negotiateVersion=1", "?negotiateVersion=7"):
            status, answer, _ = await hub.negotiate(query)
            assert status == 200
            assert answer["negotiateVersion"] == 1
            assert answer["connectionId"] != answer["connectionToken"]
            assert {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]} in answer["availableTransports"]
            assert await hub.refusal(f"?id={answer['connectionId']}") == (404, None)
            async with raw_client(f"{hub.url}?id={answer['connectionToken']}"):
                pass

    async def test_a_version_that_cannot_be_is_answered_by_an_error(self, hub: Hub) -> None:
        assert await hub.negotiate("?negotiateVersion=abc") == (
            200, {"error": "The client requested a non-integer protocol version."}, None,
        )  # fmt: skip
        assert await hub.negotiate("?negotiateVersion=-1") == (
            200, {"error": "The client requested version '-1', but the server does not support this version."}, None,
        )  # fmt: skip

    async def test_it_is_a_post(self, hub: Hub) -> None:
        assert (await hub.negotiate(method="GET"))[0] == 405

    async def test_an_id_is_good_for_one_connection(self, hub: Hub) -> None:
        query = f"?id={(await hub.negotiate())[1]['connectionToken']}"
        async with raw_client(hub.url + query):
            assert await hub.refusal(query) == (409, None)
        await hub.state_until(lambda state: state["connections"] == 0)
        assert await hub.refusal(query) == (404, None)
        assert await hub.refusal("?id=invented") == (404, None)

    async def test_it_may_be_skipped(self, hub: Hub) -> None:
        async with raw_client(hub.url) as client:
            assert (await client.call("Heartbeat", {}))["result"] is None
        state = await hub.state()
        assert (state["negotiates"], state["upgrades"], state["connects"]) == (0, 1, 1)

    async def test_a_plain_get_is_no_connection(self, hub: Hub) -> None:
        async with aiohttp.ClientSession() as http:
            for query, status in (("", 400), ("?id=invented", 404)):
                async with http.get(hub.url + query) as answer:
                    assert answer.status == status


class TestHandshake:
    @pytest.mark.parametrize(
        ("request_", "error"),
        [
            ('{"protocol":"x","version":1}', "The protocol 'x' is not supported."),
            ('{"protocol":"json","version":3}', "The server does not support version 3 of the 'json' protocol."),
            ('{"protocol":"json"}', "An unexpected error occurred during connection handshake."),
            ('{"version":1}', "An unexpected error occurred during connection handshake."),
            ('{"protocol":"json","version":"1"}', "An unexpected error occurred during connection handshake."),
            ('{"protocol":null,"version":1}', "An unexpected error occurred during connection handshake."),
            ("[]", "An unexpected error occurred during connection handshake."),
            ("garbage", "An unexpected error occurred during connection handshake."),
        ],
    )
    async def test_a_wrong_one_is_answered_and_ends_the_connection(self, hub: Hub, request_: str, error: str) -> None:
        async with raw_client(hub.url, None) as client:
            await client.send(request_, "\x1e")
            assert await client.the_end() == [{"error": error}, "closed 1000"]

    async def test_versions_and_spellings_that_pass(self, hub: Hub) -> None:
        for request in ('{"protocol":"json","version":2}', '{"protocol":"JSON","version":0,"x":[1]}'):
            async with raw_client(hub.url, request + "\x1e"):
                pass

    async def test_messages_may_follow_in_its_frame_and_be_split_anywhere(self, hub: Hub) -> None:
        async with raw_client(hub.url, None) as client:
            text = '{"protocol":"json","version":1}\x1e' + invocation("Heartbeat", {}) + invocation("Heartbeat", {}, number="2")
            for start in range(0, len(text), 25):
                await client.send(text[start : start + 25])
            assert [await client.receive() for _ in range(5)] == [
                {}, HEARTBEAT_RESPONSE, {"type": 3, "invocationId": "1", "result": None},
                HEARTBEAT_RESPONSE, {"type": 3, "invocationId": "2", "result": None},
            ]  # fmt: skip

    async def test_none_within_the_time_is_answered_by_an_error(self, hasty: Hub) -> None:
        async with raw_client(hasty.url, None) as client:
            assert await client.the_end() == [{"error": "Handshake was canceled."}, "closed 1000"]


class TestInvocations:
    async def test_a_method_that_returns_nothing_completes_with_null(self, client: RawClient) -> None:
        await client.send(invocation("Acknowledge", {"correlationId": "a", "success": True}))
        assert await client.receive_text() == '{"type":3,"invocationId":"1","result":null}'

    async def test_names_match_whatever_their_case(self, client: RawClient) -> None:
        assert (await client.call("heartBEAT", {}))["result"] is None
        assert (await client.call("sendsyncbatch", [])) == {"type": 3, "invocationId": "1", "result": []}

    async def test_binary_frames_pass(self, client: RawClient) -> None:
        await client.socket.send_bytes(invocation("Acknowledge", {}).encode())
        assert await client.receive() == {"type": 3, "invocationId": "1", "result": None}

    @pytest.mark.parametrize("method", ["Nope", "OnConnectedAsync", "Nope<é>'+&"])
    async def test_an_unknown_method(self, client: RawClient, method: str) -> None:
        assert await client.call(method, 1) == error_of(method, MISSING)

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("Heartbeat", []), ("Heartbeat", [1, 2]), ("SendSyncBatch", [5]), ("SendSyncBatch", [{}]),
            ("SendSyncItem", [sync_item(sequence="5")]), ("SendSyncItem", [sync_item(sequence=1.5)]),
            ("SendSyncItem", [sync_item(priority=2**31)]), ("SendSyncItem", [sync_item(payload={})]),
            ("SendSyncItem", [sync_item(correlationId=5)]), ("SendSyncItem", [sync_item(timestamp=None)]),
            ("SendSyncItem", [sync_item(timestamp="2026-11-23 10:00:00")]), ("SendSyncItem", [sync_item(timestamp="2026-02-30")]),
            ("SendSyncBatch", [[sync_item(1), sync_item(2, sequence="x"), sync_item(3)]]),
            ("RequestBatchSync", [{"cursor": 5}]), ("RequestBatchSync", [{"batchSize": "5"}]), ("AcknowledgeBatch", [{}]),
        ],
    )  # fmt: skip
    async def test_arguments_of_the_wrong_number_or_type_fail_the_call(
        self, hub: Hub, client: RawClient, method: str, arguments: list[object]
    ) -> None:
        assert await client.call(method.upper(), *arguments) == error_of(method, NOT_CALLED)
        assert (await hub.state())["received"] == 0

    @pytest.mark.parametrize(
        ("method", "argument"),
        [
            ("SendSyncBatch", None),
            ("SendSyncBatch", [None]),
            ("SendSyncItem", None),
            ("RequestBatchSync", None),
            ("AcknowledgeBatch", None),
        ],
    )
    async def test_null_for_a_value_throws(self, client: RawClient, method: str, argument: object) -> None:
        assert await client.call(method, argument) == error_of(method, THROWN)

    async def test_without_an_id_nothing_is_answered(self, client: RawClient) -> None:
        await client.send(invocation("Nope", number=None), invocation("Heartbeat", {}, number=None), invocation("Heartbeat", {}, number=""))
        assert [await client.receive() for _ in range(2)] == [HEARTBEAT_RESPONSE] * 2
        assert await client.call("Acknowledge", {}) == {"type": 3, "invocationId": "1", "result": None}

    async def test_a_stream_invocation_of_a_method_that_does_not_stream(self, client: RawClient) -> None:
        await client.send('{"type":4,"invocationId":"1","target":"heartbeat","arguments":[1]}\x1e')
        text = "The client attempted to invoke the non-streaming {} method with a streaming invocation."
        assert await client.receive() == error_of("Heartbeat", text)
        await client.send(invocation("Heartbeat", {}, streamIds=["s"]))
        assert await client.receive() == error_of("Heartbeat", THROWN + " HubException: Client sent 1 stream(s), Hub method expects 0.")

    async def test_invocations_run_one_after_the_other(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(delayMs=50)
        await client.send(invocation("SendSyncItem", sync_item(), number="a"), invocation("Acknowledge", {}, number="b"))
        assert [(await client.receive())["invocationId"] for _ in range(2)] == ["a", "b"]

    async def test_a_quick_method_answers_before_the_close_behind_it(self, client: RawClient) -> None:
        await client.send(invocation("Acknowledge", {}), '{"type":7}\x1e')
        assert await client.the_end() == [{"type": 3, "invocationId": "1", "result": None}, *ABORTED]

    async def test_a_slow_one_is_overtaken_by_it(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(delayMs=50)
        await client.send(invocation("SendSyncItem", sync_item()), '{"type":7}\x1e')
        assert await client.the_end() == ABORTED
        await hub.state_until(lambda state: state["received"] == 1)


class TestStrictness:
    async def test_a_message_of_the_limit_passes(self, client: RawClient) -> None:
        await client.send(sized(32768), sized(32768))
        assert [(await client.receive())["type"] for _ in range(4)] == [1, 3, 1, 3]

    async def test_one_byte_more_ends_the_connection(self, client: RawClient) -> None:
        await client.send(sized(32769))
        assert await client.the_end() == CLOSED_WITH_ERROR

    async def test_a_message_that_does_not_end_is_too_long_as_well(self, client: RawClient) -> None:
        await client.send("y" * 32769)
        assert await client.the_end() == CLOSED_WITH_ERROR

    async def test_the_limit_can_be_another(self, hasty: Hub) -> None:
        async with raw_client(hasty.url) as client:
            await client.send(sized(8192))
            assert await client.receive() == HEARTBEAT_RESPONSE
            await client.send(sized(8193))
            assert (await client.the_end())[-2:] == CLOSED_WITH_ERROR

    @pytest.mark.parametrize(
        "text",
        [
            "garbage", "", "[1]", "5", '{"a":1}', '{"type":null}', '{"type":"6"}', '{"type":6.0}', '{"type":99999999999}', '{"type":6,}',
            '{"TYPE":6}', '{"type":6,"error":null}',
            '{"type":1,"invocationId":"1","target":"Heartbeat","arguments":[NaN]}',
            '{"type":1,"invocationId":"1","target":null,"arguments":[1]}', '{"type":1,"invocationId":"1","arguments":[1]}',
            '{"type":1,"invocationId":1,"target":"Heartbeat","arguments":[1]}',
            '{"type":1,"invocationId":null,"target":"Heartbeat","arguments":[1]}',
            '{"type":1,"invocationId":"1","target":"Heartbeat"}', '{"type":1,"invocationId":"1","target":"Heartbeat","arguments":{}}',
            '{"type":1,"target":"Heartbeat","arguments":[1],"headers":{"a":1}}',
            '{"type":1,"target":"Heartbeat","arguments":[1],"headers":null}',
            '{"type":1,"target":"Heartbeat","arguments":[1],"streamIds":null}',
            '{"type":3,"invocationId":"1","error":null}', '{"type":3,"invocationId":"1","result":1,"error":"x"}', '{"type":3,"result":1}',
            '{"type":4,"target":"Heartbeat","arguments":[1]}', '{"type":5}', '{"type":7,"error":null}', '{"type":7,"allowReconnect":null}',
            '{"type":8}',
        ],
    )  # fmt: skip
    async def test_what_is_not_to_the_letter_ends_the_connection(self, client: RawClient, text: str) -> None:
        await client.send(text, "\x1e")
        assert await client.the_end() == CLOSED_WITH_ERROR

    @pytest.mark.parametrize(
        "text",
        [
            '{"type":6}', '{"type":6,"x":[1]}', '{"type":99,"type":6}', '{"type":8,"sequenceId":1}', '{"type":9,"sequenceId":1}',
            '{"type":5,"invocationId":"1"}', '{"type":2,"invocationId":"1","item":5}', '{"type":3,"invocationId":"77","result":1}',
            '{"type":1,"target":"Acknowledge","arguments":[1],"headers":{"a":"b"}}',
        ],
    )  # fmt: skip
    async def test_what_means_nothing_here_is_passed_over(self, client: RawClient, text: str) -> None:
        await client.send(text, "\x1e", invocation("Acknowledge", {}))
        assert await client.receive() == {"type": 3, "invocationId": "1", "result": None}

    async def test_an_unknown_type_makes_the_hub_deaf_until_the_limit(self, client: RawClient) -> None:
        await client.send('{"type":99}\x1e', invocation("Acknowledge", {}))
        await client.send(sized(16000))
        await client.send(sized(16800))
        assert await client.the_end() == CLOSED_WITH_ERROR


class TestEndings:
    async def test_a_close_message_is_answered(self, hub: Hub) -> None:
        for text in ('{"type":7}', '{"type":7,"error":"x"}'):
            async with raw_client(hub.url) as client:
                await client.send(text, "\x1e")
                assert await client.the_end() == ABORTED

    async def test_cut_ends_every_connection_without_an_invitation(self, hub: Hub, client: RawClient) -> None:
        async with raw_client(hub.url) as second:
            await hub.state_until(lambda state: state["connections"] == 2)
            assert await hub.control("POST", "cut") == (200, 2)
            assert await client.the_end() == ABORTED
            assert await second.the_end() == ABORTED
        await hub.state_until(lambda state: state["connections"] == 0)

    async def test_a_quiet_client_is_pinged_and_never_timed_out(self, hasty: Hub) -> None:
        async with raw_client(hasty.url) as client:
            assert [await client.receive_text() for _ in range(3)] == ['{"type":6}'] * 3

    async def test_a_client_that_pinged_once_and_fell_silent_is_timed_out(self, hasty: Hub) -> None:
        async with raw_client(hasty.url) as client:
            await client.send('{"type":6}\x1e')
            assert await client.the_end() == CLOSED_WITH_ERROR


class TestBatches:
    async def test_a_verdict_says_all_its_fields(self, client: RawClient) -> None:
        item = sync_item()
        (ack,) = (await client.call("SendSyncBatch", [item]))["result"]
        assert list(ack) == ["correlationId", "success", "errorMessage", "processedAt", "retryable"]
        assert (ack["correlationId"], ack["success"], ack["errorMessage"], ack["retryable"]) == (item["correlationId"], True, None, None)
        assert ack["processedAt"].endswith("Z")

    async def test_a_single_item_gets_one_verdict(self, client: RawClient) -> None:
        item = {name.upper(): value for name, value in sync_item(unknown=1).items()}
        assert (await client.call("SendSyncItem", item))["result"]["correlationId"] == item["CORRELATIONID"]

    async def test_what_a_store_sends_twice_is_accepted_and_counted(self, hub: Hub, client: RawClient) -> None:
        item = sync_item()
        for _ in range(2):
            acks = (await client.call("SendSyncBatch", [item, item, {**item, "storeId": 8}]))["result"]
            assert [ack["success"] for ack in acks] == [True] * 3
        state = await hub.state()
        assert (state["received"], state["unique"], state["duplicates"], state["batches"], state["maxBatchItems"]) == (6, 2, 4, 2, 3)

    async def test_the_digest_tells_that_every_byte_arrived(self, hub: Hub, client: RawClient) -> None:
        items = [sync_item(1), sync_item("A-7", payload="ü\n\u2028😀"), sync_item(None), sync_item(True), sync_item(2**60)]
        texts = ["1", "A-7", "", "true", str(2**60)]
        expected = 0
        for item, text in zip(items, texts, strict=True):
            fields = (item["correlationId"], item["entityType"], text, item["operation"], item["payload"])
            expected ^= int.from_bytes(hashlib.sha256("\n".join(fields).encode()).digest())
        await client.call("SendSyncBatch", items)
        assert (await hub.state())["digest"] == f"{expected:064x}"

    async def test_order_and_priority_are_watched(self, hub: Hub, client: RawClient) -> None:
        sent = [(1, 5, 3), (2, 6, 1), (1, 4, 3), (1, 7, 2)]
        items = [sync_item(entity, sequence=sequence, priority=priority) for entity, sequence, priority in sent]
        await client.call("SendSyncBatch", items)
        state = await hub.state()
        assert (state["orderViolationCount"], state["orderViolations"]) == (1, ["7|Receipt/1: 4 after 5"])
        assert state["priorityInversions"] == 2
        assert await hub.control("GET", "arrivals?offset=1&count=2") == (200, [item["correlationId"] for item in items[1:3]])
        assert await hub.control("GET", "items") == (200, items)

    async def test_a_heartbeat_is_counted_and_answered(self, hub: Hub, client: RawClient) -> None:
        await client.send(invocation("Heartbeat", {"storeId": 7, "pendingSyncCount": 3}))
        assert await client.receive() == HEARTBEAT_RESPONSE
        await client.receive()
        state = await hub.state()
        assert (state["heartbeats"], state["heartbeatsByStore"]) == (1, {"7": 1})
        assert state["lastHeartbeat"] == {"storeId": 7, "pendingSyncCount": 3}

    async def test_acknowledgements_are_counted(self, hub: Hub, client: RawClient) -> None:
        bad = {"correlationId": "b", "success": False, "errorMessage": "malformed"}
        await client.call("Acknowledge", {"correlationId": "a", "success": True})
        await client.call("AcknowledgeBatch", [{"correlationId": "a", "success": True}, bad])
        state = await hub.state()
        assert (state["acksOk"], state["acksOkDistinct"], state["acksFailed"], state["failedAcks"]) == (2, 1, 1, [bad])

    async def test_the_feed_is_read_page_by_page(self, hub: Hub, client: RawClient) -> None:
        items = [sync_item(number, entityType="Product" if number % 2 else "Price") for number in range(5)]
        assert await hub.control("POST", "feed", items) == (200, 5)
        page = (await client.call("RequestBatchSync", {"storeId": 7, "batchSize": 3}))["result"]
        assert page == {
            "success": True, "totalItems": 5, "processedItems": 3, "items": items[:3], "hasMore": True, "nextCursor": "3",
            "errorMessage": None, "feedEpoch": page["feedEpoch"],
        }  # fmt: skip
        page = (await client.call("RequestBatchSync", {"storeId": 7, "cursor": "3"}))["result"]
        assert (page["items"], page["hasMore"], page["nextCursor"]) == (items[3:], False, "5")
        page = (await client.call("RequestBatchSync", {"entityTypes": ["Price"], "cursor": "strange", "sinceTimestamp": None}))["result"]
        assert page["items"] == items[::2]
        state = await hub.state()
        assert (state["feed"], state["batchRequests"]) == (5, 3)

    async def test_a_feed_that_begins_anew_has_another_name_and_says_that_it_does_not_know_the_cursor(
        self, hub: Hub, client: RawClient
    ) -> None:
        await hub.control("POST", "feed", [sync_item(number) for number in range(5)])
        before = (await client.call("RequestBatchSync", {"storeId": 7}))["result"]
        await hub.control("POST", "reset")
        page = (await client.call("RequestBatchSync", {"storeId": 7, "cursor": before["nextCursor"]}))["result"]
        assert page == {
            "success": True, "totalItems": 0, "processedItems": 0, "items": [], "hasMore": False, "nextCursor": None,
            "errorMessage": None, "feedEpoch": page["feedEpoch"], "cursorUnknown": True,
        }  # fmt: skip
        assert page["feedEpoch"] not in (before["feedEpoch"], None)
        again = (await client.call("RequestBatchSync", {"storeId": 7}))["result"]
        assert (again["feedEpoch"], again["nextCursor"], "cursorUnknown" in again) == (page["feedEpoch"], "0", False)

    async def test_reset_forgets(self, hub: Hub, client: RawClient) -> None:
        before = await hub.state()
        await client.call("SendSyncBatch", [sync_item()])
        await client.call("Heartbeat", {})
        assert (await hub.control("POST", "reset"))[0] == 200
        assert await hub.state() == {**before, "connections": 1, "maxConnections": 1, "connects": 0, "upgrades": 0}


class TestFaults:
    async def test_every_so_many_items_are_refused(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(refuseEvery=2)
        acks = (await client.call("SendSyncBatch", [sync_item(number) for number in range(4)]))["result"]
        assert [(ack["success"], ack["errorMessage"], ack["retryable"]) for ack in acks] == [
            (True, None, None), (False, "refused by fault", True), (True, None, None), (False, "refused by fault", True),
        ]  # fmt: skip
        assert (await hub.state())["refused"] == 2

    async def test_after_a_refusal_the_entity_waits(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(refuseEntityIds=["1"], refuseRetryable=False)
        items = [sync_item(2), sync_item(1), sync_item(1), sync_item(1, entityType="Other")]
        acks = (await client.call("SendSyncBatch", items))["result"]
        assert [(ack["errorMessage"], ack["retryable"]) for ack in acks] == [
            (None, None), ("refused by fault", False), ("an earlier item of this entity was refused", True), ("refused by fault", False),
        ]  # fmt: skip

    async def test_a_batch_throws_and_nothing_of_it_is_taken(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(throwForEntityIds=["2"])
        text = THROWN + " HubException: this batch holds an item that HQ cannot process"
        assert await client.call("sendSyncBatch", [sync_item(1), sync_item(2)]) == error_of("SendSyncBatch", text)
        assert (await hub.state())["received"] == 0

    @pytest.mark.parametrize(("fault", "received"), [("cutBeforeEvery", 0), ("cutAfterEvery", 1)])
    async def test_the_line_is_cut_before_or_after_a_batch(self, hub: Hub, client: RawClient, fault: str, received: int) -> None:
        await hub.faults(**{fault: 2})
        assert len((await client.call("SendSyncBatch", [sync_item(1)]))["result"]) == 1
        await client.send(invocation("SendSyncBatch", [sync_item(2)]))
        assert await client.the_end() == ABORTED
        assert (await hub.state())["received"] == 1 + received

    async def test_half_the_verdicts(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(halfVerdicts=True)
        items = [sync_item(number) for number in range(3)]
        acks = (await client.call("SendSyncBatch", items))["result"]
        assert [ack["correlationId"] for ack in acks] == [item["correlationId"] for item in items[:2]]

    async def test_a_silent_batch_holds_up_the_connection_until_it_ends(self, hub: Hub) -> None:
        await hub.faults(silentEvery=1)
        async with raw_client(hub.url) as client:
            await client.send(*(invocation("SendSyncItem", sync_item(), number=str(number)) for number in range(3)))
            assert (await hub.state_until(lambda state: state["received"] > 0))["received"] == 1
        assert (await hub.state_until(lambda state: state["connections"] == 0))["received"] <= 3

    async def test_negotiate_and_upgrade_answer_with_a_status(self, hub: Hub) -> None:
        await hub.faults(negotiateStatus=503, retryAfterSeconds=7)
        assert await hub.negotiate() == (503, "", "7")
        async with raw_client(hub.url):
            pass
        await hub.faults(upgradeStatus=429)
        assert (await hub.negotiate())[0] == 200
        assert await hub.refusal("") == (429, None)
        state = await hub.state()
        assert (state["negotiates"], state["upgrades"], state["upgradesRefused"]) == (2, 1, 1)

    async def test_a_captive_portal_answers_with_a_web_page(self, hub: Hub) -> None:
        await hub.faults(captivePortal=True, negotiateStatus=401)
        status, page, _ = await hub.negotiate()
        assert (status, page) == (200, "<html><body>Please accept the terms of use of this network.</body></html>")

    async def test_what_is_left_out_is_off(self, hub: Hub) -> None:
        await hub.faults(refuseEvery=2, halfVerdicts=True)
        _, faults = await hub.control("PUT", "faults", {"RefuseEntityIds": ["5"]})
        assert faults == {
            "delayMs": 0, "refuseEvery": 0, "refuseEntityIds": ["5"], "refuseRetryable": True, "throwForEntityIds": [],
            "hangForEntityIds": [], "nullForEntityIds": [],
            "cutAfterEvery": 0, "cutBeforeEvery": 0, "silentEvery": 0, "halfVerdicts": False,
            "negotiateStatus": 0, "upgradeStatus": 0, "retryAfterSeconds": 0, "captivePortal": False,
        }  # fmt: skip

    async def test_a_name_that_is_no_faults_is_refused_and_changes_nothing(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(refuseEvery=1)
        for nonsense in ('{"refuseEverry": 2}', '{"delayMs": 1, "halfVerdict": true}', '{"delayMs": "x"}', "nonsense", "null"):
            assert (await hub.control("PUT", "faults", nonsense))[0] == 400
        assert [ack["success"] for ack in (await client.call("SendSyncBatch", [sync_item()]))["result"]] == [False]

    async def test_some_entities_get_no_verdict_but_null(self, hub: Hub, client: RawClient) -> None:
        await hub.faults(nullForEntityIds=["2"])
        acks = (await client.call("SendSyncBatch", [sync_item(1), sync_item(2), sync_item(3)]))["result"]
        assert [ack and ack["success"] for ack in acks] == [True, None, True]
        assert (await hub.state())["received"] == 2

    async def test_a_batch_with_some_entity_is_never_answered(self, hub: Hub) -> None:
        await hub.faults(hangForEntityIds=["2"])
        async with raw_client(hub.url) as client:
            assert len((await client.call("SendSyncBatch", [sync_item(1)]))["result"]) == 1
            await client.send(
                invocation("SendSyncBatch", [sync_item(2)], number="9"), invocation("SendSyncBatch", [sync_item(3)], number="10")
            )
            assert (await hub.state_until(lambda state: state["batches"] == 2))["received"] == 1
        assert (await hub.state_until(lambda state: state["connections"] == 0))["received"] <= 2


class TestPushes:
    async def test_numbers_arrive_as_they_were_written(self, hub: Hub, client: RawClient) -> None:
        argument = '{"price":12.50,"b":1E5,"c":0.10,"d":12345678901234567890123,"e":-0,"text":"<é>/"}'
        status, _ = await hub.control("POST", "push", f'{{"method":"ReceivePriceUpdate","args":[{argument}]}}')
        assert status == 200
        assert await client.receive_text() == f'{{"type":1,"target":"ReceivePriceUpdate","arguments":[{argument}]}}'

    async def test_many_are_made_from_a_template(self, hub: Hub, client: RawClient) -> None:
        many = {"method": "M", "template": '{"id":{n},"price":1.50}', "from": 5, "count": 3}
        assert await hub.control("POST", "push-many", many) == (200, 3)
        for number in (5, 6, 7):
            assert await client.receive_text() == f'{{"type":1,"target":"M","arguments":[{{"id":{number},"price":1.50}}]}}'
        assert await hub.control("POST", "push-many", {**many, "perMessage": 2}) == (200, 3)
        sizes = [len((await client.receive())["arguments"][0]) for _ in range(2)]
        assert sizes == [2, 1]

    async def test_one_store_is_known_by_its_url_or_its_heartbeat(self, hub: Hub) -> None:
        async with raw_client(hub.url + "?storeId=7") as by_url, raw_client(hub.url) as by_heartbeat, raw_client(hub.url) as other:
            await by_heartbeat.call("Heartbeat", {"storeId": "7"})
            await other.call("Heartbeat", {"storeId": 8})
            await hub.control("POST", "push?store=7", {"method": "X", "args": [1]})
            await hub.control("POST", "push", {"method": "Y", "args": []})
            for client in (by_url, by_heartbeat):
                assert [(await client.receive())["target"] for _ in range(2)] == ["X", "Y"]
            assert (await other.receive())["target"] == "Y"

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ('"result":{"a":2.50}', (200, '{"a":2.50}')),
            ('"result":null', (200, "null")),
            ('"error":"no such luck"', (502, "HubException: no such luck")),
            ('"error":""', (502, "HubException: ")),
        ],
    )
    async def test_a_client_gives_its_result(self, hub: Hub, client: RawClient, answer: str, expected: tuple[int, str]) -> None:
        await hub.state_until(lambda state: state["connections"] == 1)
        waiting = asyncio.create_task(hub.control_text("POST", "invoke", '{"method":"Sum","args":[1.50]}'))
        asked = json.loads(await client.receive_text())
        assert asked == {"type": 1, "invocationId": asked["invocationId"], "target": "Sum", "arguments": [1.5]}
        assert asked["invocationId"].startswith("s")
        await client.send(
            '{"type":3,"invocationId":"other","result":0}\x1e', f'{{"type":3,"invocationId":"{asked["invocationId"]}",{answer}}}\x1e'
        )
        status, text = await waiting
        assert (status, text if status == 200 else json.loads(text)["detail"]) == expected

    async def test_a_client_that_gives_none_or_leaves(self, hub: Hub) -> None:
        body = {"method": "Sum", "args": []}
        status, problem = await hub.control("POST", "invoke", body)
        assert (status, problem["detail"]) == (409, "no store is connected")
        async with raw_client(hub.url) as client:
            await hub.state_until(lambda state: state["connections"] == 1)
            status, problem = await hub.control("POST", "invoke?seconds=0.05", body)
            assert (status, problem["detail"]) == (502, "HubException: Invocation canceled by the server.")
            waiting = asyncio.create_task(hub.control("POST", "invoke", body))
            await client.receive()
            assert (await client.receive())["target"] == "Sum"
        status, problem = await waiting
        assert status == 502
        assert problem["detail"].startswith("IOException: Connection '")


@pytest.mark.parametrize("kind", ["devhub", "refhub"])
async def test_a_hub_that_stops_cuts_the_line_without_a_word(kind: str) -> None:
    async with DevHub() if kind == "devhub" else RefHub() as running:
        hub = Hub(running.url if isinstance(running, DevHub) else running.url())
        async with raw_client(hub.url) as client:
            await hub.control("POST", "stop")
            assert await client.the_end() == ["closed 1006"]


async def test_an_unconnected_id_expires() -> None:
    async with DevHub(limits=Limits(unconnected_id_seconds=0.1)) as devhub, aiohttp.ClientSession() as http:
        _, answer, _ = await Hub(devhub.url).negotiate()
        async with asyncio.timeout(10):
            while True:  # a plain GET asks after an id without using it up
                async with http.get(f"{devhub.url}?id={answer['connectionToken']}") as found:
                    if found.status == 404:
                        break
                    await asyncio.sleep(0.02)
        assert await Hub(devhub.url).refusal(f"?id={answer['connectionToken']}") == (404, None)


async def test_decimals_pushed_by_a_call_keep_their_digits() -> None:
    async with DevHub() as devhub, raw_client(devhub.url) as client:
        assert await devhub.push("ReceivePriceUpdate", {"price": Decimal("12.50"), "tiny": Decimal("1E-7")}) == 1
        assert await client.receive_text() == '{"type":1,"target":"ReceivePriceUpdate","arguments":[{"price":12.50,"tiny":0.0000001}]}'
        with pytest.raises(TypeError):
            await devhub.push("ReceivePriceUpdate", Decimal("NaN"))
