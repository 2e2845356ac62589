"""The queue of what has come from HQ: bounded for what is live, cut into chunks of one source that end at a cursor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from syncd.downlink.queue import MAX_CHARACTERS, MAX_UPDATES, Delivery, Refusals, UpdateQueue
from syncd.store.catalog import PRICE
from syncd.store.update import Update, read_update
from tests.support.feeds import feed_at


def price(number: int, text: str = "EUR") -> Update:
    return read_update(PRICE, {"productId": number, "price": 1, "currency": text, "updatedAt": "2026-11-23T10:00:00Z"})


def delivery(count: int, source: str = "live", **fields: Any) -> Delivery:
    done: asyncio.Future[Refusals] = asyncio.get_running_loop().create_future()
    return Delivery([price(n) for n in range(count)], [None] * count, source, done, **fields)


async def test_a_chunk_holds_neighbours_of_one_source_and_the_cursor_behind_its_last_whole_page() -> None:
    queue = UpdateQueue()
    pages = (delivery(rows, "catchup", feed=feed_at(cursor)) for rows, cursor in ((2, "a"), (1, "b"), (2, "c"), (0, "d"), (1, "e")))
    for some in (delivery(3), delivery(2), *pages):
        queue.put(some)
    sizes = []
    while not queue.is_empty:
        chunk = queue.chunk(4)
        sizes.append((chunk.source, len(chunk.items), chunk.feed and chunk.feed.cursor))
        queue.applied(chunk, len(chunk.items))
    assert sizes == [("live", 4, None), ("live", 1, None), ("catchup", 4, "b"), ("catchup", 2, "e")]
    assert len(queue) == 0


async def test_a_cursor_without_rows_behind_it_goes_in_with_the_rows_before_it() -> None:
    queue = UpdateQueue()
    for some in (delivery(4, "catchup"), delivery(0, "catchup", feed=feed_at("a")), delivery(1, "catchup")):
        queue.put(some)
    chunk = queue.chunk(4)
    assert (len(chunk.items), chunk.feed) == (4, feed_at("a"))
    assert len(queue.applied(chunk, 4)) == 2


async def test_what_is_left_of_a_chunk_comes_first_in_the_next_one() -> None:
    queue = UpdateQueue()
    first, empty, last = delivery(2), delivery(0), delivery(2)
    for some in (first, empty, last):
        queue.put(some)
    assert queue.applied(queue.chunk(10), 2) == [first]
    assert queue.applied(queue.chunk(10), 1) == [empty]
    assert (last.position, len(queue)) == (1, 1)
    assert queue.applied(queue.chunk(10), 1) == [last]
    assert queue.is_empty


@pytest.mark.parametrize("many", [True, False])
async def test_what_is_live_waits_in_its_turn_until_there_is_room(many: bool) -> None:
    queue, taken = UpdateQueue(), list[int]()
    full = delivery(MAX_UPDATES) if many else delivery(0)
    full.items += [] if many else [price(1, "x" * MAX_CHARACTERS)]
    queue.put(full)
    assert queue.is_full

    async def put(number: int) -> None:
        await queue.room()
        taken.append(number)
        queue.put(delivery(1))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(put(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert taken == []
        tasks[2].cancel()  # its connection is gone
        queue.applied(queue.chunk(MAX_UPDATES), len(full.items))
    assert taken == [0, 1, 3, 4]
    assert len(queue) == 4
