from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire.messages import (
    MAX_SPELLINGS,
    Spellings,
    SyncAck,
    UnreadableAnswerError,
    accepting_ack,
    accepts_all,
    any_case,
    batch_sync_request,
    fields_in_any_case,
    read_acks,
    sync_ack,
    unreadable_ack,
)

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def test_nothing_means_all_accepted() -> None:
    assert read_acks(None) is None


def test_a_list_of_verdicts_is_read_whatever_the_case_of_its_names() -> None:
    result = [
        {"CorrelationId": "a", "Success": True, "unknown": 1},
        {"correlationid": "b", "success": False, "errorMessage": "no", "retryable": False},
    ]
    assert read_acks(result) == [SyncAck("a", True, None, True), SyncAck("b", False, "no", False)]


def test_a_single_verdict_is_a_list_of_one() -> None:
    assert read_acks({"correlationId": "a", "success": False}) == [SyncAck("a", False, None, True)]


def test_an_empty_list_decides_nothing() -> None:
    assert read_acks([]) == []


@pytest.mark.parametrize("retryable", [None, True, "no", 0])
def test_only_a_plain_false_is_for_good(retryable: Any) -> None:
    assert read_acks([{"correlationId": "a", "success": False, "retryable": retryable}]) == [SyncAck("a", False, None, True)]


@pytest.mark.parametrize(
    "result",
    ["ok", 5, True],
)
def test_what_is_neither_nothing_nor_a_list_is_no_answer(result: Any) -> None:
    with pytest.raises(UnreadableAnswerError):
        read_acks(result)


@pytest.mark.parametrize(
    ("odd", "words"),
    [("ok", "text in place of a verdict"), (None, "null in place of a verdict"), ({}, "without a correlationId"),
     ({"success": True}, "without a correlationId"), ({"correlationId": 5, "success": True}, "without a correlationId"),
     ({"correlationId": "a"}, "without success"), ({"correlationId": "a", "success": "true"}, "without success"),
     ({"correlationId": "a", "success": 1}, "without success")],
)  # fmt: skip
def test_what_the_contract_does_not_know_is_no_verdict_and_the_others_stand(odd: Any, words: str) -> None:
    answer = [{"correlationId": "b", "success": True}, odd, {"correlationId": "c", "success": False}]
    assert read_acks(answer) == [SyncAck("b", True, None, True), SyncAck("c", False, None, True)]
    assert words in (unreadable_ack(answer) or "")
    assert unreadable_ack([answer[0], answer[2]]) is None


def test_our_own_word_never_holds_a_null() -> None:
    assert sync_ack(None, None, NOW) == {"correlationId": "", "success": True, "processedAt": "2026-11-23T10:00:00.000Z"}
    refused = sync_ack("c", "malformed", NOW)
    assert (refused["success"], refused["errorMessage"], refused["retryable"]) == (False, "malformed", False)


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_many_words_at_one_moment_are_the_same_words(correlation_id: str) -> None:
    assert accepting_ack(NOW)(correlation_id) == orjson.dumps(sync_ack(correlation_id, None, NOW))


def test_a_catch_up_asks_for_what_is_known_only() -> None:
    assert batch_sync_request(7, None, None, [], 500) == {"storeId": 7, "batchSize": 500}
    assert batch_sync_request("7", "c", "t", ["Price"], 1) == {
        "storeId": "7", "batchSize": 1, "cursor": "c", "sinceTimestamp": "t", "entityTypes": ["Price"],
    }  # fmt: skip


def test_names_are_lower_case() -> None:
    assert any_case({"StoreId": 1, "x": 2}) == {"storeid": 1, "x": 2}
    for message in ({"A": 1, "a": 2}, {"a": 1, "A": 2}):
        assert any_case(message) == {"a": 2}
        assert list(fields_in_any_case("b", "a")(message)) == [None, 2]


def test_no_hub_can_make_us_remember_any_amount_of_names() -> None:
    worked_out: list[tuple[str, ...]] = []
    known = Spellings[None](worked_out.append)
    for number in range(10 * MAX_SPELLINGS):
        known[(f"{number}",)]
    assert len(known) <= MAX_SPELLINGS
    worked_out.clear()
    for _ in range(3):
        known[("one", "two")]
        known[("x" * 10_000,)]
    assert worked_out == [("one", "two"), *[("x" * 10_000,)] * 3]


def an_ack(correlation_id: object, success: object = True, **more: object) -> dict[str, object]:
    return {"correlationId": correlation_id, "success": success, "processedAt": "2026-11-23T10:00:00.000Z", **more}


@pytest.mark.parametrize("answer", [None, [an_ack("a"), an_ack("b", errorMessage=None)]])
def test_nothing_or_a_success_for_each_in_order_accepts_all(answer: object) -> None:
    assert accepts_all(answer, ("a", "b"))


@pytest.mark.parametrize(
    "answer",
    [[], [an_ack("a")], [an_ack("b"), an_ack("a")], [an_ack("a"), an_ack("b", success=False)], [an_ack("a"), an_ack("b", success=1)],
     [an_ack("a"), None], [an_ack("a"), {"correlationid": "b", "success": True}], [an_ack("A"), an_ack("b")], "OK", {"success": True},
     [an_ack("a"), an_ack("b"), an_ack("c")], [an_ack("a"), [1]], [an_ack("a"), "b"]],
)  # fmt: skip
def test_any_other_answer_is_read_ack_by_ack(answer: object) -> None:
    assert not accepts_all(answer, ("a", "b"))
