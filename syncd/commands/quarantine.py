"""`syncd quarantine`: what HQ sent and could not be applied, to be looked at, applied once more or dropped."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from syncd.commands.confirm import confirm, yes_option
from syncd.commands.filters import chosen, filters, tell_of_more
from syncd.commands.moments import LENGTH
from syncd.commands.options import config_option, json_option
from syncd.commands.outbox_table import printable
from syncd.commands.replay_wait import replayed
from syncd.config.settings import load_settings
from syncd.console import people_console
from syncd.store.quarantine_admin import QuarantineAdmin
from syncd.store.row_filter import RowFilter

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from syncd.store.quarantine_admin import QuarantinedUpdate


@click.group("quarantine")
def command() -> None:
    """Look into the quarantine: what HQ sent and could not be applied, with the reason. Works beside the running daemon.

    \b
    Examples: syncd quarantine list --since 1d
              syncd quarantine show 12
              syncd quarantine replay 12
              syncd quarantine drop 12
    """


@command.command("list", short_help="Show entries.")
@config_option
@filters
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Entries at most.")
@json_option
def list_entries(config_file: Path | None, limit: int, *, as_json: bool, **which: str | None) -> int:
    """Show entries without what HQ sent: when it came last, what it is about, and why it could not be applied.

    \b
    Example:  syncd quarantine list --entity Price --json
    """
    with QuarantineAdmin(load_settings(config_file).database) as admin:
        entries = admin.entries(RowFilter.of(**which), limit)
    if as_json:
        for entry in entries:
            click.echo(json.dumps({name: value for name, value in asdict(entry).items() if name != "raw"}))
        return 0
    table = Table("id", "received", "method", "entity", "correlation id", "reason")
    for entry in entries:
        cells = (str(entry.id), entry.received_at, entry.method, _entity(entry), entry.correlation_id or "", entry.reason)
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in cells))
    people_console().print(table if entries else "No such entries.")
    tell_of_more(len(entries), limit)
    return 0


@command.command("show", short_help="Show one entry whole, as HQ sent it.")
@config_option
@json_option
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
def show(config_file: Path | None, ids: tuple[int, ...], *, as_json: bool) -> int:
    """Show entries whole, with what HQ sent; IDs are those of `syncd quarantine list`. Exit code 1 where one is not there.

    \b
    Example:  syncd quarantine show 12
    """
    with QuarantineAdmin(load_settings(config_file).database) as admin:
        entries = {entry.id: entry for entry in admin.entries() if entry.id in ids}
    for entry_id in ids:
        if entry_id not in entries:
            click.echo(f"There is no entry with the id {entry_id}", err=True)
        elif as_json:
            click.echo(json.dumps(asdict(entries[entry_id])))
        else:
            _show(entries[entry_id])
    return int(any(entry_id not in entries for entry_id in ids))


@command.command("replay", short_help="Apply entries once more.")
@config_option
@click.option("--all", "every", is_flag=True, help="All, or those that the filters name.")
@filters
@click.option("--timeout", type=LENGTH, default="15s", show_default=True, metavar="LENGTH", help="How long to wait for the daemon.")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
def replay(config_file: Path | None, ids: tuple[int, ...], timeout: timedelta, *, every: bool, **which: str | None) -> int:
    """Have entries applied once more, after what was in the way is mended: a trigger of the POS, a kind that was not declared.

    Harmless: what is newer in the store stays, and the entry is superseded. What is applied or superseded leaves the quarantine, and HQ is
    told; what is refused again stays with its reason, and the exit code is 1. The running daemon does it at once, with or without a line;
    one that is stopped does it at its start.

    \b
    Examples: syncd quarantine replay 12 13
              syncd quarantine replay --all --entity Price
    """
    wanted = chosen(ids, which, every=every)
    settings = load_settings(config_file)
    with QuarantineAdmin(settings.database) as admin:
        entries = {entry.id: entry for entry in admin.entries(wanted) if every or entry.id in ids}
    missing = [] if every else [str(entry_id) for entry_id in ids if entry_id not in entries]
    if missing:
        click.echo(f"There is no entry with the id {', '.join(missing)}", err=True)
    if not entries:
        click.echo("No such entries.")
        return int(bool(missing))
    outcomes = replayed(settings, list(entries), timeout.total_seconds())
    for outcome in outcomes:
        entry, words = entries[outcome.quarantine_id], f": {printable(outcome.reason)}" if outcome.reason else ""
        click.echo(f"{entry.id}  {printable(_entity(entry) or entry.method)}  {outcome.outcome or 'not yet'}{words}")
    if any(outcome.outcome is None for outcome in outcomes):
        click.echo("syncd does the rest as soon as it runs and can write the database; see `syncd status`", err=True)
    return int(bool(missing) or any(outcome.outcome not in (None, "applied", "superseded") for outcome in outcomes))


@command.command("drop", short_help="Delete entries for good.")
@config_option
@click.option("--all", "every", is_flag=True, help="All, or those that the filters name.")
@filters
@yes_option
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
def drop(config_file: Path | None, ids: tuple[int, ...], *, every: bool, yes: bool, **which: str | None) -> int:
    """Delete entries for good. They leave by themselves after sync.retention_days, too.

    \b
    Examples: syncd quarantine drop 12 13
              syncd quarantine drop --all --before 7d
    """
    wanted = chosen(ids, which, every=every)
    with QuarantineAdmin(load_settings(config_file).database) as admin:
        rows = [entry.id for entry in admin.entries(wanted) if every or entry.id in ids]
        missing = [] if every else [str(entry_id) for entry_id in ids if entry_id not in rows]
        if missing:
            click.echo(f"There is no entry with the id {', '.join(missing)}", err=True)
        if rows:
            confirm(f"Delete {entries_of(len(rows))} of what HQ sent", yes=yes)
        click.echo(f"{entries_of(admin.drop(rows))} deleted" if rows else "No such entries.")
    return int(bool(missing))


def entries_of(number: int) -> str:
    """`1 entry`, `1,234 entries`."""
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def _entity(entry: QuarantinedUpdate) -> str:
    return " ".join(part for part in (entry.entity_type, entry.entity_id) if part)


def _show(entry: QuarantinedUpdate) -> None:
    for name, value in asdict(entry).items():
        if value is not None:
            click.echo(f"{name.replace('_', ' '):16}{printable(str(value))}")
    click.echo()
