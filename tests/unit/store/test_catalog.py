"""HQ's messages, field by field, and what becomes of them in real tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.store.catalog import (
    ENTITY_TYPES,
    INVENTORY,
    PRICE,
    PRODUCT,
    TRANSACTION,
    EntityType,
    MalformedError,
    Update,
    entity_type_of,
    is_newer,
    json_text,
    read_update,
)
from syncd.store.inbox import Inbox, Quarantined
from syncd.wire.json import parse_json
from tests.support.clock import FakeClock
from tests.support.storefiles import AT, execute, opened

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.opening import StoreFiles

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


def an_inbox(files: StoreFiles) -> Inbox:
    return Inbox(files.store, FakeClock())


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
        (PRICE, "price", parse_json("1E+2"), "1E+2"),
        (PRICE, "price", "0.10", "0.10"),
        (PRICE, "price", -3, "-3"),
        (PRICE, "price", 10**60, str(10**60)),
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


@pytest.mark.parametrize("name", ["Price", "PRICE", "prices", "PriceSync", "pricesync"])
def test_a_type_has_several_names(name: str) -> None:
    assert entity_type_of(name) is PRICE


@pytest.mark.parametrize("name", ["", "Money", None, 5, "sync_outbox"])
def test_a_type_that_is_none_of_the_four_is_malformed(name: object) -> None:
    with pytest.raises(MalformedError, match="unknown entityType"):
        entity_type_of(name)


@pytest.mark.parametrize(
    ("version", "at", "had_version", "had_at", "newer"),
    [
        (2, None, 1, None, True), (2, None, 2, None, False), (1, "2027-01-01T00:00:00Z", 2, AT, False), (10, None, 9, None, True),
        ("10", None, "9", None, True), ("b", None, "a", None, True),
        (None, "2026-11-23T10:00:00.0000001Z", None, "2026-11-23T10:00:00.0000000Z", True),
        ("9" * 5000, None, "1", None, True),
        (None, AT, None, "2026-11-23T10:00:00.0000000Z", False), (3, AT, None, "2026-11-24T00:00:00.0000000Z", False),
        (None, "2026-11-25T00:00:00Z", 5, "2026-11-24T00:00:00.0000000Z", True),
    ],
)  # fmt: skip
def test_newer_wins(version: object, at: str | None, had_version: object, had_at: str | None, newer: bool) -> None:
    update = read_update(PRICE, {"productId": 1, "version": version, "updatedAt": at}, delete=True)
    assert is_newer(update, had_version, had_at) is newer


SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_json_text_says_what_was_there_or_that_it_cannot(value: object) -> None:
    try:
        text = json_text(value)
    except MalformedError:
        with pytest.raises(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()
    else:
        assert json.loads(text) == value


async def test_an_update_its_record_and_the_cursor_go_in_together(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        assert await inbox.cursor() is None
        applied = await inbox.apply([price(price=parse_json("12.50"), correlationId="c1")], "catchup", "page-2")
        assert (applied.stale, applied.failures) == ([False], {})
        assert execute(path, "SELECT price, typeof(price), is_deleted, applied_at FROM prices") == [("12.50", "text", 0, AT)]
        assert execute(path, "SELECT entity_type, entity_key, operation, source, correlation_id FROM sync_inbox") == [
            ("Price", "1/default", "Update", "catchup", "c1")
        ]
        assert await inbox.cursor() == "page-2"


async def test_twice_is_once_and_older_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        piece = [price(version=2, price=20), price(version=1, price=10), price(version=2, price=99), price(version=3, price=30)]
        assert (await inbox.apply(piece, "live")).stale == [False, True, True, False]
        assert (await inbox.apply(piece, "live")).stale == [True] * 4
        assert execute(path, "SELECT price, version FROM prices") == [("30", 3)]
        assert execute(path, "SELECT count(*) FROM sync_inbox") == [(2,)]


async def test_a_delete_leaves_a_tombstone_that_an_older_update_cannot_raise(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        delete = read_update(PRICE, {"productId": 1, "version": 5}, delete=True)
        assert delete.key_only
        await inbox.apply([price(version=1, price=parse_json("7.00")), delete, price(version=4, price=8)], "live")
        assert execute(path, "SELECT is_deleted, version, price FROM prices") == [(1, 5, "7.00")], "what it said stays readable"
        await inbox.apply([price(version=6, price=9)], "live")
        assert execute(path, "SELECT is_deleted, version, price FROM prices") == [(0, 6, "9")]


async def test_a_delete_of_what_was_never_there_is_kept_as_a_tombstone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        updates = [read_update(kind, {kind.fields[0].wire: "gone", "version": 5, "isDeleted": True}) for kind in ENTITY_TYPES]
        assert (await inbox.apply(updates, "live")).failures == {}
        for kind in ENTITY_TYPES:
            assert execute(path, f"SELECT is_deleted, version FROM {kind.table}") == [(1, 5)]
        assert execute(path, "SELECT count(*) FROM active_products") == [(0,)]


async def test_a_constraint_of_the_poss_own_refuses_its_row_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        execute(path, "CREATE UNIQUE INDEX one_sku ON products (sku)")
        inbox = an_inbox(files)
        piece: list[Update | Quarantined] = [
            read_update(PRODUCT, LEAST["Product"] | {"productId": n, "sku": sku}) for n, sku in enumerate(["a", "b", "a", "c"])
        ]
        applied = await inbox.apply(piece, "live", "cursor-1")
        assert list(applied.failures) == [2]
        assert "sku" in applied.failures[2]
        assert execute(path, "SELECT product_id FROM products") == [(0,), (1,), (3,)]
        ((method, reason, raw),) = execute(path, "SELECT method, reason, raw FROM sync_quarantine")
        assert (method, "sku" in reason, json.loads(raw)["product_id"]) == ("ReceiveProductUpdate", True, 2)
        assert await inbox.cursor() == "cursor-1"
        assert await inbox.quarantined() == 1


@pytest.mark.parametrize("text", ["half \ud83d", "\udcff", "x" * 100_000, "a\u0000b"])
async def test_no_text_of_hqs_can_stop_the_piece_it_came_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        bad = Quarantined("ReceivePriceUpdate", text, text, text)
        await inbox.apply([bad, price()], "catchup", text[:1000])
        assert execute(path, "SELECT count(*) FROM prices") == [(1,)]
        assert execute(path, "SELECT count(*), max(length(raw)) < 70000 FROM sync_quarantine") == [(1, 1)]
        cursor = await inbox.cursor()
        assert cursor is not None
        if text.isascii():
            assert cursor == text[:1000]


async def test_a_piece_that_the_disk_refuses_leaves_nothing_and_can_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        execute(path, "CREATE TRIGGER no BEFORE INSERT ON sync_cursor BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END")
        with pytest.raises(Exception, match="disk is full"):
            await inbox.apply([price()], "catchup", "x")
        assert execute(path, "SELECT count(*) FROM prices") == execute(path, "SELECT count(*) FROM sync_inbox") == [(0,)]
        execute(path, "DROP TRIGGER no")
        assert (await inbox.apply([price()], "catchup", "x")).stale == [False]


MESSAGES = st.fixed_dictionaries(
    {"productId": st.sampled_from([1, 2, "1"]), "price": st.integers(0, 99), "currency": st.just("EUR")},
    optional={"priceList": st.sampled_from(["default", "b"]), "isDeleted": st.booleans()},
)
STAMPS = st.one_of(
    st.fixed_dictionaries({"version": st.integers(1, 4), "updatedAt": st.just(WHEN)}),
    st.fixed_dictionaries({"version": st.integers(1, 4), "updatedAt": st.integers(1, 4).map(lambda n: f"2026-11-0{n}T00:00:00Z")}),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(MESSAGES, STAMPS, st.booleans()), max_size=8), max_size=5))
async def test_whatever_comes_in_whatever_pieces_the_newest_version_of_each_row_stands(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[tuple[dict[str, Any], dict[str, Any], bool]]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    model: dict[tuple[object, object], tuple[int, bool, str]] = {}
    news = 0
    async with opened(folder) as files:
        inbox = an_inbox(files)
        for piece in pieces:
            updates = [read_update(PRICE, message | stamp, delete=delete) for message, stamp, delete in piece]
            applied = await inbox.apply(updates, "live")
            assert applied.failures == {}
            for (message, stamp, delete), stale in zip(piece, applied.stale, strict=True):
                key = (message["productId"], message.get("priceList", "default"))
                newest = stamp["version"] > model.get(key, (0, False, ""))[0]
                assert stale is not newest
                if newest:
                    model[key] = (stamp["version"], delete or message.get("isDeleted", False), str(message["price"]))
                    news += 1
        table = execute(folder / "store.db", "SELECT product_id, price_list, version, is_deleted, price FROM prices")
        assert {(row[0], row[1]): (row[2], bool(row[3]), row[4]) for row in table} == model
        assert execute(folder / "store.db", "SELECT count(*) FROM sync_inbox") == [(news,)]
