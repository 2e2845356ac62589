"""Whether a page is of another feed than the cursor: what HQ says, and what only hints at it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.downlink.feed_page import FeedPage
from syncd.downlink.other_feed import DAY_SECONDS, HINTS_A_DAY, NEXT_CURSOR, TOTAL_ITEMS, Hints, behind
from tests.support.clock import FakeClock
from tests.support.feeds import feed_at

AT_SIX = replace(feed_at("6"), total_items=6)


def page(next_cursor: str | None = "6", total: int | None = 6, epoch: str | None = None) -> FeedPage:
    return FeedPage([], has_more=False, next_cursor=next_cursor, total_items=total, feed_epoch=epoch)


@pytest.mark.parametrize(
    ("cursor", "asked", "is_behind"),
    [
        ("5", "6", True), ("10", "9", False), ("6", "6", False), ("0", "6", True), ("1.5", "1.25", False), ("-1", "0", True),
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.001Z", True), ("2026-11-23T11:00:00+02:00", "2026-11-23T10:00:00Z", True),
        ("0001-01-01T00:00:00", "2026-11-23T10:00:00Z", True), ("2026-11-24", "2026-11-23T10:00:00Z", False),
        ("a", "b", False), ("5", "2026-11-23T10:00:00Z", False), (None, "6", False), ("5", None, False), ("", "6", False),
        (".", "6", False),
        ("9" * 41, "6", False), ("٣", "6", False),
    ],
)  # fmt: skip
def test_only_two_numbers_or_two_times_tell_which_is_behind(cursor: str | None, asked: str | None, is_behind: bool) -> None:
    assert behind(cursor, asked) == is_behind


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (page(), None),
        (page(total=7), None),
        (page("9", 7), None),
        (page("opaque", None), None),
        (page("3", 3), NEXT_CURSOR),
        (page(None, 5), TOTAL_ITEMS),
        (page("opaque", 0), TOTAL_ITEMS),
    ],
)
def test_a_cursor_or_a_total_that_goes_back_hints_at_another_feed(answer: FeedPage, hint: str | None) -> None:
    found = Hints(FakeClock()).look(answer, AT_SIX, "6", None, first=True)
    assert (found and found.hint) == hint


def test_a_total_is_compared_on_the_first_page_only_and_a_time_with_the_earlier_one_that_was_asked_for() -> None:
    hints = Hints(FakeClock())
    assert hints.look(page(None, 5), AT_SIX, "6", None, first=False) is None
    time = replace(feed_at("2026-11-23T10:00:00Z"), total_items=6)
    earlier = page("2026-11-23T09:59:55Z")
    assert hints.look(earlier, time, time.cursor, "2026-11-23T09:59:55.000Z", first=True) is None
    assert hints.look(page("2026-11-23T09:59:54Z"), time, time.cursor, "2026-11-23T09:59:55.000Z", first=True) is not None


def test_where_hq_names_its_feed_its_word_alone_counts() -> None:
    named = replace(AT_SIX, feed_epoch="a")
    hints = Hints(FakeClock())
    assert hints.look(page("3", 3, "a"), named, "6", None, first=True) is None
    found = hints.look(page(epoch="b"), named, "6", None, first=True)
    assert found is not None
    assert (found.hint, found.reason) == (None, "HQ's feed is b, and was a when we got our cursor")
    assert hints.look(page(epoch="b"), named, None, None, first=True) is None, "from the beginning any feed will do"
    assert hints.look(page(), named, "6", None, first=True) is None, "one server of a farm that does not know the name says nothing"


def test_a_hint_that_has_proved_wrong_is_ignored_and_a_right_one_is_not() -> None:
    hints = Hints(FakeClock())
    assert hints.look(page("6", 0), AT_SIX, "6", None, first=True) is not None
    assert hints.begun(page("6", 6), feed_at(None)).ignored_hints == {TOTAL_ITEMS}
    hints.ended(feed_at("6"))
    assert hints.look(page("0", None), AT_SIX, "6", None, first=True) is not None
    assert hints.ended(feed_at("6")).ignored_hints == {NEXT_CURSOR}
    assert hints.look(page("3", 3), AT_SIX, "6", None, first=True) is not None
    assert hints.begun(page("3", 3), feed_at(None)).ignored_hints == hints.ended(feed_at("3")).ignored_hints == frozenset()


def test_a_hub_whose_hints_go_on_and_on_is_not_believed_for_a_day() -> None:
    clock = FakeClock()
    hints = Hints(clock)
    for _ in range(HINTS_A_DAY):
        assert hints.look(page(total=1), AT_SIX, "6", None, first=True) is not None
    assert hints.look(page(total=1), AT_SIX, "6", None, first=True) is None
    clock.seconds += DAY_SECONDS
    assert hints.look(page(total=1), AT_SIX, "6", None, first=True) is not None
