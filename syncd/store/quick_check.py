"""SQLite's own check of a file, in a bounded time: it reads every page, and a store may have many."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from syncd.store.sqlite_errors import primary_code

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_SECONDS = 20.0  # enough for some gigabytes on an SSD
MAX_PROBLEMS = 5


def quick_check(connection: sqlite3.Connection, seconds: float = LONGEST_SECONDS) -> list[str] | None:
    """What is wrong with the file, in SQLite's words; empty where nothing is, None where the time was up before it was known.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({MAX_PROBLEMS})")]
    except sqlite3.Error as error:
        if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        timer.cancel()
        timer.join()
    return list(_lines(found))


def _lines(found: list[str]) -> Iterator[str]:
    """One row may have several lines, and a headline of its own."""
    for row in found:
        for line in row.splitlines():
            if line and line != "ok" and not line.startswith("***"):
                yield line
