from __future__ import annotations

import random

import pytest

from syncd.errors import AuthenticationRejected, ClosedByHub, ConnectionFailed, ConnectionLost
from syncd.hub.backoff import MAX_QUICK_RETRIES, MAX_RETRY_AFTER_SECONDS, Backoff

LOST = ConnectionLost("cut")


def a_backoff(seed: int = 1) -> Backoff:
    return Backoff(first_seconds=5, longest_seconds=120, random=random.Random(seed))


def test_delays_double_from_five_seconds_to_two_minutes_each_jittered_down_to_a_fifth() -> None:
    drawn = [[backoff.next_seconds(LOST) for _ in range(8)] for backoff in map(a_backoff, range(300))]
    for delay, values in zip((5, 10, 20, 40, 80, 120, 120, 120), zip(*drawn, strict=True), strict=True):
        assert 0.2 * delay <= min(values) < 0.25 * delay
        assert 0.95 * delay < max(values) <= delay


def test_the_same_seed_gives_the_same_delays() -> None:
    one, other = a_backoff(7), a_backoff(7)
    assert [one.next_seconds(LOST) for _ in range(5)] == [other.next_seconds(LOST) for _ in range(5)]


def test_a_short_life_does_not_wipe_the_slate_and_a_minute_does() -> None:
    backoff = a_backoff()
    for _ in range(6):
        backoff.next_seconds(LOST)
    backoff.lived(59.9)
    assert backoff.next_seconds(LOST) >= 24
    backoff.lived(60.0)
    assert backoff.next_seconds(LOST) <= 5


def test_a_rejected_token_is_tried_once_more_soon_and_then_slowly() -> None:
    backoff = a_backoff()
    rejected = AuthenticationRejected("401", status=401)
    assert 1 <= backoff.next_seconds(rejected) <= 3
    assert all(24 <= backoff.next_seconds(rejected) <= 120 for _ in range(20))
    backoff.accepted()
    assert 1 <= backoff.next_seconds(rejected) <= 3


def test_a_hub_that_does_not_want_us_back_is_asked_slowly() -> None:
    assert a_backoff().next_seconds(ClosedByHub("go away", allow_reconnect=False)) >= 24


def test_a_close_without_an_error_waits_at_least_a_second_however_short_the_first_delay() -> None:
    backoff = Backoff(first_seconds=0.1, longest_seconds=120, random=random.Random(1))
    delays = [backoff.next_seconds(ClosedByHub(None, allow_reconnect=True)) for _ in range(5)]
    assert min(delays) >= 1
    assert max(delays) <= 5


def test_a_close_with_an_error_is_an_ordinary_failure() -> None:
    assert 1 <= a_backoff().next_seconds(ClosedByHub("Connection closed with an error.", allow_reconnect=True)) <= 5


def test_retry_after_is_a_minimum_with_chance_on_top() -> None:
    drawn = [backoff.next_seconds(ConnectionFailed("503", retry_after_seconds=30)) for backoff in map(a_backoff, range(100))]
    assert min(drawn) >= 30
    assert max(drawn) <= 35
    assert len(set(drawn)) == 100


def test_retry_after_is_capped_so_that_nobody_can_send_a_store_away_for_good() -> None:
    assert a_backoff().next_seconds(ConnectionFailed("503", retry_after_seconds=1e9)) <= MAX_RETRY_AFTER_SECONDS + 5


def test_when_slow_is_asked_for_it_is_slow() -> None:
    assert a_backoff().next_seconds(LOST, is_slow=True) >= 24


def test_a_quick_retry_is_granted_twenty_times_without_a_stable_connection() -> None:
    backoff = a_backoff()
    granted = [backoff.quick_seconds() for _ in range(MAX_QUICK_RETRIES)]
    assert all(seconds is not None and 0.5 <= seconds <= 1.5 for seconds in granted)
    assert backoff.quick_seconds() is None
    backoff.lived(60)
    assert backoff.quick_seconds() is not None


def test_failures_without_end_overflow_nothing() -> None:
    backoff = a_backoff()
    assert max(backoff.next_seconds(LOST) for _ in range(5000)) <= 120


@pytest.mark.parametrize("longest", [0.5, 5])
def test_a_longest_delay_below_the_first_is_taken_as_the_first(longest: float) -> None:
    backoff = Backoff(first_seconds=5, longest_seconds=longest, random=random.Random(1))
    assert all(1 <= backoff.next_seconds(LOST) <= 5 for _ in range(5))


def test_an_abort_after_useful_work_is_a_mere_loss_and_does_not_grow() -> None:
    aborted = ClosedByHub(None, allow_reconnect=False)
    backoff = Backoff(first_seconds=5, longest_seconds=120, random=random.Random(1))
    assert all(1 <= backoff.next_seconds(aborted, was_useful=True) <= 5 for _ in range(50))
    assert all(24 <= backoff.next_seconds(aborted) <= 120 for _ in range(50))
    refused = ClosedByHub("this store is blocked", allow_reconnect=False)
    assert all(24 <= backoff.next_seconds(refused, was_useful=True) <= 120 for _ in range(50))
