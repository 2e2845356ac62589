from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.errors import ConfigurationError
from syncd.store import migrate as module
from syncd.store.catalog import ENTITY_TYPES, PRODUCT
from syncd.store.database import Database
from syncd.store.migrate import Migration, migrate, migrations, schema_at
from syncd.store.names import UNPREFIXED, Names
from syncd.store.schema import RECORD, statements
from tests.support.clock import FakeClock
from tests.support.storefiles import execute, opened, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.entity_type import EntityType

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


STORE_AND_ONE_MORE = [(number,) for number in range(1, len(migrations("store")) + 2)]


def with_steps(monkeypatch: pytest.MonkeyPatch, **scripts: list[str]) -> None:
    """A program of a later release: more steps for these components."""

    def more(component: str, names: Names = UNPREFIXED) -> list[Migration]:
        known = migrations(component, names)
        return known + [Migration(known[-1].version + n, "step", script) for n, script in enumerate(scripts.get(component, []), 1)]

    monkeypatch.setattr(module, "migrations", more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_a_new_store_has_every_table_and_a_record_of_each_migration(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        tables = {name for (name,) in execute(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert {"sync_outbox", "products", "prices", "inventory", "transactions", "sync_inbox", "sync_cursor", "sync_quarantine"} <= tables
        assert "outcome" not in tables, "what is ours lives in our own file"
        recorded = [(component, step.version) for component in ("outbox", "store") for step in migrations(component)]
        assert execute(path, "SELECT component, version FROM sync_schema ORDER BY component, version") == recorded
        assert execute(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("kind", ENTITY_TYPES, ids=lambda kind: kind.table)
def test_the_catalog_writes_the_columns_and_the_key_that_the_migrations_make(kind: EntityType) -> None:
    columns = schema_at("store", migrations("store")[-1].version)[kind.table].columns
    assert {column.name for column in columns} == set(kind.columns)
    assert [column.name for column in sorted(columns, key=lambda column: column.key) if column.key] == list(kind.keys)


@pytest.mark.parametrize("component", ["outbox", "store", "journal"])
def test_steps_are_numbered_without_a_gap(component: str) -> None:
    """A file that has had step 3 never gets a step 2 that comes later."""
    assert [step.version for step in migrations(component)] == list(range(1, len(migrations(component)) + 1))


async def test_opening_again_changes_nothing(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        before = execute(path, "SELECT sql FROM sqlite_schema ORDER BY name")
    async with opened(tmp_path):
        assert execute(path, "SELECT sql FROM sqlite_schema ORDER BY name") == before


async def test_a_step_that_fails_leaves_neither_tables_nor_record_and_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = await Database.open(path)
    try:
        await migrate(database, "journal", FakeClock())
        execute(path, "INSERT INTO total VALUES ('extra', 1)")
        with_steps(monkeypatch, journal=["CREATE TABLE half (a);\nINSERT INTO total VALUES ('extra', 2);\n"])
        with pytest.raises(ConfigurationError, match=r"step \d+_step of its journal tables cannot be made, and nothing of it was: UNIQUE"):
            await migrate(database, "journal", FakeClock())
    finally:
        await database.close()
    assert execute(path, "SELECT max(version) FROM sync_schema") == [(len(migrations("journal")),)], "those before it stay"
    assert execute(path, "SELECT 1 FROM sqlite_schema WHERE name = 'half'") == []


async def test_a_step_adds_a_column_to_a_new_file_and_to_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    async with opened(old):
        execute(old / "store.db", "INSERT INTO products (product_id, name) VALUES (1, 'kept')")
    with_steps(monkeypatch, store=["ALTER TABLE products ADD COLUMN tax_code TEXT;\n"])
    for folder in (old, new):
        async with opened(folder):
            assert execute(folder / "store.db", "SELECT name FROM pragma_table_info('products')")[-1] == ("tax_code",)
            assert execute(folder / "store.db", "SELECT version FROM sync_schema WHERE component = 'store'") == STORE_AND_ONE_MORE
    assert execute(old / "store.db", "SELECT product_id, name, tax_code FROM products") == [(1, "kept", None)]


async def test_what_a_later_step_drops_stays_dropped(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path):
        pass
    with_steps(monkeypatch, store=["DROP VIEW active_products;\n"], outbox=["DROP INDEX sync_outbox_failed;\n"])
    gone = "SELECT name FROM sqlite_schema WHERE name IN ('active_products', 'sync_outbox_failed')"
    for _ in range(2):
        async with opened(tmp_path):
            assert execute(path, gone) == []


async def test_what_somebody_dropped_is_there_again_before_the_next_step(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path):
        pass
    execute(path, "DROP INDEX sync_outbox_failed")
    execute(path, "DROP TABLE sync_outbox_generation")
    with_steps(monkeypatch, outbox=["DROP INDEX sync_outbox_failed;\nUPDATE sync_outbox_generation SET generation = 7;\n"])
    async with opened(tmp_path):
        assert execute(path, "SELECT generation FROM sync_outbox_generation") == [(7,)]


async def test_an_index_of_ours_that_says_something_else_is_made_anew(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        ((before,),) = execute(path, "SELECT sql FROM sqlite_schema WHERE name = 'sync_outbox_by_priority'")
    execute(path, "DROP INDEX sync_outbox_by_priority")
    execute(path, "CREATE INDEX sync_outbox_by_priority ON sync_outbox (priority)")
    async with opened(tmp_path):
        assert execute(path, "SELECT sql FROM sqlite_schema WHERE name = 'sync_outbox_by_priority'") == [(before,)]


async def test_tables_that_a_pos_made_like_a_later_step_are_taken_as_they_are(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_steps(monkeypatch, store=["ALTER TABLE products ADD COLUMN tax_code TEXT;\n"])
    columns = ", ".join(column for column in PRODUCT.columns if column != "product_id")
    execute(path, f"CREATE TABLE Products (product_id INTEGER PRIMARY KEY, {columns}, tax_code)")
    async with opened(tmp_path):
        assert execute(path, "SELECT version FROM sync_schema WHERE component = 'store'") == STORE_AND_ONE_MORE


async def test_a_table_in_the_way_of_a_later_step_is_refused_before_any_step(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path):
        pass
    before = execute(path, "SELECT * FROM sync_schema")
    execute(path, "CREATE TABLE promotions (id INTEGER PRIMARY KEY)")
    with_steps(monkeypatch, store=["ALTER TABLE products ADD COLUMN a;\n", "CREATE TABLE IF NOT EXISTS promotions (code PRIMARY KEY);\n"])
    with pytest.raises(ConfigurationError, match="a table promotions already, and it has no column code"):
        async with opened(tmp_path):
            pytest.fail("it opened")
    assert execute(path, "SELECT * FROM sync_schema") == before


@pytest.mark.parametrize("name", ["prices", "sync_outbox", "sync_cursor", "sync_schema"])
async def test_a_view_with_the_name_of_a_table_of_ours_is_refused(tmp_path: Path, path: Path, name: str) -> None:
    execute(path, f"CREATE VIEW {name} AS SELECT 1 AS one")
    with pytest.raises(ConfigurationError, match=f"there is a view {name} already, where syncd's table of that name goes"):
        async with opened(tmp_path):
            pytest.fail("it opened")


async def test_a_file_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        execute(path, "INSERT INTO sync_schema VALUES ('outbox', 99, 'future', '')")
    with pytest.raises(ConfigurationError, match=r"version 99, and this program knows them up to \d+: install a syncd") as caught:
        async with opened(tmp_path):
            pytest.fail("it opened")
    assert caught.value.exit_code == 78
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("table", ["sync_outbox", "products", "prices"])
async def test_a_table_of_another_make_is_named_with_what_it_lacks(tmp_path: Path, path: Path, table: str) -> None:
    execute(path, f"CREATE TABLE {table} (product_id INTEGER PRIMARY KEY, entity_id, label TEXT)")
    with pytest.raises(ConfigurationError, match=rf"a table {table} already, and it has no column .*correlation_id") as caught:
        async with opened(tmp_path):
            pytest.fail("it opened")
    assert caught.value.exit_code == 78
    assert execute(path, f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_file_that_the_pos_made_first_is_taken_over_with_its_rows(tmp_path: Path, path: Path, mode: str) -> None:
    outbox = migrations("outbox")[0].script
    with closing(sqlite3.connect(path)) as pos:
        pos.execute(f"PRAGMA journal_mode = {mode}")
        pos.execute("CREATE TABLE receipts (id INTEGER PRIMARY KEY)")
        pos.executescript(outbox)
    write_rows(path, ("Receipt", 1, 3))
    async with opened(tmp_path):
        assert execute(path, "SELECT count(*) FROM sync_outbox WHERE status = 'pending'") == [(1,)]
        assert execute(path, "PRAGMA journal_mode") == [("wal",)]
        assert execute(path, "SELECT name FROM sqlite_schema WHERE name = 'receipts'") == [("receipts",)]


async def test_four_columns_are_all_that_a_till_must_name(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        execute(path, "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('Receipt', 5, 'Create', '{}')")
        self_made = (
            "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority, correlation_id, created_at, status, attempts, "
            "next_attempt_at, last_error, sent_at) VALUES ('Receipt', 'A', 'Update', '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        )
        execute(path, self_made)
        execute(path, self_made)
        rows = execute(path, "SELECT id, priority, correlation_id, created_at, status, attempts FROM sync_outbox ORDER BY id")
        assert [row[0] for row in rows] == [1, 2, 3]
        assert len({row[2] for row in rows}) == 3
        for _, priority, correlation_id, created_at, status, attempts in rows:
            assert (priority, status, attempts) == (3, "pending", 0)
            assert UUID.fullmatch(correlation_id)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created_at)


async def test_identifiers_keep_their_kind(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        write_rows(path, ("Receipt", 5, 3), ("Receipt", "5", 3), ("Receipt", 5.0, 3))
        kinds = execute(path, "SELECT typeof(entity_id) FROM sync_outbox ORDER BY id")
        assert kinds == [("integer",), ("text",), ("real",)]


@pytest.mark.parametrize(
    ("columns", "values", "says"),
    [
        ("operation", "'Destroy'", "operation must be Create, Update or Delete"),
        ("priority", "5", "priority must be 1, 2, 3 or 4"),
        ("status", "'in_progress'", "status must be pending, sent, failed or cancelled"),
        ("entity_type", "''", "entity_type must not be empty"),
        ("entity_id", "1.5", "entity_id must be INTEGER or TEXT"),
        ("entity_id", "x'00'", "entity_id must be INTEGER or TEXT"),
        ("payload", "x'7b7d'", "payload must be TEXT"),
        ("correlation_id", "''", "correlation_id must not be empty"),
        ("entity_id", "NULL", "NOT NULL"),
    ],
)
async def test_a_bad_row_fails_in_the_pos_with_a_message_that_names_the_column(
    tmp_path: Path, path: Path, columns: str, values: str, says: str
) -> None:
    row = {"entity_type": "'Receipt'", "entity_id": "1", "operation": "'Create'", "payload": "'{}'"} | {columns: values}
    async with opened(tmp_path):
        with pytest.raises(sqlite3.IntegrityError, match=says):
            execute(path, f"INSERT INTO sync_outbox ({', '.join(row)}) VALUES ({', '.join(row.values())})")


@pytest.mark.parametrize("sign", [1, -1])
async def test_an_id_that_would_leave_no_number_for_the_next_sale_fails_in_the_pos(tmp_path: Path, path: Path, sign: int) -> None:
    sale = "INSERT INTO sync_outbox (id, entity_type, entity_id, operation, payload) VALUES (?, 'Receipt', 1, 'Create', '{}')"
    async with opened(tmp_path):
        with pytest.raises(sqlite3.IntegrityError, match=r"sync_outbox\.id must be between"):
            execute(path, sale, sign * (2**63 - 1))
        execute(path, sale, 1_830_000_000_000_000_000)  # a snowflake
        with pytest.raises(sqlite3.IntegrityError, match=r"sync_outbox\.id must be between"):
            execute(path, "UPDATE sync_outbox SET id = ?", sign * (2**63 - 1))
        write_rows(path, ("Receipt", 2, 3))
        assert execute(path, "SELECT id FROM sync_outbox ORDER BY id DESC LIMIT 1") == [(1_830_000_000_000_000_001,)]


async def test_the_same_correlation_id_twice_fails_in_the_pos(tmp_path: Path, path: Path) -> None:
    async with opened(tmp_path):
        sql = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, correlation_id) VALUES ('R', 1, 'Create', '{}', 'same')"
        execute(path, sql)
        with pytest.raises(sqlite3.IntegrityError, match="correlation_id"):
            execute(path, sql)


async def test_outbox_and_store_may_be_two_files(tmp_path: Path, path: Path) -> None:
    pos = tmp_path / "pos.db"
    async with opened(tmp_path, outbox_path=pos):
        assert execute(pos, "SELECT DISTINCT component FROM sync_schema") == [("outbox",)]
        assert execute(path, "SELECT DISTINCT component FROM sync_schema") == [("store",)]
        assert (tmp_path / "store.db.syncd").exists()


def test_a_script_is_split_where_its_statements_end() -> None:
    script = "-- a comment; with a semicolon\nCREATE TABLE a (b TEXT DEFAULT ';');\nINSERT INTO a\nVALUES ('x;y');\n"
    assert [s.splitlines()[-1] for s in statements(script)] == ["CREATE TABLE a (b TEXT DEFAULT ';');", "VALUES ('x;y');"]


# ── the table of prices, built anew ─────────────────────────────────────────────────────────────────────────────────


def before_the_rebuild(path: Path) -> None:
    """A store of the first release, to which a POS has added a column, an index, a trigger and views."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*statements(migrations("store")[0].script), RECORD):
            connection.execute(statement)
        connection.execute("INSERT INTO sync_schema VALUES ('store', 1, 'store', '2026-11-23T10:00:00.000Z')")
        connection.execute("ALTER TABLE prices ADD COLUMN \"shelf label\" TEXT NOT NULL DEFAULT 'A'")
        connection.execute("ALTER TABLE prices ADD COLUMN printed_at TEXT")
        connection.execute("INSERT INTO prices (product_id, price, effective_from, \"shelf label\") VALUES (1, '1.10', NULL, 'B')")
        connection.execute("INSERT INTO prices (product_id, price, effective_from) VALUES ('2', '2.20', '2026-12-01T00:00:00.0000000Z')")
        connection.execute('CREATE INDEX pos_labels ON prices ("shelf label")')
        connection.execute("CREATE TABLE seen (product_id)")
        connection.execute("CREATE TRIGGER pos_seen AFTER INSERT ON prices BEGIN INSERT INTO seen VALUES (new.product_id); END")
        connection.execute("CREATE VIEW pos_cheap AS SELECT * FROM prices WHERE price < '2'")


async def test_a_table_that_is_built_anew_keeps_its_rows_and_what_the_pos_has_added(tmp_path: Path, path: Path) -> None:
    before_the_rebuild(path)
    async with opened(tmp_path):
        columns = [name for (name,) in execute(path, "SELECT name FROM pragma_table_info('prices')")]
        assert columns == [column.name for column in schema_at("store", 1)["prices"].columns] + ["shelf label", "printed_at", "change_seq"]
        assert execute(path, 'SELECT product_id, price, effective_from, "shelf label" FROM prices ORDER BY price') == [
            (1, "1.10", "", "B"), ("2", "2.20", "2026-12-01T00:00:00.0000000Z", "A"),
        ]  # fmt: skip
        assert execute(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'pos_%' AND type <> 'view' ORDER BY name") == [
            ("pos_labels",), ("pos_seen",),
        ]  # fmt: skip
        assert execute(path, "SELECT product_id FROM pos_cheap") == [(1,)]
        assert execute(path, "SELECT * FROM seen") == [], "no trigger ran for it"
        execute(path, "INSERT INTO prices (product_id, effective_from) VALUES (3, 'x')")
        assert execute(path, "SELECT * FROM seen") == [(3,)]
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_generated_column_of_the_poss_is_named_before_its_table_is_built_anew(tmp_path: Path, path: Path) -> None:
    before_the_rebuild(path)
    execute(path, "ALTER TABLE prices ADD COLUMN cents AS (price * 100)")
    with pytest.raises(ConfigurationError, match="generated column cents of the POS's: drop it"):
        async with opened(tmp_path):
            pytest.fail("it opened")
    assert execute(path, "SELECT count(*) FROM prices") == [(2,)]
    assert execute(path, "SELECT max(version) FROM sync_schema WHERE component = 'store'") == [(1,)], "no step before it was made either"
