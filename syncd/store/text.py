"""Texts that only one of SQLite and Python takes: a till's that is no UTF-8, or half a surrogate pair from HQ."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, TypeVar

from syncd.store.sqlite_errors import primary_code

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def is_text(value: object) -> bool:
    """Whether SQLite takes this as it is; text that `any_text` read from invalid UTF-8 has to be given as bytes."""
    try:
        return not isinstance(value, str) or value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def storable(text: str) -> str:
    """HQ's text as SQLite takes it: half a surrogate pair, which JSON can have and UTF-8 cannot, is escaped."""
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()


def as_bytes(text: str) -> bytes:
    """The bytes from which `any_text` made a text; in SQL, `CAST(? AS TEXT)` makes the same text of them again."""
    return text.encode("utf-8", "surrogateescape")


def any_text(connection: sqlite3.Connection, read: Callable[[], T]) -> T:
    """Read texts; where one of them is no UTF-8, all are read with `surrogateescape`, so that nothing is lost."""
    try:
        return read()
    except sqlite3.OperationalError as error:
        if primary_code(error) is not None:  # else it is the driver's own: it could not decode a text
            raise
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return read()
    finally:
        connection.text_factory = str
