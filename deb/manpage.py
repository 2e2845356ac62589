"""Writes syncd(1): the command line's own help, as man shows it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from syncd import __version__
from syncd.cli import cli
from syncd.commands.service import EXITS, FIRST_OF_SYSTEMD

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_EXITS = {0: "stopped as asked", 69: "HQ does not answer, or refuses us (check --hub)", 70: "a bug"}
FILES = {
    "/etc/syncd/syncd.toml": "the configuration; every key is in it, with its default and a line on why",
    "/etc/syncd/NAME.toml": "the configuration of syncd@NAME, where a PC has several stores or tills",
    "/var/lib/syncd": "the store's database, shared with the till by the group syncd, and syncd's own file beside it",
    "/run/syncd/status.json": "how the daemon is, written by it all the time; syncd status shows it",
}


def main() -> None:
    """Print the page."""
    print("\n".join(page()))


def page() -> Iterator[str]:
    """The page, line by line."""
    about, *rest = _paragraphs(cli)
    yield f'.TH SYNCD 1 "" "syncd {__version__}" "syncd"'
    yield ".SH NAME"
    yield f"syncd \\- {_plain(about[0].lower() + about[1:].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".B syncd"
    yield "[OPTIONS] COMMAND [ARGS]..."
    yield ".SH DESCRIPTION"
    yield from _text([about, *rest])
    yield ".SH OPTIONS"
    yield from _options(cli, _context(cli, None))
    yield ".SH COMMANDS"
    yield from _commands(cli, _context(cli, None))
    yield ".SH EXIT STATUS"
    yield from _definitions({str(code): words for code, words in sorted({**OTHER_EXITS, **EXITS}.items()) if code < FIRST_OF_SYSTEMD})
    yield ".SH FILES"
    yield from _definitions(FILES)
    yield ".SH SEE ALSO"
    yield ".BR systemctl (1),"
    yield ".BR journalctl (1);"
    yield "/usr/share/doc/syncd"


def _commands(group: click.Group, above: click.Context) -> Iterator[str]:
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None or command.hidden:
            continue
        context = _context(command, above, name)
        yield f'.SS "{_plain(" ".join([context.command_path, *command.collect_usage_pieces(context)]))}"'
        yield from _text(_paragraphs(command))
        yield from _options(command, context)
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def _context(command: click.Command, above: click.Context | None, name: str = "syncd") -> click.Context:
    return click.Context(command, above, name, **command.context_settings)


def _paragraphs(command: click.Command) -> list[str]:
    """Those of its help; one that keeps its lines begins with click's mark for that, a backspace."""
    return inspect.cleandoc(command.help or "").split("\n\n")


def _text(paragraphs: list[str]) -> Iterator[str]:
    for text in paragraphs:
        yield ".PP"
        if text.startswith("\b"):
            yield from [".nf", *map(_plain, text.removeprefix("\b\n").splitlines()), ".fi"]
        else:
            yield _plain(" ".join(text.split()))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """What it takes; --help is told once, and an argument without a line of its own is in the usage."""
    told = command.params if context.parent else command.get_params(context)
    yield from _definitions({record[0]: record[1] for parameter in told if (record := parameter.get_help_record(context)) and record[1]})


def _definitions(terms: dict[str, str]) -> Iterator[str]:
    for term, meaning in terms.items():
        yield from [".TP", f".B {_plain(term)}", _plain(" ".join(meaning.split()))]


def _plain(text: str) -> str:
    """Text that roff takes for nothing else."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    main()
