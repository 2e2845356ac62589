from __future__ import annotations

from typing import Any

import structlog
from structlog.testing import LogCapture

from syncd.downlink.reading import MessageReader, chunks_of, is_list
from syncd.store.catalog import PRICE
from syncd.store.quarantine import Quarantined
from syncd.store.update import Update, read_update
from syncd.wire.large import Broken, LargeList


def a_price(number: int, **fields: object) -> dict[str, object]:
    return {"productId": number, "price": 5, "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z", "correlationId": f"c{number}"} | fields


def a_reader() -> tuple[MessageReader, LogCapture]:
    capture = LogCapture()
    log = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0))
    return MessageReader("ReceivePriceUpdate", lambda message: read_update(PRICE, message), log), capture


async def chunks(arguments: list[Any]) -> list[list[Any]]:
    return [chunk async for chunk in chunks_of(arguments)]


async def test_one_message_several_arguments_a_list_and_a_long_list_are_the_same() -> None:
    assert not is_list([{"a": 1}])
    assert await chunks([{"a": 1}]) == [[{"a": 1}]]
    lists: list[list[Any]] = [[1, 2], [[1, 2]], [LargeList(b"[1,2]", 0)]]
    for arguments in lists:
        assert is_list(arguments)
        assert await chunks(arguments) == [[1, 2]]
    for arguments in ([], [[]]):
        assert is_list(arguments)
        assert await chunks(arguments) == [[]]
    assert [len(chunk) for chunk in await chunks([list(range(600))])] == [250, 250, 100]


def test_a_million_that_are_no_updates_are_one_entry_and_one_event_with_a_count() -> None:
    reader, capture = a_reader()
    read = reader.read([a_price(1)])
    for _ in range(100):
        assert reader.read([17] * 1_000 + [Broken("NaN is not JSON", b"NaN\xff")]).items == []
    assert [type(item) for item in read.items] == [Update]
    (entry,) = reader.finish()
    assert entry.reason.startswith("100,100 of 100,101 elements cannot be read, the first: Price: an object is needed")
    assert entry.raw == "\n".join(["17"] * 10)
    (event,) = capture.entries
    assert (event["event"], event["messages"], event["of"]) == ("update_malformed", 100_100, 100_101)


def test_a_malformed_update_that_says_who_it_is_is_kept_by_itself_however_many_there_are() -> None:
    reader, _ = a_reader()
    read = reader.read([a_price(number, price="free") for number in range(100)])
    assert [item.correlation_id for item in read.items if isinstance(item, Quarantined)] == [f"c{number}" for number in range(100)]
    assert read.unreadable == [None] * 100
    assert reader.finish() == []


def test_of_nameless_objects_the_first_are_kept_by_themselves() -> None:
    reader, _ = a_reader()
    read = reader.read([{"n": number} for number in range(50)])
    assert [item.raw for item in read.items if isinstance(item, Quarantined)] == [f'{{"n":{number}}}' for number in range(20)]
    assert [why is None for why in read.unreadable] == [True] * 20 + [False] * 30
    (entry,) = reader.finish()
    assert entry.raw.splitlines() == [f'{{"n":{number}}}' for number in range(20, 30)]


def test_what_alone_cannot_be_read_is_kept_as_it_came() -> None:
    reader, _ = a_reader()
    assert reader.read([Broken("NaN is not JSON", b'{"price":NaN,"x":"\xff"}')]).items == []
    assert reader.finish() == [Quarantined("ReceivePriceUpdate", None, "NaN is not JSON", '{"price":NaN,"x":"\\xff"}')]
