"""Where HQ accepts nothing, few rows are tried; the first that is accepted ends it."""

from __future__ import annotations

import pytest
import structlog

from syncd.uplink.breaker import OPEN_AFTER_ROWS, PROBE_ROWS, Breaker
from syncd.uplink.retry import PROBE_SECONDS
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> Breaker:
    return Breaker(clock, structlog.get_logger())


def open_it(breaker: Breaker) -> None:
    for _ in range(OPEN_AFTER_ROWS // 50):
        breaker.answered(0, 50, "closed for stocktaking")


def test_it_opens_after_many_refusals_without_an_acceptance_among_them(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.answered(0, OPEN_AFTER_ROWS - 1, "no")
        assert not breaker.open
        breaker.answered(1, 49, "no")
    open_it(breaker)
    assert breaker.open
    assert breaker.finding() == (
        "HQ has accepted no row since 2026-11-23T10:00:00.000Z: 5,000 refused, first words: closed for stocktaking; "
        "a few rows are tried until it accepts one"
    )


def test_rows_are_tried_every_ten_seconds_at_last_and_what_was_in_flight_together_is_one_step(breaker: Breaker, clock: FakeClock) -> None:
    open_it(breaker)
    waits = []
    for _ in range(6):
        waits.append(breaker.not_before - clock.monotonic())
        breaker.answered(0, 50, "no")  # another one of the window
        assert breaker.not_before - clock.monotonic() == waits[-1]
        clock.seconds = breaker.not_before
        breaker.answered(0, 20, "no")
    assert waits == [*PROBE_SECONDS, *[PROBE_SECONDS[-1]] * 4]
    assert max(waits) == 10
    assert 3600 / waits[-1] * PROBE_ROWS <= 2600, "no more rows an hour lose an attempt"


def test_the_first_acceptance_ends_it_at_once(breaker: Breaker, clock: FakeClock) -> None:
    open_it(breaker)
    clock.seconds += 100
    breaker.answered(1, 19, "no")
    assert not breaker.open
    assert breaker.not_before <= clock.monotonic()
    assert breaker.finding() is None


def test_after_a_minute_without_an_acceptance_a_person_is_told_since_when_and_with_which_first_words(
    breaker: Breaker, clock: FakeClock
) -> None:
    breaker.answered(0, 3, "closed for stocktaking")
    clock.seconds = 59
    breaker.answered(0, 3, "something else")
    assert breaker.finding() is None
    clock.seconds = 60
    assert breaker.finding() == "HQ has accepted no row since 2026-11-23T10:00:00.000Z: 6 refused, first words: closed for stocktaking"


def test_an_answer_that_decides_nothing_counts_as_well_and_a_lost_line_does_not(breaker: Breaker, clock: FakeClock) -> None:
    breaker.answered(0, 0, None)
    clock.seconds = 100
    assert breaker.finding() is None
    breaker.answered(0, 0, "its answer cannot be read")
    clock.seconds = 160
    assert breaker.finding() == "HQ has accepted no row since 2026-11-23T10:01:40.000Z: first words: its answer cannot be read"
    assert not breaker.open


def test_once_nothing_waits_any_more_it_begins_anew(breaker: Breaker, clock: FakeClock) -> None:
    breaker.answered(0, 1, "yesterday's")
    clock.seconds = 86400
    breaker.nothing_waits()
    breaker.answered(0, 1, "today's")
    assert breaker.finding() is None
