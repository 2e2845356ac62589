"""Tables of declared kinds: made, widened, filled from `extra`, and never changed in what they have."""

from __future__ import annotations

import json
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from syncd.config.entities import EntityDeclaration
from syncd.errors import ConfigurationError
from syncd.store.catalog import catalog_of
from syncd.store.file_watch import LOOK_SECONDS, SETTLE_SECONDS, FileWatch
from syncd.store.fill import Fill
from syncd.store.inbox import Inbox
from syncd.store.opening import open_store
from syncd.store.update import read_update
from syncd.wire.json import parse_json
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, paths

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncd.store.catalog import Catalog
    from syncd.store.opening import StoreFiles

FIRST: dict[str, Any] = {"promotionId": "identifier", "name": "text"}


def promotions(fields: dict[str, Any] = FIRST, **more: Any) -> Catalog:
    return catalog_of({"Promotion": EntityDeclaration.model_validate({"key": ["promotionId"], "fields": fields} | more)})


@asynccontextmanager
async def opened(folder: Path, catalog: Catalog) -> AsyncIterator[StoreFiles]:
    files = await open_store(paths(folder), FakeClock(), structlog.get_logger(), catalog)
    try:
        await Fill(files, catalog, FakeClock(), structlog.get_logger(), lambda _: None).run()
        yield files
    finally:
        await files.close()


async def apply(files: StoreFiles, catalog: Catalog, *messages: str) -> None:
    inbox = Inbox(files.store, FakeClock(), catalog)
    (kind,) = catalog.declared
    updates = [read_update(kind, parse_json(message)) for message in messages]
    while updates:
        del updates[: len((await inbox.apply(updates)).stale)]


def columns(folder: Path) -> list[str]:
    return [name for (name,) in execute(folder / "store.db", "SELECT name FROM pragma_table_info('promotions')")]


async def test_a_declared_kind_has_a_table_with_its_columns_its_key_and_its_indexes(tmp_path: Path) -> None:
    catalog = promotions(FIRST | {"order": "integer", "terms": "json"}, indexes=[["name", "order"]])
    async with opened(tmp_path, catalog) as files:
        assert columns(tmp_path) == [
            "promotion_id", "name", "order", "terms", "is_deleted", "version", "updated_at", "correlation_id", "extra", "applied_at",
            "change_seq",
        ]  # fmt: skip
        await apply(files, catalog, '{"promotionId":"A","name":"Ü","order":3,"terms":{"min":1.50},"color":7.10,"version":1}')
        assert execute(tmp_path / "store.db", 'SELECT promotion_id, name, "order", terms, extra, change_seq FROM promotions') == [
            ("A", "Ü", 3, '{"min":1.50}', '{"color":7.10}', 1)
        ]
        indexes = execute(
            tmp_path / "store.db", "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'promotions' AND sql <> ''"
        )
        assert sorted(name for (name,) in indexes) == ["sync_promotions_by_change", "sync_promotions_by_name_order"]


async def test_a_declaration_that_changes_three_times_gains_columns_fills_them_and_drops_none(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path, promotions()) as files:
        rows = [f'{{"promotionId":{n},"name":"P","Percent":{n}.50,"startsAt":"2026-12-01T00:00:00Z","version":1}}' for n in range(700)]
        await apply(files, promotions(), *rows)
    execute(path, "CREATE INDEX pos_by_name ON promotions (name)")
    async with opened(tmp_path, promotions(FIRST | {"percent": "decimal"})):
        assert execute(path, "SELECT percent, extra FROM promotions WHERE promotion_id = 699") == [
            ("699.50", '{"startsAt":"2026-12-01T00:00:00Z"}')
        ]
    async with opened(tmp_path, promotions({"promotionId": "identifier", "startsAt": "time"})) as files:  # and no name, no percent
        assert execute(path, "SELECT starts_at, extra FROM promotions WHERE promotion_id = 699") == [("2026-12-01T00:00:00.0000000Z", None)]
        await apply(
            files, promotions({"promotionId": "identifier", "startsAt": "time"}), '{"promotionId":5,"name":"New","percent":7,"version":2}'
        )
        assert execute(path, "SELECT name, percent, extra FROM promotions WHERE promotion_id = 5") == [
            ("P", "5.50", '{"name":"New","percent":7}')
        ]
    async with opened(tmp_path, promotions(FIRST | {"percent": "decimal", "startsAt": "time"})):
        assert execute(path, "SELECT name, percent, starts_at, extra FROM promotions WHERE promotion_id = 5") == [("New", "7", None, None)]
    assert columns(tmp_path)[-2:] == ["percent", "starts_at"]
    assert execute(path, "SELECT count(*), count(DISTINCT change_seq), min(change_seq) > 1400 FROM promotions") == [(700, 700, 1)]
    assert execute(path, "SELECT unfilled FROM sync_entity_types WHERE entity_type = 'Promotion'") == [("[]",)]
    assert execute(path, "SELECT name FROM sqlite_schema WHERE name = 'pos_by_name'") == [("pos_by_name",)]


async def test_what_does_not_fit_its_new_column_stays_in_extra(tmp_path: Path) -> None:
    async with opened(tmp_path, promotions()) as files:
        await apply(files, promotions(), '{"promotionId":1,"percent":"many","version":1}', '{"promotionId":2,"percent":5,"version":1}')
    async with opened(tmp_path, promotions(FIRST | {"percent": "decimal"})):
        assert execute(tmp_path / "store.db", "SELECT percent, extra FROM promotions ORDER BY promotion_id") == [
            (None, '{"percent":"many"}'), ("5", None),
        ]  # fmt: skip


IMPOSSIBLE = {
    "another type": (
        promotions(FIRST | {"name": "json"}),
        r"entities\.Promotion\.fields\.name = 'json': it is text in the store, and a type",
    ),
    "another key": (promotions(key=["name"]), r"entities\.Promotion\.key: it is promotion_id in the store, and a key cannot change"),
    "another table": (promotions(table="offers"), r"entities\.Promotion\.table = 'offers': its rows are in the table promotions"),
    "a column of the POS's": (
        promotions(FIRST | {"shelf": "text"}),
        r"entities\.Promotion\.fields\.shelf: .* a column shelf of the POS's own",
    ),
    "another's table": (
        catalog_of({"Offer": EntityDeclaration.model_validate({"key": ["a"], "fields": {"a": "text"}, "table": "promotions"})}),
        r"entities\.Offer\.table: the table promotions is that of Promotion",
    ),
    "a table of the POS's": (
        catalog_of({"Card": EntityDeclaration.model_validate({"key": ["a"], "fields": {"a": "text"}})}),
        r"entities\.Card\.table: there is a table cards already, and it has no column .*change_seq",
    ),
}


@pytest.mark.parametrize(("catalog", "says"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
async def test_a_declaration_that_would_change_what_is_there_is_refused_before_anything_is_touched(
    tmp_path: Path, catalog: Catalog, says: str
) -> None:
    async with opened(tmp_path, promotions()):
        pass
    path = tmp_path / "store.db"
    execute(path, "ALTER TABLE promotions ADD COLUMN shelf TEXT")
    execute(path, "CREATE TABLE cards (number TEXT PRIMARY KEY)")
    execute(path, "DROP INDEX sync_products_by_sku")
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    with pytest.raises(ConfigurationError, match=says) as caught:
        async with opened(tmp_path, catalog):
            pytest.fail("it opened")
    assert caught.value.exit_code == 78
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


async def test_an_index_that_is_no_longer_declared_is_dropped_and_the_poss_own_is_not(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path, promotions(indexes=[["name"]])):
        execute(path, "CREATE INDEX pos_by_name ON promotions (name)")
    async with opened(tmp_path, promotions()):
        names = {name for (name,) in execute(path, "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'promotions'")}
        assert {"pos_by_name", "sync_promotions_by_change"} <= names
        assert "sync_promotions_by_name" not in names


async def test_a_kind_that_is_declared_no_longer_keeps_its_table_and_has_it_again_later(tmp_path: Path) -> None:
    async with opened(tmp_path, promotions()) as files:
        await apply(files, promotions(), '{"promotionId":1,"name":"Kept","version":1}')
    async with opened(tmp_path, catalog_of({})):
        assert execute(tmp_path / "store.db", "SELECT name FROM promotions") == [("Kept",)]
    async with opened(tmp_path, promotions()):
        assert execute(tmp_path / "store.db", "SELECT name FROM promotions") == [("Kept",)]


async def test_the_record_says_what_each_kind_was_declared_as(tmp_path: Path) -> None:
    async with opened(tmp_path, promotions()):
        rows = dict(execute(tmp_path / "store.db", "SELECT entity_type, columns FROM sync_entity_types"))
        assert json.loads(rows["Promotion"]) == {"promotion_id": "identifier", "name": "text"}
        assert set(rows) == {"Product", "Price", "Inventory", "Transaction", "Promotion"}


async def test_a_table_that_another_program_drops_is_made_again_while_we_run(tmp_path: Path) -> None:
    catalog, clock = promotions(FIRST | {"percent": "decimal"}, indexes=[["name"]]), FakeClock()
    async with opened(tmp_path, catalog) as files:
        watch = FileWatch(
            files.maintenance[0], files.outbox.database, ("outbox", "store"), clock, structlog.get_logger(), lambda _: None, lambda _: None,
            catalog,
        )  # fmt: skip
        before = columns(tmp_path)
        execute(tmp_path / "store.db", "DROP TABLE promotions")
        for _ in range(round(5 * SETTLE_SECONDS / LOOK_SECONDS)):
            await watch.look()
            clock.seconds += LOOK_SECONDS
        assert columns(tmp_path) == before
        await apply(files, catalog, '{"promotionId":1,"name":"Again","version":1}')
        assert execute(tmp_path / "store.db", "SELECT name FROM promotions INDEXED BY sync_promotions_by_name WHERE name > ''") == [
            ("Again",)
        ]


async def test_what_a_pos_adds_to_a_declared_kind_stays_through_its_changes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path, promotions()) as files:
        await apply(files, promotions(), '{"promotionId":1,"name":"A","percent":5,"version":1}')
    execute(path, "CREATE VIEW pos_names AS SELECT name FROM promotions")
    execute(path, "CREATE TABLE pos_seen (id)")
    execute(path, "CREATE TRIGGER pos_saw AFTER INSERT ON promotions BEGIN INSERT INTO pos_seen VALUES (NEW.promotion_id); END")
    execute(path, "ALTER TABLE promotions ADD COLUMN pos_shelf TEXT DEFAULT 'B'")
    wider = promotions(FIRST | {"percent": "decimal"})
    async with opened(tmp_path, wider) as files:
        await apply(files, wider, '{"promotionId":2,"name":"B","version":1}')
        assert execute(path, "SELECT promotion_id, percent, pos_shelf FROM promotions") == [(1, "5", "B"), (2, None, "B")]
        assert execute(path, "SELECT name FROM pos_names") == [("A",), ("B",)]
        assert execute(path, "SELECT id FROM pos_seen") == [(2,)]
