"""docs/commands.md is what --help says, and every command says it with an example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from syncd.cli import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def all_commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for sub in command.commands.values():
            yield from all_commands(sub, f"{name} {sub.name}")


EVERY = [found for name in COMMANDS for found in all_commands(cli.commands[name], f"syncd {name}")]


def test_the_page_is_what_help_says() -> None:
    # In a process of its own: click keeps the --help of a command that another test has called.
    made = subprocess.run(
        [sys.executable, "-m", "tests.support.command_page"], cwd=PAGE.parents[1], capture_output=True, text=True, check=True
    )
    assert PAGE.read_text(encoding="utf-8") == made.stdout, "run ./scripts/commands-page > docs/commands.md"


@pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])
def test_every_command_and_subcommand_has_an_example(name: str, command: click.Command) -> None:
    text = command.help or ""
    assert "Example" in text
    words = name.removeprefix("syncd ")
    assert f"syncd {words}" in text or '"syncd", "healthcheck"' in text


@pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])
def test_every_option_is_explained(name: str, command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden and not isinstance(parameter.type, click.Choice):
            assert parameter.help, f"{name} {parameter.opts}"
