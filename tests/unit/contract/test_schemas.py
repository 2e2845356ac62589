"""The published schemas: each is one, its examples pass, and what is broken does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.store.catalog import ENTITY_TYPES
from tests.support.contract import METHODS, OTHER, SCHEMAS, SUFFIX, problems, problems_of_exchange

MESSAGES = sorted(SCHEMAS.keys() - {"common", "methods"})
GIVEN_BY_HQ = ("ProductSync", "PriceSync", "InventorySync", "TransactionSync", "EntitySync", "FeedItem", "BatchSyncResponse")


def examples(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = SCHEMAS[name]["examples"]
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_and_has_its_name(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == name + SUFFIX
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_says_what_it_means(name: str) -> None:
    assert all(field["description"].endswith((".", "…", "?")) for field in SCHEMAS[name]["properties"].values())


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_of_a_message_is_valid(name: str) -> None:
    assert examples(name)
    for example in examples(name):
        assert problems(name, example, closed=True) == []


@pytest.mark.parametrize("name", METHODS)
def test_every_example_of_a_method_is_valid_and_of_no_other(name: str) -> None:
    for example in METHODS[name]["examples"]:
        assert problems_of_exchange(example) == []
        assert problems("methods", example) == []  # exactly one of all


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_without_a_field_that_it_needs_is_broken(name: str) -> None:
    schema = SCHEMAS[name]
    example = examples(name)[0]
    required = [*schema["required"], *schema.get("else", {}).get("required", [])]
    assert required or name == "EntitySync"
    for field in required:
        assert problems(name, {key: value for key, value in example.items() if key != field}), field


@pytest.mark.parametrize("name", MESSAGES)
def test_a_field_of_another_type_is_broken(name: str) -> None:
    anything = {"payload"} if name == "TransactionSync" else set()
    for example in examples(name):
        for field in example.keys() & SCHEMAS[name]["properties"].keys() - anything:
            assert problems(name, {**example, field: {"no": ["such", "thing"]}}), field


@pytest.mark.parametrize("name", MESSAGES)
def test_null_and_numbers_are_no_messages(name: str) -> None:
    for nonsense in (None, 5, "x", [examples(name)[0]]):
        assert problems(name, nonsense)


@pytest.mark.parametrize("name", GIVEN_BY_HQ)
def test_what_hq_adds_of_its_own_is_no_mistake(name: str) -> None:
    assert problems(name, {**examples(name)[0], "colour": "red"}) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("SyncItem", {"operation": "Upsert"}), ("SyncItem", {"priority": 5}), ("SyncItem", {"attempt": 0}), ("SyncItem", {"entityId": 1.5}),
        ("SyncItem", {"entityId": 2**63}), ("SyncItem", {"payload": {"total": 1}}), ("SyncItem", {"timestamp": "2026-11-23 10:00:00"}),
        ("SyncItem", {"correlationId": ""}), ("SyncItem", {"storeId": ""}), ("SyncAck", {"success": "yes"}), ("SyncAck", {"retryable": 0}),
        ("BatchSyncRequest", {"entityTypes": []}), ("BatchSyncRequest", {"batchSize": 0}), ("BatchSyncResponse", {"items": {}}),
        ("BatchSyncResponse", {"items": [{"entityType": "Price"}]}), ("BatchSyncResponse", {"nextCursor": 1.5}),
        ("Heartbeat", {"state": "fine"}), ("Heartbeat", {"pendingSyncCount": -1}), ("PriceSync", {"price": "12,50"}),
        ("PriceSync", {"price": "1" * 65}), ("PriceSync", {"price": 1e30}), ("PriceSync", {"updatedAt": "yesterday"}),
        ("ProductSync", {"productId": ""}), ("ProductSync", {"isActive": 1}), ("InventorySync", {"quantityOnHand": True}),
        ("SyncProgress", {"progressPercent": 101}), ("SyncCompletion", {"failedItems": -1}),
    ],
)  # fmt: skip
def test_a_broken_message_does_not_pass(name: str, changes: dict[str, Any]) -> None:
    assert problems(name, {**examples(name)[0], **changes})


@pytest.mark.parametrize("name", METHODS)
def test_an_invocation_with_other_arguments_is_broken(name: str) -> None:
    example = METHODS[name]["examples"][0]
    if name != "HeartbeatResponse":
        wrong: list[object] = [[], [None], [*example["arguments"], 1], {}]
        for arguments in wrong:
            assert problems_of_exchange({**example, "arguments": arguments}), arguments
    assert problems_of_exchange({**example, "arguments": None})
    if "result" in METHODS[name]["properties"]:
        assert problems_of_exchange({**example, "result": 5})


def test_a_method_that_nobody_has_is_none() -> None:
    for target in ("SendEverything", "ReceiveUpdate", "receivePromotionUpdate", "ReceiveProductUpdate2"):
        exchange = copy.deepcopy(METHODS[OTHER]["examples"][0]) | {"target": target}
        assert problems("methods", exchange)


@pytest.mark.parametrize("kind", ENTITY_TYPES, ids=lambda kind: kind.name)
def test_the_schemas_have_the_fields_of_the_catalog(kind: Any) -> None:
    schema = SCHEMAS[f"{kind.name}Sync"]
    assert {field.wire for field in kind.fields} <= schema["properties"].keys()
    always = {field.wire for field in kind.fields if field.required and field.column in kind.keys}
    assert set(schema["required"]) == always
    assert {*schema["required"], *schema["else"]["required"]} == {field.wire for field in kind.fields if field.required}
