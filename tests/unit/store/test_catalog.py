"""Kinds as they are declared: by which names they go, and that ours are declared like any other."""

from __future__ import annotations

import pytest

from syncd.config.entities import EntityDeclaration
from syncd.store.catalog import OWN_KINDS, PRICE, catalog_of
from syncd.store.update import read_update

PROMOTION = EntityDeclaration.model_validate(
    {
        "key": ["promotionId", "startsAt"],
        "open_key": "startsAt",
        "fields": {
            "promotionId": "identifier",
            "startsAt": "time",
            "percent": "decimal",
            "isMemberOnly": {"type": "boolean", "default": True},
        },
    }
)


@pytest.mark.parametrize("name", ["Price", "PRICE", "prices", "PriceSync", "pricesync"])
def test_a_kind_has_several_names(name: str) -> None:
    assert OWN_KINDS.of(name) is PRICE


@pytest.mark.parametrize("name", ["", "Money", "sync_outbox", "entities"])
def test_a_kind_that_nobody_has_declared_is_none(name: str) -> None:
    assert OWN_KINDS.of(name) is None


def test_a_declared_kind_has_the_names_and_the_method_that_follow_from_its_own() -> None:
    catalog = catalog_of({"LoyaltyCard": PROMOTION})
    (kind,) = catalog.declared
    assert (kind.table, kind.method) == ("loyalty_cards", "ReceiveLoyaltyCardUpdate")
    assert catalog.of("loyaltycardsync") is catalog.of("LOYALTY_CARDS") is kind
    assert kind.keys == ("promotion_id", "starts_at")


def test_an_open_key_may_be_left_out_and_a_default_stands_in() -> None:
    (kind,) = catalog_of({"Promotion": PROMOTION}).declared
    update = read_update(kind, {"PROMOTIONID": "A", "version": 1})
    assert update.key == ("A", "")
    assert dict(zip(kind.columns, update.values, strict=False))["is_member_only"] == 1
