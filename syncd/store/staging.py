"""Rows put into SQLite's own memory before the write lock is taken, so that one statement takes them over within it.

Row by row Python asks for the interpreter's lock after each, and the till waits while another thread of ours has that.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from syncd.store.news import News

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from syncd.store.entity_type import EntityType
    from syncd.store.quarantine import Quarantined

FEWEST = 10
"""Fewer neighbours of one kind are written row by row: to stage them would take longer."""


class Groups:
    """What goes into one transaction, in its order: neighbours of one kind together, light ones apart; deletes one by one.

    Attributes:
        rows: how many it writes.
    """

    def __init__(self, items: Sequence[News | Quarantined]) -> None:
        news = [item for item in items if isinstance(item, News)]
        self.rows = sum(item.rows for item in news)
        self._groups = [(kind, list(group)) for (kind, _), group in groupby(news, key=_statement)]

    @property
    def worth_staging(self) -> bool:
        """Whether some neighbours are many enough."""
        return any(map(_is_staged, self._groups))

    def stage(self, connection: sqlite3.Connection) -> None:
        """Put the rows into temporary tables; this takes no lock of any file.

        Raises:
            sqlite3.Error: there is no memory for them.
        """
        connection.execute("BEGIN")
        try:
            cleared = set()
            for kind, group in filter(_is_staged, self._groups):
                assert kind is not None
                if kind.table not in cleared:
                    connection.execute(kind.staging_table_sql)
                    connection.execute(f'DELETE FROM temp."staged_{kind.table}"')  # noqa: S608 - a kind's own table
                    cleared.add(kind.table)
                connection.executemany(kind.stage_sql, [item.update.values for item in group])
        finally:
            connection.execute("COMMIT")

    def __iter__(self) -> Iterator[tuple[EntityType | None, list[News], int | None]]:
        """Each group: its kind (None for deletes), its updates, and the number of the first where they are staged."""
        staged: Counter[str] = Counter()
        for kind, group in self._groups:
            if kind is not None and _is_staged((kind, group)):
                yield kind, group, staged[kind.table] + 1
                staged[kind.table] += len(group)
            else:
                yield kind, group, None


def _statement(item: News) -> tuple[EntityType | None, bool]:
    """What decides on the statement that writes it."""
    return None if item.update.deleted else item.update.entity_type, item.is_light


def _is_staged(group: tuple[EntityType | None, list[News]]) -> bool:
    return group[0] is not None and len(group[1]) >= FEWEST
