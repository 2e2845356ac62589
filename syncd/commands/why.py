"""`syncd why`: the story of one sale from the till to HQ, or of one product or price from HQ to the till."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from syncd.clock import SystemClock
from syncd.commands.options import config_option, status_file_option
from syncd.commands.why_story import nothing_found, story_of_row, story_of_updates
from syncd.config.settings import load_settings
from syncd.status.reader import read_health
from syncd.store.catalog import catalog_of
from syncd.store.row_history import Found, RowHistories
from syncd.store.update_history import UpdateHistories, UpdateHistory

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.config.settings import Settings

NOT_FOUND = 1


@click.command("why")
@config_option
@status_file_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("what", metavar="ID|CORRELATION_ID|ENTITY")
def command(config_file: Path | None, status_file: Path | None, what: str, *, as_json: bool) -> int:
    """Tell the story of one sale from the till to HQ, or of one price or product from HQ to the till.

    ID is a row of the outbox, as `syncd outbox list` shows it, and ENTITY is a type and an id, such as Receipt/17 or Price/4711. It reads
    only, and works beside the daemon and without it. Exit code 1: there is nothing of that name.

    \b
    Examples: syncd why 4711
              syncd why 5b0c8f9e-6a0f-4d0b-9a57-0f6a4f0f3a11
              syncd why Receipt/17
              syncd why Price/4711
    """
    settings = load_settings(config_file)
    rows, updates = find(settings, what.strip())
    daemon = read_health(status_file or settings.status.path)
    now = SystemClock().now()
    stories = [story_of_row(row, daemon, now, hold_on_failure=settings.sync.hold_entity_on_failure) for row in rows.rows]
    if as_json:
        click.echo(json.dumps(_document(what, rows, updates, stories), indent=2, default=str))
    else:
        for story in stories:
            click.echo("\n".join([*story, ""]))
        if updates:
            click.echo("\n".join([*story_of_updates(updates, now), ""]))
        if rows.looked_back_to is not None:
            older = f"Rows written before {rows.looked_back_to}" if rows.looked_back_to else "Older rows"
            click.echo(f"{older} that wait no more were not looked at, for want of time: ask for one by its id.")
        if not (stories or updates):
            click.echo("\n".join(nothing_found(what, rows, settings.sync.retention_days)))
    return 0 if stories or updates else NOT_FOUND


def find(settings: Settings, what: str) -> tuple[Found, UpdateHistory]:
    """What goes to HQ by that name, and what has come from there."""
    histories, updates = RowHistories(settings.database), UpdateHistories(settings.database, catalog_of(settings.entities))
    entity_type, slash, rest = what.partition("/")
    if slash and entity_type and rest:
        return histories.by_entity(entity_type, rest), updates.of_entity(entity_type, rest.split("/"))
    if what.isascii() and what.removeprefix("-").isdigit() and len(what) < 20:
        found = histories.by_id(int(what))
        if found.rows:
            return found, UpdateHistory()
    return histories.by_correlation_id(what), updates.of_correlation_id(what)


def _document(what: str, rows: Found, updates: UpdateHistory, stories: list[list[str]]) -> dict[str, Any]:
    return {
        "asked": what,
        "rows": [asdict(row) | {"story": story} for row, story in zip(rows.rows, stories, strict=True)],
        "looked_back_to": rows.looked_back_to,
        "updates": asdict(updates) if updates else None,
    }
