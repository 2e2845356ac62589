"""`syncd pause`: nothing is sent for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.clock import SystemClock
from syncd.commands.moments import LENGTH
from syncd.commands.options import config_option
from syncd.config.settings import load_settings
from syncd.store.lock import StoreLock
from syncd.store.pause import LONGEST, pause_file, write_pause

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path


@click.command("pause")
@config_option
@click.option("--for", "length", type=LENGTH, default="30m", show_default=True, metavar="LENGTH", help="90s, 30m, 2h; 7d at most.")
def command(config_file: Path | None, length: timedelta) -> int:
    """Send nothing to HQ for a while; then, or by `syncd resume`, it goes on by itself.

    Sales go on and wait in the outbox. The connection stays, and HQ's updates (prices, products) are applied all the same. The running
    daemon takes notice within a second; what is in flight is finished first. A pause holds over a restart.

    \b
    Examples: sudo syncd pause
              sudo syncd pause --for 2h
    """
    if length > LONGEST:
        raise click.BadParameter(f"{LONGEST.days} days at most, so that no sale is forgotten here", param_hint="--for")
    database = load_settings(config_file).database
    pause = write_pause(pause_file(database.state_path), SystemClock().now(), length)
    click.echo(f"Nothing is sent to HQ until {pause.until.astimezone():%Y-%m-%d %H:%M:%S %Z}; `syncd resume` ends that earlier")
    if StoreLock(database.outbox_path).running_pid() is None:
        click.echo("syncd is not running; the pause holds when it is started", err=True)
    return 0
