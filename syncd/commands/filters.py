"""Options that say which rows or entries a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from syncd.commands.moments import MOMENT
from syncd.store.row_filter import RowFilter

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., object]")


def filters(function: Function) -> Function:
    """Add `--entity`, `--since` and `--before`; the function gets their texts under these names."""
    for option in (
        click.option("--before", type=MOMENT, metavar="WHEN", help="Written earlier: 7d (ago), or 2026-11-24."),
        click.option("--since", type=MOMENT, metavar="WHEN", help="Written since then: 2h (ago), 7d, 2026-11-24T09:30."),
        click.option("--entity", metavar="TYPE[/ID]", help="Of this type, or of this one entity: Receipt, Receipt/1042."),
    ):
        function = option(function)
    return function


def chosen(ids: tuple[int, ...], texts: dict[str, str | None], *, every: bool) -> RowFilter:
    """For a command that takes either ids or --all, and filters with --all only.

    Raises:
        click.UsageError: it was called otherwise.
    """
    wanted = RowFilter.of(**texts)
    if every == bool(ids):
        raise click.UsageError("name them by their ids, or say --all")
    if ids and wanted:
        raise click.UsageError("filters go with --all, not with ids")
    return wanted


def tell_of_more(shown: int, limit: int) -> None:
    """Where a list was cut, somebody should know; on standard error, so that a program does not read it."""
    if shown == limit:
        click.echo(f"These are the first {limit:,}; --limit shows more", err=True)
