"""Asks before something is lost for good. Where nobody can be asked, it must have been said with --yes."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", "-y", is_flag=True, help="Do it without asking, as scripts need it.")


def confirm(what: str, *, yes: bool) -> None:
    """Go on, or end the command with words.

    Args:
        what: what is about to be done, as a question without its mark.

    Raises:
        click.UsageError: there is no terminal, and no --yes.
        click.exceptions.Exit: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what}? There is no terminal to ask on: say --yes to have it done. Nothing was changed.")
    if not click.confirm(f"{what}?", err=True):
        click.echo("Nothing was changed", err=True)
        raise click.exceptions.Exit(1)


def rows_of(number: int) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{number:,} {'row' if number == 1 else 'rows'}"
