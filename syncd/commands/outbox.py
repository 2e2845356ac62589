"""`syncd outbox`: rows of the outbox, to be looked at, brought back or cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.commands.options import config_option
from syncd.commands.outbox_table import show_rows
from syncd.config.settings import load_settings
from syncd.store.admin import OutboxAdmin

if TYPE_CHECKING:
    from pathlib import Path


@click.group("outbox")
def command() -> None:
    """Look into the outbox, bring failed rows back, cancel rows. Works beside the running daemon, which takes notice at once.

    \b
    Examples: syncd outbox list --status failed
              syncd outbox retry --all
    """


@command.command("list", short_help="Show rows.")
@config_option
@click.option("--status", "wanted", type=click.Choice(["pending", "failed", "sent", "cancelled"]), default="pending", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_rows(config_file: Path | None, wanted: str, limit: int, *, as_json: bool) -> int:
    """Show rows without their payload: what goes out next, what failed first, what was sent last."""
    with OutboxAdmin(load_settings(config_file).database) as admin:
        show_rows(admin.rows(wanted, limit), as_json=as_json)
    return 0


@command.command("retry", short_help="Bring failed rows back.")
@config_option
@click.option("--all", "every", is_flag=True, help="All that failed.")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
def retry(config_file: Path | None, ids: tuple[int, ...], *, every: bool) -> int:
    """Bring failed rows back, with all their attempts; rows that wait for a retry go at once. IDs are those of `syncd outbox list`."""
    if every == bool(ids):
        raise click.UsageError("name the rows by their ids, or say --all")
    with OutboxAdmin(load_settings(config_file).database) as admin:
        return _changed(admin.retry(None if every else ids), None if every else len(ids), "will be sent again")


@command.command("cancel", short_help="Take rows out of the queue for good.")
@config_option
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
def cancel(config_file: Path | None, ids: tuple[int, ...]) -> int:
    """Take pending or failed rows out of the queue for good; HQ never hears of them. Rows that HQ has stay as they are."""
    with OutboxAdmin(load_settings(config_file).database) as admin:
        return _changed(admin.cancel(ids), len(ids), "cancelled")


def _changed(rows: int, asked: int | None, what: str) -> int:
    click.echo(f"{rows:,} {'row' if rows == 1 else 'rows'} {what}")
    if asked is not None and rows < asked:
        click.echo(f"{asked - rows:,} of the ids named no row that is pending or failed", err=True)
        return 1
    return 0
