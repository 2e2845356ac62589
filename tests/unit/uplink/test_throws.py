"""Whose fault a throw is: the row's once HQ has accepted others since, and the hub's where it throws for others as well."""

from __future__ import annotations

from syncd.uplink.throws import REMEMBERED_ROWS, Throws


def test_a_row_that_throws_while_others_of_its_batch_are_accepted_is_at_fault_at_once_and_from_then_on() -> None:
    throws = Throws()
    assert throws.take([1, 2], accepted=True) == {1, 2}
    assert throws.take([1], accepted=False) == {1}
    assert throws.take([2], accepted=False) == {2}
    assert not throws.for_everything


def test_a_single_row_is_not_at_fault_before_another_one_is_accepted() -> None:
    throws = Throws()
    for _ in range(10):
        assert throws.take([1], accepted=False) == set()
    assert not throws.for_everything
    throws.take([], accepted=True)
    assert throws.take([1], accepted=False) == {1}


def test_rows_that_throw_minutes_apart_while_nothing_is_accepted_are_the_hubs_and_none_is_at_fault() -> None:
    throws = Throws()
    throws.take([], accepted=True)
    for row_id in range(5):
        for again in range(row_id + 1):
            assert throws.take([again], accepted=False) == set()
    assert throws.for_everything
    assert throws.times(0) == 5
    assert throws.take([4], accepted=True) == set(), "it may have thrown just before the hub was well again"
    assert not throws.for_everything
    assert throws.take([4], accepted=True) == {4}


def test_a_row_that_was_at_fault_is_not_charged_while_the_hub_throws_for_a_new_one() -> None:
    throws = Throws()
    assert throws.take([1], accepted=True) == {1}
    throws.take([2], accepted=False)
    assert throws.take([1], accepted=False) == set()


def test_a_refusal_shows_that_the_hub_does_not_throw_for_everything() -> None:
    throws = Throws()
    throws.take([1, 2], accepted=False)
    assert throws.for_everything
    throws.decided()
    assert not throws.for_everything


def test_it_remembers_no_more_rows_than_it_may() -> None:
    throws = Throws()
    throws.take(range(2 * REMEMBERED_ROWS), accepted=False)
    assert len(throws._rows) == len(throws._since_acceptance) == REMEMBERED_ROWS
