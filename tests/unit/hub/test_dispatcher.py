"""What the dispatcher does in one turn of the loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from syncd.hub import dispatcher as dispatcher_module
from syncd.hub.calls import CallHandlers, ClientMethod
from syncd.hub.dispatcher import TURN_BYTES, Dispatcher
from syncd.hub.incoming import Call, UnreadCall, read_call
from syncd.wire.json import MAX_VALUES

if TYPE_CHECKING:
    import pytest


def a_call(number: int, more: str) -> UnreadCall:
    return UnreadCall(f'{{"type":1,"target":"M","arguments":[{{"n":{number},"more":{more}}}]}}'.encode())


class Handled:
    """Runs the calls through a dispatcher, and writes down what it read in which turn of the loop.

    Attributes:
        order: the numbers, as they were handled; -1 for one that was reported as unreadable.
        bursts: the numbers that were handled together.
        reads: turn and record of each attempt to read one in one go.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[int] = []
        self.bursts: list[list[int]] = []
        self.reads: list[tuple[int, bytes]] = []
        self._turn = 0
        monkeypatch.setattr(dispatcher_module, "read_call", self._read)

    def _read(self, record: bytes) -> Call | None:
        self.reads.append((self._turn, record))
        return read_call(record)

    async def _one(self, arguments: list[Any], _: bool) -> None:
        self.order.append(arguments[0]["n"])

    async def _burst(self, messages: list[Any]) -> None:
        self.bursts.append([message["n"] for message in messages])
        self.order += self.bursts[-1]

    async def _send(self, _: object) -> None:
        raise AssertionError("no caller wants a result")

    async def run(self, calls: list[UnreadCall]) -> None:
        methods = {"m": ClientMethod(self._one, self._burst)}
        handlers = CallHandlers(methods, self._send, lambda _: self.order.append(-1), structlog.get_logger())
        dispatcher = Dispatcher(handlers, shed=lambda: None, has_room=lambda: None)
        for call in calls:
            dispatcher.put(call)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            running = group.create_task(dispatcher.run(group))
            while len(self.order) < len(calls):
                self._turn += 1
                await asyncio.sleep(0)
            running.cancel()


async def test_large_calls_are_read_and_handled_some_at_a_time_and_small_ones_by_the_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    handled = Handled(monkeypatch)
    large = f'"{"x" * (TURN_BYTES * 2 // 5)}"'
    await handled.run([a_call(number, large if number < 40 else "0") for number in range(240)])
    assert handled.order == list(range(240))
    read_in = Counter[int]()
    for turn, record in handled.reads:
        read_in[turn] += len(record)
    assert max(read_in.values()) < 2 * TURN_BYTES, "what is within the bound, and the neighbours that cross it"
    assert handled.bursts[0] == [0, 1]
    assert max(map(len, handled.bursts)) == dispatcher_module.MAX_BURST


async def test_a_call_that_cannot_be_read_in_one_go_is_tried_once_and_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    handled = Handled(monkeypatch)
    slow = "[" + ",".join(["{}"] * MAX_VALUES) + "]"
    await handled.run([a_call(number, slow if number in (1, 3, 4) else "0") for number in range(7)])
    assert len(handled.reads) == 7, "each once"
    assert handled.order == [0, 2, 5, 6, -1, -1, -1]
