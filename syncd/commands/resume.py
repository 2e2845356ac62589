"""`syncd resume`: ends a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.commands.options import config_option
from syncd.config.settings import load_settings
from syncd.store.lock import StoreLock
from syncd.store.pause import pause_file, remove_pause

if TYPE_CHECKING:
    from pathlib import Path


@click.command("resume")
@config_option
def command(config_file: Path | None) -> int:
    """End a pause: what waits is sent, within a second. Harmless where there is none.

    \b
    Example:  sudo syncd resume
    """
    database = load_settings(config_file).database
    if not remove_pause(pause_file(database.state_path)):
        click.echo("There is no pause")
        return 0
    running = StoreLock(database.outbox_path).running_pid() is not None
    click.echo("The pause is over" + ("" if running else "; syncd is not running: what waits is sent once it is started"))
    return 0
