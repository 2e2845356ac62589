"""Whatever `syncd run` refuses, `syncd check` refuses first, in the same words and with the same exit code, and it changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import sys
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

import pytest

from syncd.store.migrate import migrations
from tests.support.disks import fill, immutable, read_only, small_disk
from tests.support.first_schema import restore
from tests.support.program import Ended, run_to_its_end
from tests.support.store import Store
from tests.support.storefiles import execute

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

NOBODY = "http://127.0.0.1:9/hubs/sync"
OUTBOX = migrations("outbox")[0].script
STORE = migrations("store")[0].script

Refusal = tuple[int, str, "Callable[[Store], None]"]


def sql(*statements: str) -> Callable[[Store], None]:
    """A POS that made this before us."""

    def make(store: Store) -> None:
        with closing(sqlite3.connect(store.path)) as pos:
            for statement in statements:
                pos.executescript(statement)

    return make


def changed(script: str, *changes: tuple[str, str]) -> str:
    """One of our scripts, as a POS has it that made it a little otherwise."""
    for old, new in changes:
        assert old in script
        script = script.replace(old, new, 1)
    return script


def newer(component: str) -> Callable[[Store], None]:
    """A file that a later release has had."""

    def make(store: Store) -> None:
        asyncio.run(store.create())
        path = store.database.state_path if component == "journal" else store.path
        execute(path, "INSERT INTO sync_schema VALUES (?, 99, 'future', '')", component)

    return make


def moved(**settings: str) -> Callable[[Store], None]:
    """Another configuration; `{}` in it is the store's folder."""
    return lambda store: store.write_config(**{key: value.replace("{}", str(store.folder)) for key, value in settings.items()})


def rubbish(content: bytes) -> Callable[[Store], None]:
    """A file that is no database."""

    def make(store: Store) -> None:
        store.path.write_bytes(content)

    return make


def first_release_with_cents(store: Store) -> None:
    restore(store.path)
    execute(store.path, "ALTER TABLE prices ADD COLUMN cents AS (price * 100)")


def linked(ending: str) -> Callable[[Store], None]:
    """A link that somebody put where a file of ours goes."""
    return lambda store: store.path.with_name(f"store.db{ending}").symlink_to(store.config_path)


REFUSALS: dict[str, Refusal] = {
    "another products": (78, "a table products already, and it has no column", sql("CREATE TABLE products (id INTEGER PRIMARY KEY, name)")),
    "another products, of other case": (78, "a table Products already", sql("CREATE TABLE Products (id INTEGER PRIMARY KEY, name)")),
    "an outbox without a column": (
        78, "no column payload", sql(changed(OUTBOX, (" payload  ", " body  "), ("typeof(payload)", "typeof(body)"))),
    ),
    "an outbox without NOT NULL": (78, "no NOT NULL on entity_id", sql(changed(OUTBOX, ("entity_id       NOT NULL", "entity_id")))),
    "an outbox with another key": (
        78, "no id INTEGER PRIMARY KEY", sql(changed(OUTBOX, ("INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT PRIMARY KEY"))),
    ),
    "prices with another key": (
        78, "no PRIMARY KEY (product_id", sql(changed(STORE, ("PRIMARY KEY (product_id, price_list)", "PRIMARY KEY (price_list)"))),
    ),
    "a generated column": (78, "a generated column name", sql(changed(STORE, ("name           TEXT", "name TEXT AS (sku)")))),
    "a view named prices": (78, "there is a view prices already", sql("CREATE VIEW prices AS SELECT 1 AS price")),
    "a view named sync_outbox": (78, "there is a view sync_outbox already", sql("CREATE VIEW sync_outbox AS SELECT 1 AS id")),
    "a view named sync_schema": (78, "there is a view sync_schema already", sql("CREATE VIEW sync_schema AS SELECT 1 AS version")),
    "another sync_schema": (78, "a table sync_schema already", sql("CREATE TABLE sync_schema (version INTEGER PRIMARY KEY)")),
    "a table with the name of a view": (78, "a table active_products already", sql("CREATE TABLE active_products (id)")),
    "an index with the name of a table": (
        78, "an index sync_inbox on a already", sql("CREATE TABLE a (b); CREATE INDEX sync_inbox ON a (b)"),
    ),
    "an index of our name elsewhere": (
        78, "an index sync_outbox_failed on a already", sql("CREATE TABLE a (b); CREATE INDEX sync_outbox_failed ON a (b)"),
    ),
    "an addition of the POS's that a step cannot move": (78, "a generated column cents of the POS's", first_release_with_cents),
    "a newer outbox": (78, "its outbox tables have version 99", newer("outbox")),
    "a newer store": (78, "its store tables have version 99", newer("store")),
    "a newer file of ours": (78, "its journal tables have version 99", newer("journal")),
    "a link in the place of our file": (77, "is a symbolic link", linked(".syncd")),
    "a link in the place of the lock": (77, "is a symbolic link", linked(".syncd.lock")),
    "a database that links to nothing": (77, "is a symbolic link", lambda store: store.path.symlink_to(store.folder / "gone.db")),
    "no database": (74, "not a database", rubbish(b"Dear Sir or Madam, " * 500)),
    "a damaged one": (74, "store.db", rubbish(b"SQLite format 3\0" + b"\xff" * 8000)),
    "no folder": (74, "no such folder", moved(database__path="{}/nowhere/store.db")),
    "no folder for our file": (74, "no such folder", moved(database__state_path="{}/nowhere/state.db")),
    "a folder": (78, "folder", moved(database__path="{}")),
    "a bad key": (78, "sync.batchsize", moved(sync__batchsize="50")),
}  # fmt: skip


async def check(store: Store) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", "check", "--config", str(store.config_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={k: v for k, v in os.environ.items() if not k.startswith("SYNCD_")},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), at_once=True)


def content(folder: Path) -> dict[str, str]:
    """Every file below, with the digest of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


async def refused_by_both(store: Store, code: int, says: str, during: AbstractContextManager[None]) -> None:
    before = content(store.folder)
    with during:
        checked = await check(store)
        assert content(store.folder) == before, "a check changes nothing"
        ran = await run_to_its_end(store)
    assert (checked.code, ran.code) == (code, code), checked.text + ran.text
    words = ran.text.strip().removeprefix("syncd: ")
    assert says in words
    assert words in checked.text, "the same words"
    assert "Traceback" not in checked.text + ran.text


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_run_refuses_check_refuses_in_the_same_words(tmp_path: Path, name: str) -> None:
    code, says, make = REFUSALS[name]
    store = Store(tmp_path, NOBODY)
    await asyncio.to_thread(make, store)
    await refused_by_both(store, code, says, nullcontext())


@pytest.mark.parametrize(
    ("how", "what"),
    [(immutable, "store.db"), (immutable, "store.db.syncd"), (immutable, "store.db.syncd.lock"), (immutable, ""), (read_only, "")],
    ids=["the file", "our file", "the lock", "the folder", "the file system"],
)
async def test_what_may_not_be_written_is_refused_by_both(
    tmp_path: Path, how: Callable[[Path], AbstractContextManager[None]], what: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    store = Store(tmp_path, NOBODY, database__path=str(data / "store.db"))
    store.path = data / "store.db"
    await store.create()
    (data / "store.db.syncd.lock").touch()
    await refused_by_both(store, 77, "may not be", how(data / what))


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_file_that_can_be_used_is_left_as_it_is_whatever_its_journal_mode(tmp_path: Path, mode: str) -> None:
    store = Store(tmp_path, NOBODY)
    sql(f"PRAGMA journal_mode = {mode}", OUTBOX)(store)
    before = content(tmp_path)
    checked = await check(store)
    assert checked.code == 0, checked.text
    assert "0 rows marked pending in it" in checked.text or "adds its tables" in checked.text
    assert content(tmp_path) == before


async def test_a_check_beside_a_till_that_sells_sees_what_it_has_sold(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    await store.create()
    with closing(store.till()) as till:
        till.execute("INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('Receipt', 1, 'Create', '{}')")
        checked = await check(store)
    assert "1 rows marked pending in it" in checked.text


async def test_a_full_disk_is_found_by_a_check(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        store = Store(tmp_path, NOBODY, database__path=str(disk / "store.db"))
        await store.create()
        checked = await check(store)
        assert (checked.code, "disk: " in checked.text) == (0, False)
        fill(disk)
        checked = await check(store)
        assert (checked.code, "make room, sales are at risk" in checked.text) == (74, True)


async def test_a_damaged_page_is_found_by_a_check(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    await store.create()
    store.sell_many(500)
    data = bytearray(store.path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = b"\xaa" * 20_000
    store.path.write_bytes(data)
    checked = await check(store)
    assert checked.code == 74
    assert "store.db" in checked.text


async def test_ids_that_are_used_up_are_found_by_a_check(tmp_path: Path) -> None:
    store = Store(tmp_path, NOBODY)
    await store.create()
    store.sell_many(1)
    execute(store.path, "UPDATE sqlite_sequence SET seq = 9223372036854775807")
    checked = await check(store)
    assert checked.code == 74
    assert 'every sale fails with "database or disk is full": see docs/trouble.md, Outbox ids that are used up' in checked.text
