from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.errors import StatementError, StorageBusy, StorageDamaged, StorageError
from syncd.store.sqlite_errors import is_of_the_database, kind_of, translate

if TYPE_CHECKING:
    from pathlib import Path

TRIGGER = "CREATE TRIGGER t BEFORE INSERT ON prices BEGIN"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE prices (price CHECK (price > 0))")
    return path


def error_of(path: Path | str, *statements: str) -> sqlite3.Error:
    """What the last statement raises."""
    *before, last = statements
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0, uri=str(path).startswith("file:"))) as connection:
        for statement in before:
            connection.execute(statement)
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(last).fetchall()
    return caught.value


@pytest.mark.parametrize(
    "statements",
    [
        ("INSERT INTO prices VALUES (0)",),
        (
            "CREATE TRIGGER t BEFORE INSERT ON prices BEGIN SELECT RAISE(ROLLBACK, 'database is locked'); END",
            "INSERT INTO prices VALUES (1)",
        ),
        ("CREATE TRIGGER t BEFORE INSERT ON prices BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END", "INSERT INTO prices VALUES (1)"),
        ("CREATE TRIGGER t BEFORE INSERT ON prices BEGIN INSERT INTO nowhere VALUES (1); END", "INSERT INTO prices VALUES (1)"),
        ("SELECT json_extract('no JSON', '$.x')",),  # "malformed JSON"
        ("SELECT abs(-9223372036854775808)",),
        ("SELECT CAST(x'80FF' AS TEXT)",),  # the driver's own error
        ("SELECT",),
    ],
)
def test_a_statement_that_sqlite_refuses_is_no_trouble_of_the_database(path: Path, statements: tuple[str, ...]) -> None:
    error = error_of(path, *statements)
    assert not is_of_the_database(error)
    assert type(translate(error, path)) is StatementError


def test_a_search_index_of_the_pos_that_is_broken_is_no_trouble_of_the_database(path: Path) -> None:
    error = error_of(
        path, "CREATE VIRTUAL TABLE search USING fts5(name)", "INSERT INTO search VALUES ('milk')", "DELETE FROM search_data",
        "SELECT * FROM search WHERE search MATCH 'milk'",
    )  # fmt: skip
    assert error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT_VTAB
    assert type(translate(error, path)) is StatementError


def test_a_lock_is_busy_and_names_the_file(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as till:
        till.execute("BEGIN IMMEDIATE")
        error = translate(error_of(path, "BEGIN IMMEDIATE"), path)
    assert type(error) is StorageBusy
    assert error.path == path


@pytest.mark.parametrize("content", [b"Dear Sir or Madam, " * 100, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_that_is_no_database_or_a_broken_one_is_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert type(translate(error_of(path, "SELECT * FROM prices"), path)) is StorageDamaged


def test_full_and_read_only_and_missing_are_the_databases(path: Path) -> None:
    full = error_of(path, "PRAGMA max_page_count = 1", "INSERT INTO prices SELECT value FROM json_each('[1]')", "CREATE TABLE more (n)")
    read_only = error_of(f"{path.as_uri()}?mode=ro", "INSERT INTO prices VALUES (1)")
    assert full.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert read_only.sqlite_errorcode == sqlite3.SQLITE_READONLY
    assert [type(translate(error, path)) for error in (full, read_only)] == [StorageError, StorageError]
    with pytest.raises(sqlite3.OperationalError) as caught, closing(sqlite3.connect(path.parent / "nowhere" / "store.db")):
        pass
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN
    assert is_of_the_database(caught.value)


def test_a_trouble_says_what_kind_it_is_for_whoever_is_to_mend_it(path: Path) -> None:
    def kind(error: BaseException) -> str:
        try:
            raise translate(error, path) if isinstance(error, sqlite3.Error) else StorageError("it") from error
        except StorageError as found:
            return kind_of(found)

    assert kind(error_of(path, "PRAGMA max_page_count = 2", "INSERT INTO prices SELECT zeroblob(100000)")) == "database_full"
    assert kind(error_of(f"file:{path}?mode=ro", "INSERT INTO prices VALUES (1)")) == "database_not_writable"
    assert kind(OSError(28, "No space left on device")) == "database_full"
    assert kind(error_of(path, "INSERT INTO prices VALUES (0)")) == "database_unusable"
    path.write_bytes(b"no database" * 1000)
    assert kind(error_of(path, "SELECT * FROM prices")) == "database_damaged"
