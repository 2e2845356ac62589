"""`change_seq`: one number across all of HQ's tables that only grows, so that a till can ask what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from syncd.store.entity_type import EntityType


def next_numbers(connection: sqlite3.Connection, count: int) -> Iterator[int]:
    """So many numbers, within the caller's transaction; whoever reads one has read all smaller ones."""
    connection.execute("UPDATE [sync_change] SET last_seq = last_seq + ?", (count,))
    (last,) = connection.execute("SELECT last_seq FROM [sync_change]").fetchone()
    return iter(range(last - count + 1, last + 1))


def gone_back(connection: sqlite3.Connection, kinds: Iterable[EntityType]) -> int | None:
    """The highest number in use, where the counter is below it: another program has dropped its table."""
    tables = " UNION ALL ".join(f"SELECT max(change_seq) AS highest FROM [{kind.table}]" for kind in kinds)  # noqa: S608 - plain names, quoted
    (highest, last) = connection.execute(f"SELECT max(highest), (SELECT last_seq FROM [sync_change]) FROM ({tables})").fetchone()  # noqa: S608
    return highest if (highest or 0) > last else None


def go_on_above(connection: sqlite3.Connection, number: int) -> None:
    """The next number is a higher one; within a transaction."""
    connection.execute("UPDATE [sync_change] SET last_seq = max(last_seq, ?)", (number,))
