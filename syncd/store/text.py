"""Texts that SQLite and Python do not both take: a till may write bytes that are no UTF-8, HQ may send half a surrogate pair."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, TypeVar

from syncd.store.sqlite_errors import primary_code

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def is_text(value: object) -> bool:
    """Whether SQLite takes this as it is; text that came out of invalid UTF-8 (`any_text`) has to go in as its bytes."""
    try:
        return not isinstance(value, str) or value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def storable(text: str) -> str:
    """Text of HQ's as SQLite takes it: half a surrogate pair, which JSON can say and UTF-8 cannot, is written out."""
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()


def as_bytes(text: str) -> bytes:
    """What `any_text` made text of; in SQL, `CAST(? AS TEXT)` is the same text again."""
    return text.encode("utf-8", "surrogateescape")


def any_text(connection: sqlite3.Connection, read: Callable[[], T]) -> T:
    """Read, whatever the texts are: where one is no UTF-8, all are read so that it can be named, and its neighbours go through."""
    try:
        return read()
    except sqlite3.OperationalError as error:
        if primary_code(error) is not None:  # SQLite's; the driver's own, which has no code, is that it could not decode a text
            raise
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return read()
    finally:
        connection.text_factory = str
