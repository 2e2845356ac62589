"""The window follows the line and the hub: simulated here, one hub that takes a connection's messages one after the other."""

from __future__ import annotations

import heapq

import pytest

from syncd.uplink.window import MAX_BYTES_IN_FLIGHT, Window
from syncd.uplink.window_size import START_BATCHES, WindowSize
from tests.support.clock import FakeClock


class Line:
    """Sends as fast as the window lets it."""

    def __init__(self, clock: FakeClock, size: WindowSize) -> None:
        self.clock = clock
        self.size = size
        self.answers: list[tuple[float, float]] = []  # when it comes, when its message was sent; a heap
        self.hub_is_free = clock.seconds

    def run(self, messages: int, *, round_trip: float, service: float) -> None:
        for _ in range(messages):
            while len(self.answers) < self.size.batches:
                arrives = self.clock.seconds + round_trip / 2
                self.hub_is_free = max(arrives, self.hub_is_free) + service
                heapq.heappush(self.answers, (self.hub_is_free + round_trip / 2, self.clock.seconds))
            self.clock.seconds, sent = self.answers[0]
            self.size.answered(self.clock.seconds - sent, len(self.answers))
            heapq.heappop(self.answers)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_long_line_gets_as_many_batches_as_keep_the_hub_busy(clock: FakeClock) -> None:
    size = WindowSize(64)
    Line(clock, size).run(2000, round_trip=0.1, service=0.0025)
    assert 40 <= size.batches <= 50  # 100 ms of 2.5 ms each, and a few that wait


def test_the_setting_is_a_ceiling_also_below_the_start(clock: FakeClock) -> None:
    for ceiling in (1, 2, 16):
        size = WindowSize(ceiling)
        Line(clock, size).run(500, round_trip=0.1, service=0.0025)
        assert size.batches == ceiling


@pytest.mark.parametrize(("round_trip", "service"), [(0.0005, 0.002), (0.1, 0.2), (0.001, 0.001)])
def test_where_the_hub_is_the_slower_part_few_batches_wait_for_it(clock: FakeClock, round_trip: float, service: float) -> None:
    size = WindowSize(64)
    Line(clock, size).run(1000, round_trip=round_trip, service=service)
    assert START_BATCHES <= size.batches <= START_BATCHES + 3


def test_one_slow_answer_does_not_change_the_window(clock: FakeClock) -> None:
    size = WindowSize(64)
    line = Line(clock, size)
    line.run(1000, round_trip=0.1, service=0.0025)
    before = size.batches
    size.answered(20.0, size.batches)
    line.run(200, round_trip=0.1, service=0.0025)
    assert abs(size.batches - before) <= 5  # as without it


def test_a_hub_that_becomes_slower_gets_fewer(clock: FakeClock) -> None:
    size = WindowSize(64)
    line = Line(clock, size)
    line.run(1000, round_trip=0.1, service=0.0025)
    line.run(200, round_trip=0.1, service=0.1)
    assert size.batches <= START_BATCHES + 1


def test_a_new_connection_starts_with_few(clock: FakeClock) -> None:
    size = WindowSize(64)
    Line(clock, size).run(1000, round_trip=0.1, service=0.0025)
    size.connected()
    assert size.batches == START_BATCHES


def test_rows_that_are_sent_and_not_answered_are_bounded_in_bytes() -> None:
    window = Window(WindowSize(64))
    window.size.batches = 64
    large = MAX_BYTES_IN_FLIGHT // 2
    for _ in range(START_BATCHES):
        assert window.has_room(serial=False)
        window.sent(large)
    assert not window.has_room(serial=False)
    for _ in range(START_BATCHES - 1):
        window.back(large)
    assert window.has_room(serial=False)
    assert not window.has_room(serial=True)
