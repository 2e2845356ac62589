"""The development hub speaks SignalR as the real one does: every test here runs against both, at the level of the wire."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.hub_handle import (
    ABORTED,
    CLOSED_WITH_ERROR,
    HEARTBEAT_RESPONSE,
    MISSING,
    NOT_CALLED,
    THROWN,
    HubHandle,
    error_of,
    sized,
    sync_item,
)
from tests.support.raw_client import RawClient, invocation, raw_client

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestNegotiate:
    async def test_the_first_version_has_one_id(self, hub: HubHandle) -> None:
        for query in ("", "?negotiateVersion=0"):
            status, answer, _ = await hub.negotiate(query)
            assert status == 200
            assert set(answer) == {"negotiateVersion", "connectionId", "availableTransports"}
            assert answer["negotiateVersion"] == 0
            async with raw_client(f"{hub.url}?id={answer['connectionId']}"):
                pass

    async def test_the_second_version_has_a_public_and_a_secret_id(self, hub: HubHandle) -> None:
        for query in ("?negotiateVersion=1", "?negotiateVersion=7"):
            status, answer, _ = await hub.negotiate(query)
            assert status == 200
            assert answer["negotiateVersion"] == 1
            assert answer["connectionId"] != answer["connectionToken"]
            assert {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]} in answer["availableTransports"]
            assert await hub.refusal(f"?id={answer['connectionId']}") == (404, None)
            async with raw_client(f"{hub.url}?id={answer['connectionToken']}"):
                pass

    async def test_a_version_that_cannot_be_is_answered_by_an_error(self, hub: HubHandle) -> None:
        assert await hub.negotiate("?negotiateVersion=abc") == (
            200, {"error": "The client requested a non-integer protocol version."}, None,
        )  # fmt: skip
        assert await hub.negotiate("?negotiateVersion=-1") == (
            200, {"error": "The client requested version '-1', but the server does not support this version."}, None,
        )  # fmt: skip

    async def test_it_is_a_post(self, hub: HubHandle) -> None:
        assert (await hub.negotiate(method="GET"))[0] == 405

    async def test_an_id_is_good_for_one_connection(self, hub: HubHandle) -> None:
        query = f"?id={(await hub.negotiate())[1]['connectionToken']}"
        async with raw_client(hub.url + query):
            assert await hub.refusal(query) == (409, None)
        await hub.state_until(lambda state: state["connections"] == 0)
        assert await hub.refusal(query) == (404, None)
        assert await hub.refusal("?id=invented") == (404, None)

    async def test_it_may_be_skipped(self, hub: HubHandle) -> None:
        async with raw_client(hub.url) as client:
            assert (await client.call("Heartbeat", {}))["result"] is None
        state = await hub.state()
        assert (state["negotiates"], state["upgrades"], state["connects"]) == (0, 1, 1)

    async def test_a_plain_get_is_no_connection(self, hub: HubHandle) -> None:
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
    async def test_a_wrong_one_is_answered_and_ends_the_connection(self, hub: HubHandle, request_: str, error: str) -> None:
        async with raw_client(hub.url, None) as client:
            await client.send(request_, "\x1e")
            assert await client.the_end() == [{"error": error}, "closed 1000"]

    async def test_versions_and_spellings_that_pass(self, hub: HubHandle) -> None:
        for request in ('{"protocol":"json","version":2}', '{"protocol":"JSON","version":0,"x":[1]}'):
            async with raw_client(hub.url, request + "\x1e"):
                pass

    async def test_messages_may_follow_in_its_frame_and_be_split_anywhere(self, hub: HubHandle) -> None:
        async with raw_client(hub.url, None) as client:
            text = '{"protocol":"json","version":1}\x1e' + invocation("Heartbeat", {}) + invocation("Heartbeat", {}, number="2")
            for start in range(0, len(text), 25):
                await client.send(text[start : start + 25])
            assert [await client.receive() for _ in range(5)] == [
                {}, HEARTBEAT_RESPONSE, {"type": 3, "invocationId": "1", "result": None},
                HEARTBEAT_RESPONSE, {"type": 3, "invocationId": "2", "result": None},
            ]  # fmt: skip

    async def test_none_within_the_time_is_answered_by_an_error(self, hasty: HubHandle) -> None:
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
        self, hub: HubHandle, client: RawClient, method: str, arguments: list[object]
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

    async def test_invocations_run_one_after_the_other(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(delayMs=50)
        await client.send(invocation("SendSyncItem", sync_item(), number="a"), invocation("Acknowledge", {}, number="b"))
        assert [(await client.receive())["invocationId"] for _ in range(2)] == ["a", "b"]

    async def test_a_quick_method_answers_before_the_close_behind_it(self, client: RawClient) -> None:
        await client.send(invocation("Acknowledge", {}), '{"type":7}\x1e')
        assert await client.the_end() == [{"type": 3, "invocationId": "1", "result": None}, *ABORTED]

    async def test_a_slow_one_is_overtaken_by_it(self, hub: HubHandle, client: RawClient) -> None:
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

    async def test_the_limit_can_be_another(self, hasty: HubHandle) -> None:
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
    async def test_a_close_message_is_answered(self, hub: HubHandle) -> None:
        for text in ('{"type":7}', '{"type":7,"error":"x"}'):
            async with raw_client(hub.url) as client:
                await client.send(text, "\x1e")
                assert await client.the_end() == ABORTED

    async def test_cut_ends_every_connection_without_an_invitation(self, hub: HubHandle, client: RawClient) -> None:
        async with raw_client(hub.url) as second:
            await hub.state_until(lambda state: state["connections"] == 2)
            assert await hub.control("POST", "cut") == (200, 2)
            assert await client.the_end() == ABORTED
            assert await second.the_end() == ABORTED
        await hub.state_until(lambda state: state["connections"] == 0)

    async def test_a_quiet_client_is_pinged_and_never_timed_out(self, hasty: HubHandle) -> None:
        async with raw_client(hasty.url) as client:
            assert [await client.receive_text() for _ in range(3)] == ['{"type":6}'] * 3

    async def test_a_client_that_pinged_once_and_fell_silent_is_timed_out(self, hasty: HubHandle) -> None:
        async with raw_client(hasty.url) as client:
            await client.send('{"type":6}\x1e')
            assert await client.the_end() == CLOSED_WITH_ERROR
