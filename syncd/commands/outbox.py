"""`syncd outbox`: rows of the outbox, to be looked at, brought back, cancelled, or deleted where HQ has them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from syncd.commands.confirm import confirm, rows_of, yes_option
from syncd.commands.filters import chosen, filters, tell_of_more
from syncd.commands.options import config_option, json_option
from syncd.commands.outbox_table import show_row, show_rows
from syncd.config.settings import load_settings
from syncd.store.admin import STATUSES, OutboxAdmin
from syncd.store.row_filter import RowFilter

if TYPE_CHECKING:
    from pathlib import Path

UNDECIDED = ("pending", "failed")


@click.group("outbox")
def command() -> None:
    """Look into the outbox; bring failed rows back, cancel rows, delete those that HQ has. Works beside the running daemon.

    \b
    Examples: syncd outbox list --status failed --since 2d
              syncd outbox show 4711
              syncd outbox retry --all --entity Receipt
              syncd outbox cancel 4713
              syncd outbox purge --before 7d
    """


@command.command("list", short_help="Show rows.")
@config_option
@click.option("--status", "wanted", type=click.Choice(STATUSES), default="pending", show_default=True)
@filters
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows at most.")
@json_option
def list_rows(config_file: Path | None, wanted: str, limit: int, *, as_json: bool, **which: str | None) -> int:
    """Show rows without their payload: what goes out next, what failed first, what was sent last.

    \b
    Example:  syncd outbox list --status failed --entity Receipt --json
    """
    with OutboxAdmin(load_settings(config_file).database) as admin:
        rows = admin.rows(wanted, limit, RowFilter.of(**which))
    show_rows(rows, as_json=as_json)
    tell_of_more(len(rows), limit)
    return 0


@command.command("show", short_help="Show one row whole, with its payload.")
@config_option
@json_option
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
def show(config_file: Path | None, ids: tuple[int, ...], *, as_json: bool) -> int:
    """Show rows whole, with their payload; IDs are those of `syncd outbox list`. Exit code 1 where one is not there.

    \b
    Example:  syncd outbox show 4711
    """
    with OutboxAdmin(load_settings(config_file).database) as admin:
        rows = {row_id: admin.row(row_id) for row_id in ids}
    for row_id, row in rows.items():
        if row is None:
            click.echo(f"There is no row with the id {row_id}; HQ's rows leave after sync.retention_days", err=True)
        else:
            show_row(row, as_json=as_json)
    return int(None in rows.values())


@command.command("retry", short_help="Bring failed rows back.")
@config_option
@click.option("--all", "every", is_flag=True, help="All that failed, or those of them that the filters name.")
@filters
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
def retry(config_file: Path | None, ids: tuple[int, ...], *, every: bool, **which: str | None) -> int:
    """Bring failed rows back, with all their attempts; rows that wait for a retry go at once. IDs are those of `syncd outbox list`.

    \b
    Examples: syncd outbox retry 4711 4712
              syncd outbox retry --all --since 1d
    """
    wanted = chosen(ids, which, every=every)
    with OutboxAdmin(load_settings(config_file).database) as admin:
        return _changed(admin.retry(admin.ids(["failed"], wanted) if every else ids), None if every else len(ids), "will be sent again")


@command.command("cancel", short_help="Take rows out of the queue for good.")
@config_option
@click.option("--all", "every", is_flag=True, help="All with this status that the filters name.")
@click.option("--status", "status", type=click.Choice(UNDECIDED), default="failed", show_default=True, help="With --all: which rows.")
@filters
@yes_option
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
def cancel(config_file: Path | None, ids: tuple[int, ...], status: str, *, every: bool, yes: bool, **which: str | None) -> int:
    """Take pending or failed rows out of the queue for good; HQ never hears of them. Rows that HQ has stay as they are.

    Asks on a terminal. A script that names each row by its id need not say --yes; with --all it must.

    \b
    Examples: syncd outbox cancel 4713
              syncd outbox cancel --all --entity Cart/17 --status pending
    """
    wanted = chosen(ids, which, every=every)
    with OutboxAdmin(load_settings(config_file).database) as admin:
        rows = admin.ids([status], wanted) if every else list(ids)
        if every and not rows:
            click.echo("No such rows.")
            return 0
        if every or sys.stdin.isatty():
            confirm(f"Cancel {rows_of(len(rows))} for good, so that HQ never gets {'it' if len(rows) == 1 else 'them'}", yes=yes)
        return _changed(admin.cancel(rows), None if every else len(ids), "cancelled")


@command.command("purge", short_help="Delete rows that HQ has.")
@config_option
@filters
@yes_option
def purge(config_file: Path | None, *, yes: bool, **which: str | None) -> int:
    """Delete rows that HQ has before sync.retention_days does. A row that HQ has not got is never touched, whatever is asked for.

    In small pieces, so that no sale waits; a million rows may take minutes. The file keeps its size, and fills the room again.

    \b
    Examples: syncd outbox purge --before 7d
              syncd outbox purge --entity Telemetry --yes
    """
    with OutboxAdmin(load_settings(config_file).database) as admin:
        rows = admin.marked_sent(RowFilter.of(**which))
        if not rows:
            click.echo("No such rows.")
            return 0
        confirm(f"Delete {rows_of(len(rows))} that HQ has", yes=yes)
        return _changed(admin.purge(rows), None, "deleted")


def _changed(rows: int, asked: int | None, what: str) -> int:
    click.echo(f"{rows_of(rows)} {what}")
    if asked is not None and rows < asked:
        click.echo(f"{asked - rows:,} of the ids named no row that is pending or failed", err=True)
        return 1
    return 0
