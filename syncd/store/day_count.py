"""How many today, in the store's own time zone, over restarts: the table `total` of syncd's own file keeps it for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from syncd.clock import Clock


class DayCount:
    """Counts one thing from midnight to midnight.

    Args:
        name: of what is counted; its entry is `NAME 2026-11-24`.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._day = ""
        self._count = 0

    @property
    def count(self) -> int:
        """Today's."""
        return self._count if self._day == self.today() else 0

    def today(self) -> str:
        """The date on the store's calendar: a shop's day does not begin at midnight UTC."""
        return self._clock.now().astimezone().date().isoformat()

    def read(self, connection: sqlite3.Connection) -> None:
        """Take up today's count where the last run left it."""
        day = self.today()
        row = connection.execute("SELECT value FROM total WHERE name = ?", (f"{self._name} {day}",)).fetchone()
        self._day, self._count = day, int(row[0]) if row else 0

    def write(self, connection: sqlite3.Connection, day: str, number: int) -> None:
        """Add so many within the caller's transaction; the entries of other days go."""
        name = f"{self._name} {day}"
        connection.execute(
            "INSERT INTO total (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value", (name, number)
        )
        connection.execute("DELETE FROM total WHERE name GLOB ? AND name <> ?", (f"{self._name} [0-9]*", name))

    def counted(self, day: str, number: int) -> None:
        """What was written is durable."""
        if day != self._day:
            self._day, self._count = day, 0
        self._count += number
