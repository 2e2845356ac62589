"""`syncd resync`: what HQ has is fetched from the beginning once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.clock import SystemClock
from syncd.commands.daemon_hint import why_not_now
from syncd.commands.options import config_option
from syncd.config.settings import load_settings
from syncd.store.catalog import ENTITY_TYPES
from syncd.store.resync import request_full_pull

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@click.command("resync")
@config_option
@click.option("--type", "types", multiple=True, metavar="TYPE", help="This kind only, as HQ writes it: Product, Price, …; may be repeated.")
def command(config_file: Path | None, types: tuple[str, ...]) -> int:
    """Have everything that HQ has fetched from the beginning once more, beside what is new.

    Harmless at any time, and twice is once: what the store has already stays as it is. The running daemon begins within seconds; one that
    is stopped begins when it is connected again.

    \b
    Examples: syncd resync
              syncd resync --type Price
    """
    settings = load_settings(config_file)
    wanted = [_spelling(name, settings.sync.entity_types, settings.entities) for name in types]
    request_full_pull(settings.database, wanted, SystemClock().now())
    click.echo(f"{', '.join(wanted) or 'Everything'} will be fetched from HQ from the beginning; see `syncd status`")
    if hint := why_not_now(settings):
        click.echo(f"It begins later: {hint}", err=True)
    return 0


def _spelling(name: str, configured: Sequence[str], declared: Iterable[str]) -> str:
    """The kind as HQ is asked for it."""
    known = configured or [*(entity_type.name for entity_type in ENTITY_TYPES), *declared]
    found = next((one for one in known if one.lower() == name.lower()), None)
    if found is None and (configured or not name):
        raise click.BadParameter(f"{name!r} is not asked for: sync.entity_types has {', '.join(known)}", param_hint="--type")
    return found or name
