from __future__ import annotations

from syncd.downlink.page_size import GROW_AFTER_PAGES, PageSize


def test_it_is_halved_down_to_one_and_grows_back_slowly_to_what_is_configured() -> None:
    size = PageSize(5)
    assert [(size.halve(), size.items) for _ in range(3)] == [(True, 2), (True, 1), (False, 1)]
    seen = []
    for _ in range(4 * GROW_AFTER_PAGES):
        size.arrived()
        seen.append(size.items)
    assert seen[GROW_AFTER_PAGES - 2 : GROW_AFTER_PAGES] == [1, 2]
    assert seen[2 * GROW_AFTER_PAGES - 1 :: GROW_AFTER_PAGES] == [4, 5, 5]
