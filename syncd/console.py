"""What a command shows to a person: on a terminal of any width, or into a pipe whose reader may leave early."""

from __future__ import annotations

import os

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160


class PeopleConsole(Console):
    """A console that raises for a broken pipe; rich alone would exit with 1, which means "degraded" here."""

    def on_broken_pipe(self) -> None:
        """See `rich.console.Console.on_broken_pipe`.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


def people_console() -> PeopleConsole:
    """As wide as the terminal; as wide as `COLUMNS` says, or wide enough, where there is none."""
    console = PeopleConsole(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        return PeopleConsole(highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    return console
