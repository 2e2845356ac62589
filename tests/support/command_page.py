"""Writes docs/commands.md from `--help`: `./scripts/commands-page` prints it, and a test compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.cli import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 100
HEAD = """\
# The commands

Made from `--help` by `./scripts/commands-page > docs/commands.md`; what to do when something is wrong is in [trouble](trouble.md).

All of them work beside the running daemon, and those that look into the store without it too. What cannot be undone asks
first; a script, which has no terminal, says `--yes`. What is for programs comes by `--json`. Times without a zone are this PC's.

Exit codes are the daemon's: 0 done · 64 wrong usage · 69 HQ does not answer (`check --hub`) · 70 a bug · 74 the disk or a
database cannot be used (none there yet, locked, full, read-only, damaged) · 75 another instance · 77 no permission ·
78 configuration. Where a command answers a question, 1 is no: `status` (2: nobody is there), `healthcheck`, `drain`, and ids
that name nothing.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD, "| command | |", "|---|---|"]
    lines += [f"| [`syncd {name}`](#syncd-{name}) | {words} |" for name, words in COMMANDS.items()]
    for name in COMMANDS:
        lines += ["", *_sections(cli.commands[name], f"syncd {name}", 2)]
    return "\n".join(lines) + "\n"


def _sections(command: click.Command, name: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=["-h", "--help"])
    yield f"{'#' * level} {name}"
    yield ""
    yield "```text"
    yield "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield "```"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            yield ""
            yield from _sections(command.commands[sub], f"{name} {sub}", level + 1)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
