from __future__ import annotations

from syncd.downlink.page_size import GROW_AFTER_PAGES, LEAST_ITEMS_IN_TIME, PageSize


def test_it_is_halved_down_to_one_and_grows_back_slowly_to_what_is_configured() -> None:
    size = PageSize(5)
    assert [(size.halve(), size.items) for _ in range(3)] == [(True, 2), (True, 1), (False, 1)]
    seen = []
    for _ in range(4 * GROW_AFTER_PAGES):
        size.arrived()
        seen.append(size.items)
    assert seen[GROW_AFTER_PAGES - 2 : GROW_AFTER_PAGES] == [1, 2]
    assert seen[2 * GROW_AFTER_PAGES - 1 :: GROW_AFTER_PAGES] == [4, 5, 5]


def test_a_time_out_halves_it_down_to_a_floor_and_only_prompt_pages_let_it_grow() -> None:
    size = PageSize(35)
    assert [(size.timed_out(), size.items) for _ in range(3)] == [(True, 17), (True, LEAST_ITEMS_IN_TIME), (False, LEAST_ITEMS_IN_TIME)]
    for _ in range(3 * GROW_AFTER_PAGES):
        size.arrived(0.3)
    assert size.items == LEAST_ITEMS_IN_TIME, "twice as many could take more than the time that there is"
    for _ in range(2 * GROW_AFTER_PAGES):
        size.arrived(0.2)
    assert size.items == 35
    small = PageSize(4)
    assert (small.timed_out(), small.items) == (False, 4)
