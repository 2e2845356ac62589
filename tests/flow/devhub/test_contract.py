"""The development hub does with calls what the real one does: every test here runs against both, at the level of the wire."""

from __future__ import annotations

import asyncio
import hashlib
import json
from decimal import Decimal

import aiohttp
import pytest

from syncd.devhub.limits import Limits
from syncd.devhub.server import DevHub
from tests.support.hub_handle import ABORTED, HEARTBEAT_RESPONSE, THROWN, HubHandle, error_of, sync_item
from tests.support.raw_client import RawClient, invocation, raw_client
from tests.support.refhub import RefHub

pytestmark = pytest.mark.asyncio(loop_scope="module")


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

    async def test_what_a_store_sends_twice_is_accepted_and_counted(self, hub: HubHandle, client: RawClient) -> None:
        item = sync_item()
        for _ in range(2):
            acks = (await client.call("SendSyncBatch", [item, item, {**item, "storeId": 8}]))["result"]
            assert [ack["success"] for ack in acks] == [True] * 3
        state = await hub.state()
        assert (state["received"], state["unique"], state["duplicates"], state["batches"], state["maxBatchItems"]) == (6, 2, 4, 2, 3)

    async def test_the_digest_tells_that_every_byte_arrived(self, hub: HubHandle, client: RawClient) -> None:
        items = [sync_item(1), sync_item("A-7", payload="ü\n\u2028😀"), sync_item(None), sync_item(True), sync_item(2**60)]
        texts = ["1", "A-7", "", "true", str(2**60)]
        expected = 0
        for item, text in zip(items, texts, strict=True):
            fields = (item["correlationId"], item["entityType"], text, item["operation"], item["payload"])
            expected ^= int.from_bytes(hashlib.sha256("\n".join(fields).encode()).digest())
        await client.call("SendSyncBatch", items)
        assert (await hub.state())["digest"] == f"{expected:064x}"

    async def test_order_and_priority_are_watched(self, hub: HubHandle, client: RawClient) -> None:
        sent = [(1, 5, 3), (2, 6, 1), (1, 4, 3), (1, 7, 2)]
        items = [sync_item(entity, sequence=sequence, priority=priority) for entity, sequence, priority in sent]
        await client.call("SendSyncBatch", items)
        state = await hub.state()
        assert (state["orderViolationCount"], state["orderViolations"]) == (1, ["7|Receipt/1: 4 after 5"])
        assert state["priorityInversions"] == 2
        assert await hub.control("GET", "arrivals?offset=1&count=2") == (200, [item["correlationId"] for item in items[1:3]])
        assert await hub.control("GET", "items") == (200, items)

    async def test_a_heartbeat_is_counted_and_answered(self, hub: HubHandle, client: RawClient) -> None:
        await client.send(invocation("Heartbeat", {"storeId": 7, "pendingSyncCount": 3}))
        assert await client.receive() == HEARTBEAT_RESPONSE
        await client.receive()
        state = await hub.state()
        assert (state["heartbeats"], state["heartbeatsByStore"]) == (1, {"7": 1})
        assert state["lastHeartbeat"] == {"storeId": 7, "pendingSyncCount": 3}

    async def test_acknowledgements_are_counted(self, hub: HubHandle, client: RawClient) -> None:
        bad = {"correlationId": "b", "success": False, "errorMessage": "malformed"}
        await client.call("Acknowledge", {"correlationId": "a", "success": True})
        await client.call("AcknowledgeBatch", [{"correlationId": "a", "success": True}, bad])
        state = await hub.state()
        assert (state["acksOk"], state["acksOkDistinct"], state["acksFailed"], state["failedAcks"]) == (2, 1, 1, [bad])

    async def test_the_feed_is_read_page_by_page(self, hub: HubHandle, client: RawClient) -> None:
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
        self, hub: HubHandle, client: RawClient
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

    async def test_reset_forgets(self, hub: HubHandle, client: RawClient) -> None:
        before = await hub.state()
        await client.call("SendSyncBatch", [sync_item()])
        await client.call("Heartbeat", {})
        assert (await hub.control("POST", "reset"))[0] == 200
        assert await hub.state() == {**before, "connections": 1, "maxConnections": 1, "connects": 0, "upgrades": 0}


class TestFaults:
    async def test_every_so_many_items_are_refused(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(refuseEvery=2)
        acks = (await client.call("SendSyncBatch", [sync_item(number) for number in range(4)]))["result"]
        assert [(ack["success"], ack["errorMessage"], ack["retryable"]) for ack in acks] == [
            (True, None, None), (False, "refused by fault", True), (True, None, None), (False, "refused by fault", True),
        ]  # fmt: skip
        assert (await hub.state())["refused"] == 2

    async def test_after_a_refusal_the_entity_waits(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(refuseEntityIds=["1"], refuseRetryable=False)
        items = [sync_item(2), sync_item(1), sync_item(1), sync_item(1, entityType="Other")]
        acks = (await client.call("SendSyncBatch", items))["result"]
        assert [(ack["errorMessage"], ack["retryable"]) for ack in acks] == [
            (None, None), ("refused by fault", False), ("an earlier item of this entity was refused", True), ("refused by fault", False),
        ]  # fmt: skip

    async def test_a_batch_throws_and_nothing_of_it_is_taken(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(throwForEntityIds=["2"])
        text = THROWN + " HubException: this batch holds an item that HQ cannot process"
        assert await client.call("sendSyncBatch", [sync_item(1), sync_item(2)]) == error_of("SendSyncBatch", text)
        assert (await hub.state())["received"] == 0

    @pytest.mark.parametrize(("fault", "received"), [("cutBeforeEvery", 0), ("cutAfterEvery", 1)])
    async def test_the_line_is_cut_before_or_after_a_batch(self, hub: HubHandle, client: RawClient, fault: str, received: int) -> None:
        await hub.faults(**{fault: 2})
        assert len((await client.call("SendSyncBatch", [sync_item(1)]))["result"]) == 1
        await client.send(invocation("SendSyncBatch", [sync_item(2)]))
        assert await client.the_end() == ABORTED
        assert (await hub.state())["received"] == 1 + received

    async def test_half_the_verdicts(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(halfVerdicts=True)
        items = [sync_item(number) for number in range(3)]
        acks = (await client.call("SendSyncBatch", items))["result"]
        assert [ack["correlationId"] for ack in acks] == [item["correlationId"] for item in items[:2]]

    async def test_a_silent_batch_holds_up_the_connection_until_it_ends(self, hub: HubHandle) -> None:
        await hub.faults(silentEvery=1)
        async with raw_client(hub.url) as client:
            await client.send(*(invocation("SendSyncItem", sync_item(), number=str(number)) for number in range(3)))
            assert (await hub.state_until(lambda state: state["received"] > 0))["received"] == 1
        assert (await hub.state_until(lambda state: state["connections"] == 0))["received"] <= 3

    async def test_negotiate_and_upgrade_answer_with_a_status(self, hub: HubHandle) -> None:
        await hub.faults(negotiateStatus=503, retryAfterSeconds=7)
        assert await hub.negotiate() == (503, "", "7")
        async with raw_client(hub.url):
            pass
        await hub.faults(upgradeStatus=429)
        assert (await hub.negotiate())[0] == 200
        assert await hub.refusal("") == (429, None)
        state = await hub.state()
        assert (state["negotiates"], state["upgrades"], state["upgradesRefused"]) == (2, 1, 1)

    async def test_a_captive_portal_answers_with_a_web_page(self, hub: HubHandle) -> None:
        await hub.faults(captivePortal=True, negotiateStatus=401)
        status, page, _ = await hub.negotiate()
        assert (status, page) == (200, "<html><body>Please accept the terms of use of this network.</body></html>")

    async def test_what_is_left_out_is_off(self, hub: HubHandle) -> None:
        await hub.faults(refuseEvery=2, halfVerdicts=True)
        _, faults = await hub.control("PUT", "faults", {"RefuseEntityIds": ["5"]})
        assert faults == {
            "delayMs": 0, "refuseEvery": 0, "refuseEntityIds": ["5"], "refuseRetryable": True, "throwForEntityIds": [],
            "hangForEntityIds": [], "nullForEntityIds": [],
            "cutAfterEvery": 0, "cutBeforeEvery": 0, "silentEvery": 0, "halfVerdicts": False,
            "negotiateStatus": 0, "upgradeStatus": 0, "retryAfterSeconds": 0, "captivePortal": False,
        }  # fmt: skip

    async def test_a_name_that_is_no_faults_is_refused_and_changes_nothing(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(refuseEvery=1)
        for nonsense in ('{"refuseEverry": 2}', '{"delayMs": 1, "halfVerdict": true}', '{"delayMs": "x"}', "nonsense", "null"):
            assert (await hub.control("PUT", "faults", nonsense))[0] == 400
        assert [ack["success"] for ack in (await client.call("SendSyncBatch", [sync_item()]))["result"]] == [False]

    async def test_some_entities_get_no_verdict_but_null(self, hub: HubHandle, client: RawClient) -> None:
        await hub.faults(nullForEntityIds=["2"])
        acks = (await client.call("SendSyncBatch", [sync_item(1), sync_item(2), sync_item(3)]))["result"]
        assert [ack and ack["success"] for ack in acks] == [True, None, True]
        assert (await hub.state())["received"] == 2

    async def test_a_batch_with_some_entity_is_never_answered(self, hub: HubHandle) -> None:
        await hub.faults(hangForEntityIds=["2"])
        async with raw_client(hub.url) as client:
            assert len((await client.call("SendSyncBatch", [sync_item(1)]))["result"]) == 1
            await client.send(
                invocation("SendSyncBatch", [sync_item(2)], number="9"), invocation("SendSyncBatch", [sync_item(3)], number="10")
            )
            assert (await hub.state_until(lambda state: state["batches"] == 2))["received"] == 1
        assert (await hub.state_until(lambda state: state["connections"] == 0))["received"] <= 2


class TestPushes:
    async def test_numbers_arrive_as_they_were_written(self, hub: HubHandle, client: RawClient) -> None:
        argument = '{"price":12.50,"b":1E5,"c":0.10,"d":12345678901234567890123,"e":-0,"text":"<é>/"}'
        status, _ = await hub.control("POST", "push", f'{{"method":"ReceivePriceUpdate","args":[{argument}]}}')
        assert status == 200
        assert await client.receive_text() == f'{{"type":1,"target":"ReceivePriceUpdate","arguments":[{argument}]}}'

    async def test_many_are_made_from_a_template(self, hub: HubHandle, client: RawClient) -> None:
        many = {"method": "M", "template": '{"id":{n},"price":1.50}', "from": 5, "count": 3}
        assert await hub.control("POST", "push-many", many) == (200, 3)
        for number in (5, 6, 7):
            assert await client.receive_text() == f'{{"type":1,"target":"M","arguments":[{{"id":{number},"price":1.50}}]}}'
        assert await hub.control("POST", "push-many", {**many, "perMessage": 2}) == (200, 3)
        sizes = [len((await client.receive())["arguments"][0]) for _ in range(2)]
        assert sizes == [2, 1]

    async def test_one_store_is_known_by_its_url_or_its_heartbeat(self, hub: HubHandle) -> None:
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
    async def test_a_client_gives_its_result(self, hub: HubHandle, client: RawClient, answer: str, expected: tuple[int, str]) -> None:
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

    async def test_a_client_that_gives_none_or_leaves(self, hub: HubHandle) -> None:
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
        hub = HubHandle(running.url if isinstance(running, DevHub) else running.url())
        async with raw_client(hub.url) as client:
            await hub.control("POST", "stop")
            assert await client.the_end() == ["closed 1006"]


async def test_an_unconnected_id_expires() -> None:
    async with DevHub(limits=Limits(unconnected_id_seconds=0.1)) as devhub, aiohttp.ClientSession() as http:
        _, answer, _ = await HubHandle(devhub.url).negotiate()
        async with asyncio.timeout(60):
            while True:  # a plain GET asks after an id without using it up
                async with http.get(f"{devhub.url}?id={answer['connectionToken']}") as found:
                    if found.status == 404:
                        break
                    await asyncio.sleep(0.02)
        assert await HubHandle(devhub.url).refusal(f"?id={answer['connectionToken']}") == (404, None)


async def test_decimals_pushed_by_a_call_keep_their_digits() -> None:
    async with DevHub() as devhub, raw_client(devhub.url) as client:
        assert await devhub.push("ReceivePriceUpdate", {"price": Decimal("12.50"), "tiny": Decimal("1E-7")}) == 1
        assert await client.receive_text() == '{"type":1,"target":"ReceivePriceUpdate","arguments":[{"price":12.50,"tiny":0.0000001}]}'
        with pytest.raises(TypeError):
            await devhub.push("ReceivePriceUpdate", Decimal("NaN"))
