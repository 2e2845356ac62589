"""By which names the four kinds go."""

from __future__ import annotations

import pytest

from syncd.store.catalog import PRICE, entity_type_of
from syncd.store.field_values import MalformedError


@pytest.mark.parametrize("name", ["Price", "PRICE", "prices", "PriceSync", "pricesync"])
def test_a_type_has_several_names(name: str) -> None:
    assert entity_type_of(name) is PRICE


@pytest.mark.parametrize("name", ["", "Money", None, 5, "sync_outbox"])
def test_a_type_that_is_none_of_the_four_is_malformed(name: object) -> None:
    with pytest.raises(MalformedError, match="unknown entityType"):
        entity_type_of(name)
