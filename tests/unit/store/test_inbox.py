"""What becomes of updates in real tables: newer wins, twice is once, and one that SQLite refuses stops no other."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store import staging
from syncd.store.catalog import ENTITY_TYPES, PRICE, PRODUCT
from syncd.store.inbox import Inbox
from syncd.store.quarantine import Quarantined
from syncd.store.update import Update, read_update
from syncd.wire.json import parse_json
from tests.support.clock import FakeClock
from tests.support.feeds import cursor_of, feed_at
from tests.support.storefiles import AT, execute, opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from syncd.store.feed_cursor import FeedCursor
    from syncd.store.opening import StoreFiles

WHEN = "2026-11-23T10:00:00Z"
A_PRODUCT = {"productId": 1, "sku": "A-1", "name": "Apple", "isActive": True, "updatedAt": WHEN}


def price(**fields: Any) -> Update:
    return read_update(PRICE, {"productId": 1, "price": 2, "currency": "EUR", "updatedAt": WHEN} | fields)


def an_inbox(files: StoreFiles) -> Inbox:
    return Inbox(files.store, FakeClock())


async def apply_all(inbox: Inbox, updates: Sequence[Update | Quarantined], feed: FeedCursor | None = None) -> list[str]:
    """Give the inbox what is left until nothing is; what became of each."""
    became: list[str] = []
    while True:
        rest = updates[len(became) :]
        applied = await inbox.apply(rest, feed)
        became += [applied.refused.get(index) or ("stale" if stale else "applied") for index, stale in enumerate(applied.stale)]
        if applied.whole:
            return became


async def test_an_update_and_the_cursor_go_in_together(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        assert await cursor_of(inbox) is None
        applied = await inbox.apply([price(price=parse_json("12.50"), correlationId="c1")], feed_at("page-2"))
        assert (applied.stale, applied.refused) == ([False], {})
        assert execute(path, "SELECT price, typeof(price), is_deleted, applied_at FROM prices") == [("12.50", "text", 0, AT)]
        assert await cursor_of(inbox) == "page-2"


async def test_twice_is_once_and_older_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        piece = [price(version=2, price=20), price(version=1, price=10), price(version=2, price=99), price(version=3, price=30)]
        assert (await inbox.apply(piece)).stale == [False, True, True, False]
        assert (await inbox.apply(piece)).stale == [True] * 4
        assert execute(path, "SELECT price, version FROM prices") == [("30", 3)]


@pytest.mark.parametrize("odd", [[], ["a\u0000b", "a\u0000c"]])
async def test_a_row_is_found_again_by_exactly_its_key_in_one_list_of_many(tmp_path: Path, odd: list[str]) -> None:
    keys: list[object] = [1, "1", 1 - 2**63, 2**63 - 1, "a", "ä\U0001f600", 'quo"te', "back\\slash", "\u0001", "\\u0000", "1.0", *odd]
    lists = ["default", "10", "ä", "\u001f", *odd]
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        chunk = [price(productId=key, priceList=name, version=2) for key in keys for name in lists]
        assert await apply_all(inbox, chunk) == ["applied"] * len(chunk)
        assert await apply_all(inbox, chunk) == ["stale"] * len(chunk)
        newer = [price(productId=key, priceList=name, version=3) for key in keys[::2] for name in lists[::2]]
        assert await apply_all(inbox, newer) == ["applied"] * len(newer)
        assert await apply_all(inbox, [price(productId=key, priceList="another") for key in keys]) == ["applied"] * len(keys)
        assert execute(tmp_path / "store.db", "SELECT count(*) FROM prices") == [(len(chunk) + len(keys),)]


async def test_a_delete_leaves_a_tombstone_that_an_older_update_cannot_raise(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        delete = read_update(PRICE, {"productId": 1, "version": 5}, delete=True)
        assert delete.key_only
        await inbox.apply([price(version=1, price=parse_json("7.00")), delete, price(version=4, price=8)])
        assert execute(path, "SELECT is_deleted, version, price FROM prices") == [(1, 5, "7.00")], "what it said stays readable"
        await inbox.apply([price(version=6, price=9)])
        assert execute(path, "SELECT is_deleted, version, price FROM prices") == [(0, 6, "9")]


async def test_a_delete_of_what_was_never_there_is_kept_as_a_tombstone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        updates = [read_update(kind, {kind.fields[0].wire: "gone", "version": 5, "isDeleted": True}) for kind in ENTITY_TYPES]
        assert (await inbox.apply(updates)).refused == {}
        for kind in ENTITY_TYPES:
            assert execute(path, f"SELECT is_deleted, version FROM {kind.table}") == [(1, 5)]
        assert execute(path, "SELECT count(*) FROM active_products") == [(0,)]


async def test_a_constraint_of_the_poss_own_refuses_its_row_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        execute(path, "CREATE UNIQUE INDEX one_sku ON products (sku)")
        inbox = an_inbox(files)
        chunk = [read_update(PRODUCT, A_PRODUCT | {"productId": n, "sku": sku}) for n, sku in enumerate(["a", "b", "a", "c"])]
        assert await apply_all(inbox, chunk, feed_at("cursor-1")) == [
            "applied", "applied", "UNIQUE constraint failed: products.sku", "applied",
        ]  # fmt: skip
        assert execute(path, "SELECT product_id FROM products") == [(0,), (1,), (3,)]
        ((method, reason, raw),) = execute(path, "SELECT method, reason, raw FROM sync_quarantine")
        assert (method, "sku" in reason, json.loads(raw)["productId"]) == ("ReceiveProductUpdate", True, 2)
        assert await cursor_of(inbox) == "cursor-1"
        assert await inbox.quarantined() == 1


@pytest.mark.parametrize("text", ["half \ud83d", "\udcff", "x" * 100_000, "a\u0000b"])
async def test_no_text_of_hqs_can_stop_the_chunk_it_came_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        bad = Quarantined("ReceivePriceUpdate", text, text, text)
        await inbox.apply([bad, price()], feed_at(text[:1000]))
        assert execute(path, "SELECT count(*) FROM prices") == [(1,)]
        assert execute(path, "SELECT count(*), max(length(raw)) < 70000 FROM sync_quarantine") == [(1, 1)]
        cursor = await cursor_of(inbox)
        assert cursor is not None
        if text.isascii():
            assert cursor == text[:1000]


async def test_a_chunk_that_the_disk_refuses_leaves_nothing_and_can_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        execute(path, "CREATE TRIGGER no BEFORE INSERT ON sync_cursor BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END")
        with pytest.raises(Exception, match="disk is full"):
            await inbox.apply([price()], feed_at("x"))
        assert execute(path, "SELECT count(*) FROM prices") == [(0,)]
        execute(path, "DROP TRIGGER no")
        assert (await inbox.apply([price()], feed_at("x"))).stale == [False]


MESSAGES = st.fixed_dictionaries(
    {"productId": st.sampled_from([1, 2, "1"]), "price": st.integers(0, 99), "currency": st.just("EUR")},
    optional={"priceList": st.sampled_from(["default", "b"]), "isDeleted": st.booleans()},
)
STAMPS = st.one_of(
    st.fixed_dictionaries({"version": st.integers(1, 4), "updatedAt": st.just(WHEN)}),
    st.fixed_dictionaries({"version": st.integers(1, 4), "updatedAt": st.integers(1, 4).map(lambda n: f"2026-11-0{n}T00:00:00Z")}),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(MESSAGES, STAMPS, st.booleans()), max_size=8), max_size=5))
async def test_whatever_comes_in_whatever_chunks_the_newest_version_of_each_row_stands(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[tuple[dict[str, Any], dict[str, Any], bool]]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    model: dict[tuple[object, object], tuple[int, bool, str]] = {}
    async with opened(folder) as files:
        inbox = an_inbox(files)
        for piece in pieces:
            updates = [read_update(PRICE, message | stamp, delete=delete) for message, stamp, delete in piece]
            applied = await inbox.apply(updates)
            assert applied.refused == {}
            for (message, stamp, delete), stale in zip(piece, applied.stale, strict=True):
                key = (message["productId"], message.get("priceList", "default"))
                newest = stamp["version"] > model.get(key, (0, False, ""))[0]
                assert stale is not newest
                if newest:
                    model[key] = (stamp["version"], delete or message.get("isDeleted", False), str(message["price"]))
        table = execute(folder / "store.db", "SELECT product_id, price_list, version, is_deleted, price FROM prices")
        assert {(row[0], row[1]): (row[2], bool(row[3]), row[4]) for row in table} == model


# ── prices by date ──────────────────────────────────────────────────────────────────────────────────────────────────

DECEMBER, JANUARY = "2026-12-01T00:00:00.0000000Z", "2027-01-01T00:00:00.0000000Z"
ROWS = "SELECT effective_from, price, is_deleted FROM prices ORDER BY effective_from"


async def test_a_price_for_later_lies_beside_the_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        later = {"effectiveFrom": DECEMBER}
        chunk = [price(price=10), price(price=12, version=1, **later), price(price=11), price(price=13, version=2, **later)]
        assert await apply_all(inbox, chunk) == ["applied", "applied", "stale", "applied"]
        assert execute(path, ROWS) == [("", "10", 0), (DECEMBER, "13", 0)]


async def test_a_delete_that_names_no_date_deletes_all_that_are_older_and_no_older_update_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        prices = [
            price(price=10, version=1),
            price(price=12, effectiveFrom=DECEMBER, version=2),
            price(price=14, effectiveFrom=JANUARY, version=9),
        ]
        delete = read_update(PRICE, {"productId": 1, "version": 5}, delete=True)
        other = price(price=7, productId=2)
        assert await apply_all(inbox, [*prices, other, delete, delete]) == ["applied"] * 5 + ["stale"]
        assert execute(path, ROWS) == [("", "10", 1), ("", "7", 0), (DECEMBER, "12", 1), (JANUARY, "14", 0)], "the newer one stays"
        late = price(price=1, effectiveFrom="2026-12-24T00:00:00Z", version=4)
        assert await apply_all(inbox, [*prices, late]) == ["stale"] * 4
        assert await apply_all(inbox, [price(price=15, effectiveFrom=DECEMBER, version=6)]) == ["applied"]
        assert execute(path, ROWS)[2] == (DECEMBER, "15", 0)


async def test_a_delete_that_names_a_date_deletes_that_one(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        delete = read_update(PRICE, {"productId": 1, "effectiveFrom": "2026-12-01", "version": 5}, delete=True)
        await apply_all(an_inbox(files), [price(price=10, version=1), price(price=12, effectiveFrom=DECEMBER, version=2), delete])
        assert execute(path, ROWS) == [("", "10", 0), (DECEMBER, "12", 1)]


def at(**offset: float) -> str:
    """A time so far from now, by the machine's clock, which the view asks."""
    return iso_ms(datetime.now(UTC) + timedelta(**offset))


async def test_the_view_has_the_one_price_that_is_in_force_now(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        updates = [
            price(productId="plain", price=1),
            price(productId="later", price=2), price(productId="later", price=3, effectiveFrom=at(days=1)),
            price(productId="begun", price=4), price(productId="begun", price=5, effectiveFrom=at(seconds=-1)),
            price(productId="begun", price=6, effectiveFrom=at(days=-2)),
            price(productId="offer", price=7), price(productId="offer", price=8, effectiveFrom=at(days=-1), effectiveTo=at(days=1)),
            price(productId="offer over", price=9),
            price(productId="offer over", price=10, effectiveFrom=at(days=-2), effectiveTo=at(days=-1)),
            price(productId="withdrawn", price=11), price(productId="withdrawn", price=12, effectiveFrom=at(days=-1), isDeleted=True),
            price(productId="not yet", price=13, effectiveFrom=at(days=1)), price(productId="ended", price=14, effectiveTo=at(days=-1)),
            price(productId="deleted", price=15, isDeleted=True),
            price(productId="two lists", price=16), price(productId="two lists", price=17, priceList="b", effectiveFrom=at(days=-1)),
        ]  # fmt: skip
        assert set(await apply_all(an_inbox(files), updates)) == {"applied"}
        rows = execute(path, "SELECT product_id, price_list, price FROM current_prices")
        assert sorted(rows) == [
            ("begun", "default", "5"), ("later", "default", "2"), ("offer", "default", "8"), ("offer over", "default", "9"),
            ("plain", "default", "1"), ("two lists", "b", "17"), ("two lists", "default", "16"), ("withdrawn", "default", "11"),
        ]  # fmt: skip


@pytest.mark.parametrize("where", ["product_id = 7", "product_id = 7 AND price_list = 'default'"])
async def test_the_price_in_force_is_a_look_up(tmp_path: Path, where: str) -> None:
    async with opened(tmp_path):
        plan = [row[3] for row in execute(tmp_path / "store.db", f"EXPLAIN QUERY PLAN SELECT * FROM current_prices WHERE {where}")]
        steps = [step for step in plan if not step.startswith("CORRELATED")]
        assert len(steps) == 2
        assert all(step.startswith("SEARCH") and "(product_id=?" in step for step in steps), plan


# ── what SQLite refuses ─────────────────────────────────────────────────────────────────────────────────────────────

NO_NEGATIVE = "CREATE TRIGGER no_negative BEFORE {} ON prices WHEN new.price LIKE '-%' BEGIN SELECT RAISE(ABORT, 'negative'); END"


async def test_a_correction_of_a_refused_update_is_applied_though_its_version_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        for event in ("INSERT", "UPDATE"):
            execute(path, NO_NEGATIVE.format(event).replace("no_negative", f"no_negative_{event}"))
        chunk = [price(version=1, price=5), price(version=3, price=-7), price(version=3, price=6), price(version=2, price=4)]
        assert await apply_all(an_inbox(files), chunk) == ["applied", "negative", "applied", "stale"]
        assert execute(path, "SELECT price, version FROM prices") == [("6", 3)]


REFUSALS = {
    "RAISE(ROLLBACK)": "CREATE TRIGGER no BEFORE INSERT ON prices WHEN new.price = '13' BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END",
    "RAISE(FAIL)": "CREATE TRIGGER no AFTER INSERT ON prices WHEN new.price = '13' BEGIN SELECT RAISE(FAIL, 'unlucky'); END",
    "no JSON": "CREATE TRIGGER no AFTER INSERT ON prices WHEN new.price = '13' BEGIN SELECT json_extract('{', '$.a'); END",
}


@pytest.mark.parametrize("trigger", REFUSALS.values(), ids=REFUSALS)
async def test_whatever_a_trigger_of_the_poss_does_it_refuses_its_own_update_alone(tmp_path: Path, trigger: str) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        execute(path, trigger)
        inbox = an_inbox(files)
        chunk = [price(productId=n, price=13 if n in (4, 17) else 100) for n in range(40)]
        became = await apply_all(inbox, chunk, feed_at("cursor-1"))
        assert [n for n, what in enumerate(became) if what != "applied"] == [4, 17]
        assert execute(path, "SELECT product_id FROM prices") == [(n,) for n in range(40) if n not in (4, 17)]
        assert await inbox.quarantined() == 2
        assert await cursor_of(inbox) == "cursor-1"
        assert await apply_all(inbox, [price(productId=99)]) == ["applied"]


async def test_a_large_chunk_of_several_kinds_is_taken_over_value_by_value_as_it_came(tmp_path: Path) -> None:
    texts = ["", "0012", "1e3", "\0", "ü" * 100, "9223372036854775807", "NULL"]
    chunk = [
        read_update(PRODUCT, A_PRODUCT | {"productId": n if n % 2 else f"{n:03}", "description": texts[n % 7], "unit": f"{n}", "x": n})
        if n % 40 < 30
        else price(productId=n, price=f"{n}.50", version=n)
        for n in range(200)
    ]  # fmt: skip
    found = []
    for size in (200, 1):
        path = tmp_path / str(size)
        path.mkdir()
        async with opened(path) as files:
            inbox = an_inbox(files)
            for start in range(0, len(chunk), size):
                assert set(await apply_all(inbox, chunk[start : start + size])) == {"applied"}
        found.append(
            [execute(path / "store.db", f"SELECT *, typeof(product_id), typeof(version) FROM {table} ORDER BY rowid")
             for table in ("products", "prices")]
        )  # fmt: skip
    assert found[0] == found[1]
    assert [len(rows) for rows in found[0]] == [150, 50]


async def test_a_trigger_that_writes_into_a_missing_table_refuses_updates_of_its_table_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        execute(path, "CREATE TRIGGER no AFTER INSERT ON prices BEGIN INSERT INTO price_history VALUES (new.product_id); END")
        inbox = an_inbox(files)
        became = await apply_all(inbox, [price(), read_update(PRODUCT, A_PRODUCT), price(productId=2)], feed_at("cursor-1"))
        assert became == ["no such table: main.price_history", "applied", "no such table: main.price_history"]
        assert execute(path, "SELECT count(*) FROM products") == [(1,)]
        assert await cursor_of(inbox) == "cursor-1"
        execute(path, "DROP TRIGGER no")
        assert await apply_all(inbox, [price()]) == ["applied"]


async def test_what_cannot_be_applied_is_kept_once_however_often_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    clock = FakeClock()
    async with opened(tmp_path) as files:
        execute(path, REFUSALS["RAISE(FAIL)"])
        inbox = Inbox(files.store, clock)
        bad: list[Update | Quarantined] = [
            Quarantined("ReceiveSyncItem", "c1", "bad", "first text"), Quarantined("ReceiveSyncItem", "c1", "worse", "first text"),
            Quarantined("ReceiveSyncItem", None, "bad", "a text"), Quarantined("ReceiveSyncItem", None, "bad", "b text"),
            Quarantined("ReceiveSyncItem", "half \ud83d", "bad", "c text"), price(price=13, correlationId="p1"), price(price=13),
        ]  # fmt: skip
        assert [(await inbox.apply(bad + bad)).kept, (await inbox.apply(bad)).kept] == [7, 0]
        await clock.sleep(60)
        assert (await inbox.apply([bad[0], bad[3], price(price=13)])).kept == 0
        ages = execute(path, "SELECT reason, raw, received_at > ? FROM sync_quarantine ORDER BY id", AT)
        assert [age[2] for age in ages] == [1, 0, 0, 1, 0, 0, 1]
        execute(path, "DELETE FROM sync_quarantine")
        assert (await inbox.apply(bad)).kept == 7


async def test_a_delete_of_all_dates_counts_as_many_rows_as_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        days = [f"2026-12-{day:02}T00:00:00Z" for day in range(1, 31)]
        await apply_all(inbox, [price(productId=n, effectiveFrom=day, version=1) for n in range(3) for day in days])
        deletes = [read_update(PRICE, {"productId": n, "version": 2}, delete=True) for n in range(3)]
        applied = await Inbox(files.store, FakeClock()).apply(deletes, feed_at("cursor-1"))
        assert (applied.stale, applied.whole) == ([False], False), "20 rows as long as the cost is not known, and never none"
        assert await cursor_of(inbox) is None
        assert await apply_all(inbox, deletes, feed_at("cursor-1")) == ["stale", "applied", "applied"]
        assert execute(path, "SELECT count(*) FROM prices WHERE is_deleted = 1") == [(93,)]
        assert await cursor_of(inbox) == "cursor-1"


NOT_OURS = {
    "renamed": ("ALTER TABLE products RENAME TO products_old",),
    "without a column": ("ALTER TABLE products DROP COLUMN description",),
    "without its dates": ("ALTER TABLE products RENAME COLUMN updated_at TO changed_at",),
    "without its key": ("ALTER TABLE products RENAME TO products_old", "CREATE TABLE products AS SELECT * FROM products_old"),
    "a view": ("ALTER TABLE products RENAME TO products_old", "CREATE VIEW products AS SELECT * FROM products_old"),
}


@pytest.mark.parametrize("statements", NOT_OURS.values(), ids=NOT_OURS)
async def test_a_table_that_the_pos_is_rebuilding_refuses_nothing_and_holds_the_cursor(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        execute(path, "DROP VIEW active_products")
        (sql,) = execute(path, "SELECT sql FROM sqlite_schema WHERE name = 'products'")[0]
        inbox, updates = an_inbox(files), [price(), read_update(PRODUCT, A_PRODUCT), read_update(PRODUCT, A_PRODUCT | {"productId": 2})]
        for statement in statements:
            execute(path, statement)
        with pytest.raises(StorageError, match=r"no such|no column|ON CONFLICT|a view"):
            await inbox.apply(updates, feed_at("cursor-1"))
        assert await cursor_of(inbox) is None
        assert await inbox.quarantined() == 0
        kind = execute(path, "SELECT type FROM sqlite_schema WHERE name = 'products'")
        if kind:
            execute(path, f"DROP {kind[0][0]} products")
        execute(path, sql)
        assert await apply_all(inbox, updates, feed_at("cursor-1")) == ["applied"] * 3
        assert await cursor_of(inbox) == "cursor-1"


async def test_a_refused_update_is_kept_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    text = '{"ProductID":1,"Price":13,"currency":"EUR","updatedAt":"2026-11-23T11:00:00+01:00","margin":0.10,"correlationId":"c1"}'
    async with opened(tmp_path) as files:
        execute(path, REFUSALS["RAISE(FAIL)"])
        await apply_all(an_inbox(files), [read_update(PRICE, parse_json(text))])
        assert execute(path, "SELECT method, correlation_id, reason, raw FROM sync_quarantine") == [
            ("ReceivePriceUpdate", "c1", "unlucky", text)
        ]


async def test_a_lock_is_the_databases_trouble_and_refuses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        inbox = an_inbox(files)
        await files.store.database.run(lambda connection: connection.execute("PRAGMA busy_timeout = 0"))
        with closing(sqlite3.connect(path, isolation_level=None)) as till:
            till.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="locked"):
                await inbox.apply([price()])
            till.execute("ROLLBACK")
        assert await apply_all(inbox, [price()]) == ["applied"]
        assert await inbox.quarantined() == 0


TRIGGERS = tuple(
    f"CREATE TRIGGER no_{name}_{event} {when} {event} ON prices WHEN new.price = '{number}' BEGIN SELECT {what}; END"
    for event in ("INSERT", "UPDATE")
    for name, when, number, what in (
        ("abort", "BEFORE", 11, "RAISE(ABORT, 'abort')"),
        ("rollback", "BEFORE", 12, "RAISE(ROLLBACK, 'rollback')"),
        ("fail", "AFTER", 13, "RAISE(FAIL, 'fail')"),
        ("json", "AFTER", 14, "json_extract('{', '$.a')"),
    )
)
WHICH = st.fixed_dictionaries(
    {"productId": st.integers(1, 3)}, optional={"effectiveFrom": st.sampled_from([None, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"])}
)
DATES = st.fixed_dictionaries({"version": st.integers(1, 4)}, optional={"updatedAt": st.sampled_from([WHEN, "2026-11-24T10:00:00Z"])}) | (
    st.fixed_dictionaries({"updatedAt": st.sampled_from([WHEN, "2026-11-24T10:00:00Z"])})
)
VALUES = st.fixed_dictionaries({"price": st.integers(8, 14), "currency": st.just("EUR"), "updatedAt": st.just(WHEN)})
UPDATES = st.lists(
    st.builds(lambda which, values, dates, delete: read_update(PRICE, values | which | dates, delete=delete),
              WHICH, VALUES, DATES, st.booleans())
    | st.builds(lambda which, dates: read_update(PRICE, which | dates, delete=True), WHICH, DATES),
    max_size=24,
)  # fmt: skip


@pytest.fixture(params=[1, staging.FEWEST], ids=["always", "as_it_is"])
def staged_from(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are staged from so many neighbours on."""
    monkeypatch.setattr(staging, "FEWEST", request.param)


@pytest.mark.usefixtures("staged_from")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(UPDATES, st.lists(st.integers(0, 24), max_size=4))
async def test_one_list_several_pages_and_one_by_one_give_the_same_store_and_the_same_acknowledgements(
    tmp_path_factory: pytest.TempPathFactory, updates: list[Update], cuts: list[int]
) -> None:
    pages = [updates[start:end] for start, end in pairwise([0, *sorted(cuts), len(updates)])]
    seen = []
    for way in ([updates], pages, [[update] for update in updates]):
        folder = tmp_path_factory.mktemp("way")
        async with opened(folder) as files:
            for trigger in TRIGGERS:
                execute(folder / "store.db", trigger)
            inbox = an_inbox(files)
            became = [what for chunk in way for what in await apply_all(inbox, chunk)]
            seen.append(
                (
                    became,
                    execute(folder / "store.db", "SELECT * FROM prices ORDER BY product_id, effective_from"),
                    execute(folder / "store.db", "SELECT reason, raw FROM sync_quarantine ORDER BY id"),
                )
            )
    assert seen[0] == seen[1] == seen[2]
