from __future__ import annotations

from syncd.downlink.page_size import GROW_AFTER_PAGES, LEAST_ITEMS_IN_TIME, MOST_WAITED_PAGES, PageSize


def pages_until_it_grows(size: PageSize) -> int:
    was, pages = size.items, 0
    while size.items == was:
        size.arrived()
        pages += 1
    return pages


def test_it_is_halved_down_to_one_and_grows_back_to_what_is_configured() -> None:
    size = PageSize(5)
    assert [(size.halve(), size.items) for _ in range(3)] == [(True, 2), (True, 1), (False, 1)]
    assert [(pages_until_it_grows(size), size.items) for _ in range(3)] == [
        (GROW_AFTER_PAGES, 2),
        (GROW_AFTER_PAGES, 4),
        (GROW_AFTER_PAGES, 5),
    ]
    for _ in range(2 * GROW_AFTER_PAGES):
        size.arrived()
    assert size.items == 5


def test_time_outs_halve_it_down_to_a_floor_and_it_grows_back_however_long_the_pages_take() -> None:
    size = PageSize(35)
    assert [(size.timed_out(), size.items) for _ in range(3)] == [(True, 17), (True, LEAST_ITEMS_IN_TIME), (False, LEAST_ITEMS_IN_TIME)]
    assert [(pages_until_it_grows(size), size.items) for _ in range(2)] == [(GROW_AFTER_PAGES, 20), (GROW_AFTER_PAGES, 35)]
    small = PageSize(4)
    assert (small.timed_out(), small.items) == (False, 4)


def test_one_time_out_among_pages_that_come_is_not_for_their_size_and_two_running_are() -> None:
    size = PageSize(500)
    for _ in range(20):
        for _ in range(GROW_AFTER_PAGES - 1):
            size.arrived()
        assert not size.timed_out()
    assert size.items == 500
    assert (size.timed_out(), size.items) == (True, 250)


def test_a_doubling_that_fails_is_tried_again_after_twice_as_many_pages_until_one_holds() -> None:
    size = PageSize(500)
    size.timed_out()
    waited: list[int] = []
    while len(waited) < 9:
        waited.append(pages_until_it_grows(size))
        (size.timed_out if len(waited) % 2 else size.halve)()
        assert size.items == 250, "no page of that size has ever come"
    assert waited[:4] == [GROW_AFTER_PAGES * factor for factor in (1, 2, 4, 8)]
    assert waited[-2:] == [MOST_WAITED_PAGES] * 2
    assert pages_until_it_grows(size) == MOST_WAITED_PAGES
    for _ in range(MOST_WAITED_PAGES):
        size.arrived()
    size.halve()
    assert (pages_until_it_grows(size), size.items) == (GROW_AFTER_PAGES, 500)
