"""What syncd's tables are called: the names, the statements with them, and where they come from."""

from __future__ import annotations

import ast
import re
import sqlite3
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

import syncd
from syncd.store.migrate import newest_schema
from syncd.store.names import UNPREFIXED, connect, has_table, names_of, prefixed

PACKAGE = Path(syncd.__file__).parent
SYNCD = prefixed("syncd_")
OURS = sorted(chain(newest_schema("outbox", UNPREFIXED), newest_schema("store", UNPREFIXED)))


@pytest.mark.parametrize(
    ("name", "with_prefix"),
    [("products", "syncd_products"), ("current_prices", "syncd_current_prices"), ("sync_outbox", "syncd_outbox"),
     ("sync_products_by_sku", "syncd_products_by_sku"), ("promotions", "syncd_promotions")],
)  # fmt: skip
def test_the_prefix_stands_before_a_name_and_in_the_place_of_sync(name: str, with_prefix: str) -> None:
    assert SYNCD.of(name) == with_prefix
    assert UNPREFIXED.of(name) == name


def test_no_two_names_become_the_same() -> None:
    assert len({SYNCD.of(name) for name in OURS}) == len(set(OURS))


def test_a_statement_is_made_once_and_has_quoted_names() -> None:
    statement = "SELECT 1 FROM [sync_outbox] AS o, [order], json_each('$[0]') WHERE x GLOB '[0-9]*'"
    made = SYNCD.sql(statement)
    assert made == """SELECT 1 FROM "syncd_outbox" AS o, "syncd_order", json_each('$[0]') WHERE x GLOB '[0-9]*'"""
    assert SYNCD.sql(statement) is made


def test_without_a_prefix_a_statement_runs_as_it_is() -> None:
    with closing(connect(":memory:", UNPREFIXED)) as connection:
        assert type(connection) is sqlite3.Connection
        connection.execute("CREATE TABLE products (id)")
        connection.executemany("INSERT INTO [products] VALUES (?)", [(1,), (2,)])
        assert connection.execute("SELECT count(*) FROM [products]").fetchone() == (2,)
        assert names_of(connection) is UNPREFIXED


def test_a_connection_takes_statements_with_our_names_and_its_cursors_those_of_others() -> None:
    with closing(connect(":memory:", SYNCD)) as connection:
        connection.execute("CREATE TABLE [products] (id)")
        connection.executemany("INSERT INTO [products] VALUES (?)", [(1,), (2,)])
        assert connection.cursor().execute("SELECT count(*) FROM syncd_products").fetchone() == (2,)
        assert has_table(connection, "products")
        connection.cursor().execute("CREATE TABLE [products] (mine)")
        assert connection.cursor().execute("SELECT count(*) FROM [products]").fetchone() == (0,)
        assert names_of(connection) is SYNCD


def texts() -> list[tuple[str, str]]:
    """Every text of the part of the program that has to do with the till's file, docstrings apart; and every script."""
    found = []
    for file in [*(PACKAGE / "store").rglob("*.py"), *(PACKAGE / "downlink").rglob("*.py"), *(PACKAGE / "uplink").rglob("*.py"),
                 *(PACKAGE / "commands").rglob("*.py")]:  # fmt: skip
        tree = ast.parse(file.read_text(encoding="utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            (file.name, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
        ]
    scripts = [file for folder in ("store", "outbox") for file in (PACKAGE / "store/sql" / folder).iterdir()]
    return found + [(file.name, re.sub("--.*", "", file.read_text(encoding="utf-8"))) for file in scripts]


def test_every_statement_has_our_names_in_brackets() -> None:
    ours = "|".join(OURS)
    bare = re.compile(rf"\b(FROM|INTO|UPDATE|JOIN|TABLE|INDEX|VIEW|TRIGGER|EXISTS|BY|ON)\s+(main\.)?\"?({ours})\b", re.IGNORECASE)
    apart = {"demo.py", "demo_shop.py"}  # a till of their own, in a store without a prefix
    assert [(name, found[0]) for name, text in texts() if name not in apart and (found := bare.search(text))] == []


def test_a_kind_s_table_is_named_in_brackets_too() -> None:
    bare = re.compile(r"""(FROM|INTO|UPDATE|JOIN|TABLE|ON) "?\{(self\.|kind\.)?table\}""")
    assert [file.name for file in (PACKAGE / "store").glob("*.py") if bare.search(file.read_text(encoding="utf-8"))] == []


def test_one_module_opens_databases_so_that_every_connection_knows_the_names() -> None:
    apart = {"store/names.py", "commands/demo_shop.py", "testing/store.py"}
    for file in PACKAGE.rglob("*.py"):
        if file.relative_to(PACKAGE).as_posix() not in apart:
            assert not re.search(r"sqlite3\.(connect|Connection)\(|aiosqlite\.connect", file.read_text(encoding="utf-8")), file
