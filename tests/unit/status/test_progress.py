from __future__ import annotations

import pytest

from syncd.status.progress import Progress, ProgressMeter, time_span


def test_a_few_rows_are_no_backlog() -> None:
    meter = ProgressMeter(threshold=50)
    assert meter.measure(pending=50, sent=0, failed=0, current_item="", now=0) is None


def test_a_backlog_is_followed_to_its_end_and_stays_visible() -> None:
    meter = ProgressMeter(threshold=50)
    assert meter.measure(pending=1000, sent=500, failed=3, current_item="", now=0) == Progress(1000, 0, 0, None, "")
    assert meter.measure(pending=800, sent=700, failed=3, current_item="Receipt 7", now=10) == Progress(1000, 200, 0, 40.0, "Receipt 7")
    assert meter.measure(pending=760, sent=735, failed=8, current_item="", now=12) == Progress(1000, 235, 5, 38.0, "")
    done = meter.measure(pending=0, sent=1495, failed=8, current_item="", now=50)
    assert done == Progress(1000, 995, 5, 0.0, "")
    assert done.is_complete
    assert meter.measure(pending=7, sent=1495, failed=8, current_item="", now=60) == done
    assert meter.measure(pending=100, sent=1500, failed=8, current_item="", now=70) == Progress(100, 0, 0, None, "")


def test_rows_that_arrive_meanwhile_belong_to_the_backlog() -> None:
    meter = ProgressMeter(threshold=0)
    meter.measure(pending=10, sent=0, failed=0, current_item="", now=0)
    progress = meter.measure(pending=15, sent=5, failed=0, current_item="", now=5)
    assert progress == Progress(20, 5, 0, 15.0, "")


def test_the_speed_is_that_of_the_last_minute() -> None:
    meter = ProgressMeter(threshold=0)
    for second in range(600):  # slow: one row a second
        meter.measure(pending=100_000 - second, sent=second, failed=0, current_item="", now=second)
    for second in range(1, 62):  # a better line: a hundred a second
        sent = 599 + 100 * second
        progress = meter.measure(pending=100_000 - sent, sent=sent, failed=0, current_item="", now=599 + second)
    assert progress is not None
    assert progress.seconds_remaining == pytest.approx((100_000 - sent) / 100, rel=0.02)


def test_a_line_that_is_gone_for_a_minute_makes_no_promises() -> None:
    meter = ProgressMeter(threshold=0)
    meter.measure(pending=100, sent=0, failed=0, current_item="", now=0)
    assert meter.measure(pending=50, sent=50, failed=0, current_item="", now=10) == Progress(100, 50, 0, 10.0, "")
    for second in range(11, 80):
        progress = meter.measure(pending=50, sent=50, failed=0, current_item="", now=second)
    assert progress == Progress(100, 50, 0, None, "")


def test_failed_rows_that_a_person_takes_back_do_not_make_it_negative() -> None:
    meter = ProgressMeter(threshold=0)
    meter.measure(pending=10, sent=0, failed=5, current_item="", now=0)
    assert meter.measure(pending=15, sent=0, failed=0, current_item="", now=1) == Progress(15, 0, 0, None, "")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "00:00:00"), (59.6, "00:01:00"), (3661, "01:01:01"), (90_061, "1.01:01:01"), (1e30, "10000.00:00:00")]
)
def test_a_time_span_reads_as_net_s_does(seconds: float, expected: str) -> None:
    assert time_span(seconds) == expected
