"""Copies the rows of a long table that a step builds anew, before the step, within the write budget (see `rebuild.py`).

Beside a till that sells, 100,000 rows take about two minutes so; in a closed shop, two seconds. A copy that was cut
short goes on where it was.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from syncd.store.names import has_table, names_of
from syncd.store.rebuild import REBUILT, copy, follow, is_followed, is_long, widen
from syncd.store.schema import statements
from syncd.store.write_budget import Cost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from syncd.store.write_budget import PacedWriter

_CREATES = re.compile(r"^CREATE TABLE IF NOT EXISTS (\w*rebuilt_\w+)", re.ASCII | re.MULTILINE)


async def rebuild_ahead(till: PacedWriter, script: str, on_progress: Callable[[], None]) -> None:
    """Copy the rows of every long table that the step's script builds anew.

    Args:
        on_progress: called while it goes on.

    Raises:
        StorageError: the file cannot be written.
    """
    cost = Cost()
    for statement in statements(script):
        created = _CREATES.search(statement)
        while created is not None:
            room = till.room(cost, urgent=True)
            work = partial(_copy_some, create=statement, new=created[1], limit=room)
            if not (await till.write(work, rows=room, cost=cost, urgent=True)).result:
                break
            on_progress()


def _copy_some(connection: sqlite3.Connection, create: str, new: str, limit: int) -> int:
    """The next rows, from the first on where there is no copy yet, or one that is out of step; 0 once none is left."""
    names, cursor = names_of(connection), connection.cursor()
    rest = new.removeprefix(names.of(REBUILT))
    old = names.of(rest)
    if not has_table(connection, rest) or not is_long(cursor, old):
        return 0
    if not is_followed(cursor, old, new) or widen(cursor, old, new):
        cursor.execute(f'DROP TABLE IF EXISTS "{new}"')
        cursor.execute(create)
        widen(cursor, old, new)
        follow(cursor, old, new)
    return copy(cursor, old, new, limit)
