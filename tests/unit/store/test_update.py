"""HQ's messages, field by field, and what becomes of them in real tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from syncd.store.catalog import ENTITY_TYPES, INVENTORY, PRICE, PRODUCT, TRANSACTION
from syncd.store.field_values import MalformedError
from syncd.store.update import Update, is_newer, read_update
from syncd.wire.json import parse_json
from tests.support.storefiles import AT

if TYPE_CHECKING:
    from syncd.store.entity_type import EntityType

WHEN = "2026-11-23T10:00:00Z"
LEAST: dict[str, dict[str, Any]] = {
    "Product": {"productId": 1, "sku": "A-1", "name": "Apple", "isActive": True, "updatedAt": WHEN},
    "Price": {"productId": 1, "price": 2, "currency": "EUR", "updatedAt": WHEN},
    "Inventory": {"productId": 1, "quantityOnHand": 3, "updatedAt": WHEN},
    "Transaction": {
        "transactionId": "T1", "storeId": 7, "type": "Sale", "total": 5, "currency": "EUR", "occurredAt": WHEN, "updatedAt": WHEN,
    },
}  # fmt: skip


def price(**fields: Any) -> Update:
    return read_update(PRICE, LEAST["Price"] | fields)


def column(update: Update, name: str) -> object:
    return dict(zip(update.entity_type.columns, update.values, strict=False))[name]


@pytest.mark.parametrize("kind", ENTITY_TYPES, ids=lambda kind: kind.name)
def test_every_required_field_is_missed_by_name_and_no_other(kind: EntityType) -> None:
    least = LEAST[kind.name]
    read_update(kind, least)
    for name in least:
        if name not in ("isActive", "updatedAt"):
            with pytest.raises(MalformedError, match=f"{kind.name}: {name} is missing"):
                read_update(kind, {k: v for k, v in least.items() if k != name})


@pytest.mark.parametrize("kind", ENTITY_TYPES, ids=lambda kind: kind.name)
def test_names_are_matched_in_any_case(kind: EntityType) -> None:
    shouted = {name.upper(): value for name, value in LEAST[kind.name].items()}
    assert read_update(kind, shouted) == read_update(kind, LEAST[kind.name])


@pytest.mark.parametrize(
    ("kind", "field", "given", "stored"),
    [
        (PRODUCT, "productId", 9007199254740993, 9007199254740993),
        (PRODUCT, "productId", "0042", "0042"),
        (PRODUCT, "sku", 4711, "4711"),
        (PRODUCT, "name", "Ä\u0000Z", "Ä\u0000Z"),
        (PRODUCT, "isActive", False, 0),
        (PRODUCT, "version", "v2", "v2"),
        (PRICE, "price", parse_json("12.50"), "12.50"),
        (PRICE, "price", parse_json("1E+2"), "100"),
        (PRICE, "price", "1.50e1", "15.0"),
        (PRICE, "price", parse_json("-1.5e-3"), "-0.0015"),
        (PRICE, "price", parse_json("0e9999"), "0"),
        (PRICE, "price", parse_json("1e28"), "1" + "0" * 28),
        (PRICE, "price", 79228162514264337593543950335, "79228162514264337593543950335"),
        (PRICE, "price", parse_json("-7.9228162514264337593543950335"), "-7.9228162514264337593543950335"),
        (PRICE, "price", "007.50", "007.50"),
        (PRICE, "price", "0.10", "0.10"),
        (PRICE, "price", -3, "-3"),
        (PRICE, "effectiveFrom", "2026-11-23T10:00:00+01:00", "2026-11-23T09:00:00.0000000Z"),
        (PRICE, "priceList", None, "default"),
        (INVENTORY, "locationId", 3, 3),
        (TRANSACTION, "payload", {"a": [parse_json("1.0"), None]}, '{"a":[1.0,null]}'),
        (TRANSACTION, "payload", "as it is", "as it is"),
        (TRANSACTION, "payload", 10**30, str(10**30)),
    ],
)
def test_a_field_is_kept_as_it_stood_on_the_wire(kind: EntityType, field: str, given: object, stored: object) -> None:
    update = read_update(kind, LEAST[kind.name] | {field: given})
    name = next(f.column for f in kind.fields if f.wire == field)
    assert column(update, name) == stored
    assert type(column(update, name)) is type(stored)


@pytest.mark.parametrize(
    ("kind", "field", "given", "says"),
    [
        (PRODUCT, "productId", 2**63, "above 64 bits"),
        (PRODUCT, "productId", True, "this is true or false"),
        (PRODUCT, "productId", parse_json("1.5"), "whole number or text"),
        (PRODUCT, "productId", "", "whole number or text"),
        (PRODUCT, "name", "half \ud83d", "half of a surrogate pair"),
        (PRODUCT, "name", ["x"], "this is a list"),
        (PRODUCT, "isActive", 1, "must be true or false"),
        (PRODUCT, "isDeleted", "yes", "must be true or false"),
        (PRICE, "price", "twelve", "must be a decimal number, this is 'twelve'"),
        (PRICE, "price", "12,50", "decimal"),
        (PRICE, "price", "NaN", "decimal"),
        (PRICE, "price", "٣", "decimal"),
        (PRICE, "price", "1\n", "decimal"),
        (PRICE, "price", False, "decimal"),
        (PRICE, "price", "1" * 65, "decimal"),
        (PRICE, "price", parse_json("1e999999999"), "decimal number"),
        (PRICE, "price", parse_json("1e9999"), "at most 29 digits"),
        (PRICE, "price", parse_json("1e29"), "at most 29 digits"),
        (PRICE, "price", 79228162514264337593543950336, "at most 29 digits"),
        (PRICE, "price", 10**40, "at most 29 digits"),
        (PRICE, "price", parse_json("0." + "1" * 29), "28 of them behind the point"),
        (PRICE, "price", parse_json("1.0e-28"), "28 of them behind the point"),
        (PRICE, "updatedAt", "soon", "a time in ISO 8601"),
        (PRICE, "updatedAt", 1763892000, "a time in ISO 8601"),
        (PRICE, "version", parse_json("1.5"), "this is a fraction"),
        (TRANSACTION, "payload", "\ud83d", "half of a surrogate pair"),
    ],
)
def test_a_field_that_cannot_be_kept_is_named_with_the_reason(kind: EntityType, field: str, given: object, says: str) -> None:
    with pytest.raises(MalformedError, match=f"{kind.name}: {field} .*{says}"):
        read_update(kind, LEAST[kind.name] | {field: given})


@pytest.mark.parametrize("message", [None, 5, "text", [], True])
def test_what_is_no_object_is_malformed(message: object) -> None:
    with pytest.raises(MalformedError, match="an object is needed"):
        read_update(PRICE, message)


def test_unknown_fields_are_kept_exactly() -> None:
    least = '"productId": 1, "price": 2.50, "currency": "EUR", "updatedAt": "2026-11-23T10:00:00Z"'
    message = parse_json(f'{{{least}, "x": {{"y": [1.10, 99999999999999999999]}}}}')
    assert column(read_update(PRICE, message), "extra") == '{"x":{"y":[1.10,99999999999999999999]}}'
    assert column(price(), "extra") is None


def test_a_message_without_version_and_time_says_nothing_about_what_is_newer() -> None:
    for delete in (False, True):
        with pytest.raises(MalformedError, match="updatedAt is missing"):
            read_update(PRICE, {k: v for k, v in LEAST["Price"].items() if k != "updatedAt"}, delete=delete)
    assert read_update(PRICE, {"productId": 1, "version": 4}, delete=True).version == 4


@pytest.mark.parametrize(
    ("version", "at", "had_version", "had_at", "newer"),
    [
        (2, None, 1, None, True), (2, None, 2, None, False), (1, "2027-01-01T00:00:00Z", 2, AT, False), (10, None, 9, None, True),
        ("10", None, "9", None, True), ("b", None, "a", None, True),
        (None, "2026-11-23T10:00:00.0000001Z", None, "2026-11-23T10:00:00.0000000Z", True),
        ("9" * 5000, None, "1", None, True),
        ("f3", "2026-11-22T00:00:00Z", "a9", "2026-11-23T00:00:00.0000000Z", False), ("a9", AT, "f3", "2026-11-22T00:00:00.0000000Z", True),
        ("v10", AT, "v9", "2026-11-22T00:00:00.0000000Z", True), ("v9", AT, "v9", "2026-11-22T00:00:00.0000000Z", False),
        ("a9", "2026-11-22T00:00:00Z", 5, "2026-11-23T00:00:00.0000000Z", False),
        (None, AT, None, "2026-11-23T10:00:00.0000000Z", False), (3, AT, None, "2026-11-24T00:00:00.0000000Z", False),
        (None, "2026-11-25T00:00:00Z", 5, "2026-11-24T00:00:00.0000000Z", True),
    ],
)  # fmt: skip
def test_newer_wins(version: object, at: str | None, had_version: object, had_at: str | None, newer: bool) -> None:
    update = read_update(PRICE, {"productId": 1, "version": version, "updatedAt": at}, delete=True)
    assert is_newer(update, had_version, had_at) is newer
