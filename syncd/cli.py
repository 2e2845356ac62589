"""The command line: which commands there are. Each is a module of `syncd.commands`, loaded when it is called for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from syncd import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
COMMANDS = {
    "run": "Run the daemon.",
    "check": "Say what is right and what is not.",
    "status": "Show how the daemon is.",
    "healthcheck": "Exit 1 where a restart may help.",
    "why": "Tell the story of one sale, price or product.",
    "outbox": "Look into the outbox; bring failed rows back.",
    "quarantine": "Look at what could not be applied.",
    "pause": "Send nothing for a while.",
    "resume": "End a pause.",
    "drain": "Wait until HQ has everything; certify it.",
    "resync": "Fetch everything from HQ once more.",
    "support-bundle": "Put what support needs into one archive.",
    "demo": "Show it all on this machine.",
    "devhub": "Run a small HQ for development.",
}
"""Every command and its line in the overview; `syncd.commands.NAME` has it as `command`."""


class Commands(Mapping[str, click.Command]):
    """Loads a command's module when that command is asked for, so that `syncd healthcheck` starts in a moment."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        command = importlib.import_module(f"syncd.commands.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(click.Group):
    """Gives the overview without loading a single command."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """See `click.Group.format_commands`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, commands=Commands(), context_settings=CONTEXT)
@click.version_option(__version__, "--version", message="syncd %(version)s")
def cli() -> None:
    """Keep a store's SQLite database and its headquarters' SignalR hub in step, whatever the line does.

    \b
    Try it on this machine, without an HQ:   syncd demo
    Check a configuration, then run it:      syncd check --hub && syncd run
    See how the daemon is:                   syncd status
    """
