"""`syncd check`: looks at everything the daemon needs, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from syncd.clock import SystemClock
from syncd.commands.options import config_option
from syncd.config.settings import load_settings
from syncd.config.sources import find_file
from syncd.errors import ExitCode, HubError, SyncdError
from syncd.hub.supervisor import Hub
from syncd.hub.url import shown
from syncd.store.check import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.config.settings import Settings


RUN = Path("/run")
"""What is below it goes with every start of the PC; systemd's RuntimeDirectory= makes it anew."""


@click.command("check")
@config_option
@click.option("--hub", "ask_hub", is_flag=True, help="Connect to HQ once, too.")
def command(config_file: Path | None, *, ask_hub: bool) -> int:
    """Say what is right and what is not: configuration, database, status file, and with --hub the line to HQ.

    Changes nothing. The exit code is that of the first thing that is wrong.

    \b
    Example:  syncd check --hub
    """
    first_failure = 0
    for finding in check_all(config_file, ask_hub=ask_hub):
        click.echo(f"{click.style('ok', fg='green') if finding.code == 0 else click.style('NOT OK', fg='red', bold=True)}  {finding.text}")
        first_failure = first_failure or finding.code
    return first_failure


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        code: the exit code that it would cause; 0 where it is right.
        text: what it is, in plain words, without secrets.
    """

    text: str
    code: int = ExitCode.OK


def check_all(config_file: Path | None, *, ask_hub: bool) -> Iterator[Finding]:
    """What was found, one after the other; without a usable configuration there is nothing more to look at."""
    file, _ = find_file(config_file, os.environ)
    try:
        settings = load_settings(config_file)
    except SyncdError as error:
        yield Finding(str(error), error.exit_code)
        return
    yield Finding(f"configuration: {file if file.exists() else 'from the environment alone'}; {_summary(settings)}")
    yield _database(settings)
    yield _status_folder(settings.status.path)
    if ask_hub:
        yield asyncio.run(_hub(settings))
    else:
        yield Finding(f"hub: {shown(settings.hub.url)} (not asked; --hub connects to it)")


def _summary(settings: Settings) -> str:
    name = f" ({settings.store.name})" if settings.store.name else ""
    token = settings.hub.access_token_file
    return f"store {settings.store.id!r}{name}, {f'token from {token}' if token else 'no token'}"


def _database(settings: Settings) -> Finding:
    try:
        return Finding(f"database: {settings.database.path}; {inspect(settings)}")
    except SyncdError as error:
        return Finding(f"database: {error}", error.exit_code)


def _status_folder(path: Path) -> Finding:
    """The nearest folder that is there must let us make what is missing."""
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if folder == RUN and not path.parent.exists():
        return Finding(f"status file: {path.parent} is not there yet; the service manager makes it when it starts syncd")
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(f"status file: {path} can be written")
    return Finding(f"status file: {path} cannot be written: no permission in {folder}", ExitCode.PERMISSION)


async def _hub(settings: Settings) -> Finding:
    clock = SystemClock()
    hub = Hub(settings.hub, store_id=settings.store.id, clock=clock, random=random.Random(), log=structlog.get_logger())  # noqa: S311
    try:
        probe = await hub.try_once()
    except HubError as error:
        return Finding(f"hub: {error}", error.exit_code)
    return Finding(f"hub: {probe.hub_url} answered; connected in {probe.seconds:.2f} s")
