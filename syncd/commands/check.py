"""`syncd check`: looks at everything the daemon needs, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from syncd.clock import SystemClock
from syncd.commands.db_check import check_databases, check_disks
from syncd.commands.findings import Finding, readable_by_others, rights
from syncd.commands.options import config_option
from syncd.commands.service import EXITS, FIRST_OF_SYSTEMD, installed_service, unit_of
from syncd.commands.till_check import check_till
from syncd.config.hub_url import shown
from syncd.config.settings import load_settings
from syncd.config.sources import CONTAINER_SECRETS, find_file
from syncd.errors import ExitCode, HubError, SyncdError
from syncd.hub.supervisor import Hub
from syncd.store.check import inspect
from syncd.users import user_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from syncd.commands.service import Service
    from syncd.config.settings import Settings


RUN = Path("/run")
"""What is below it goes with every start of the PC; systemd's RuntimeDirectory= makes it anew."""


@click.command("check")
@config_option
@click.option("--hub", "ask_hub", is_flag=True, help="Connect to HQ once, too.")
@click.option("--db", "look_at_files", is_flag=True, help="Look at every database file, and at the disk that it is on.")
@click.option(
    "--as-it-is", is_flag=True, hidden=True, help="With the rights of this process; what `check` as root calls within the service."
)
def command(config_file: Path | None, *, ask_hub: bool, look_at_files: bool, as_it_is: bool) -> int:
    """Say what is right and what is not: configuration, database, status file.

    With --db also every database file and its disk, with --hub the line to HQ.

    As root, on a PC where syncd is a service, it looks with that service's rights, credentials and paths; as any other user than the
    service's it looks at what a till needs. Changes nothing. The exit code is that of the first thing that is wrong.

    \b
    Examples: sudo syncd check --hub
              sudo syncd check --db
    """
    service = None if as_it_is else installed_service(unit_of(config_file))
    if service is None or (config_file or service.config_file) != service.config_file:
        return _tell(check_all(config_file, ask_hub=ask_hub, look_at_files=look_at_files))
    me = user_name(os.geteuid())
    if me == service.user:
        return _tell(_with_a_hint(check_all(service.config_file, ask_hub=ask_hub, look_at_files=look_at_files), service.user))
    if os.geteuid() != 0:
        return _tell(check_till(service.config_file, service.user))
    wrong = _tell(check_credentials(service))
    environ = {name: os.environ[name] for name in ("NO_COLOR", "TERM", "LANG") if name in os.environ}
    options = [
        *(["--config", str(service.config_file)] if service.config_file else []),
        *(["--hub"] if ask_hub else []),
        *(["--db"] if look_at_files else []),
    ]
    code = service.run("check", "--as-it-is", *options, environ=environ)
    if code >= FIRST_OF_SYSTEMD and code in EXITS:
        wrong = _tell([Finding(f"{service.unit} would not start: {EXITS[code]} ({code})", code)]) or wrong
    return wrong or code


def _tell(findings: Iterable[Finding]) -> int:
    """Print them as they are found; the first exit code that is not 0."""
    first_failure = 0
    colours = False if os.environ.get("NO_COLOR") else None
    for finding in findings:
        word, colour = ("NOT OK", "red") if finding.code else ("WARNING", "yellow") if finding.warning else ("ok", "green")
        click.echo(f"{click.style(word, fg=colour, bold=word != 'ok')}  {finding.text}", color=colours)
        first_failure = first_failure or finding.code
    return first_failure


def check_all(config_file: Path | None, *, ask_hub: bool, look_at_files: bool = False) -> Iterator[Finding]:
    """What the daemon needs, one after the other; without a usable configuration there is nothing more to look at."""
    yield Finding(f"rights: {rights()}")
    file, _ = find_file(config_file, os.environ)
    try:
        settings = load_settings(config_file)
    except SyncdError as error:
        yield Finding(str(error), error.exit_code)
        return
    yield Finding(f"configuration: {file if file.exists() else 'from the environment alone'}; {_summary(settings)}")
    yield from _secrets(settings)
    wrong = _database(settings)
    yield wrong
    if look_at_files:
        yield from check_databases(settings.database)
    elif not wrong.code:
        yield from (finding for finding in check_disks(settings.database) if finding.code)
    yield _can_be_written(settings.status.path, "status file")
    if settings.metrics.file is not None:
        yield _can_be_written(settings.metrics.file, "metrics file", makes_folder=False)
    if ask_hub:
        yield asyncio.run(_hub(settings))
    else:
        yield Finding(f"hub: {shown(settings.hub.url)} (not asked; --hub connects to it)")


def _with_a_hint(findings: Iterator[Finding], user: str) -> Iterator[Finding]:
    yield from findings
    yield Finding(f"looked with the rights of {user} alone; `sudo syncd check` adds what the unit adds: credentials, groups, paths")


def check_credentials(service: Service) -> Iterator[Finding]:
    """The files that systemd reads as root, for the service alone."""
    for line in service.settings:
        key, _, value = line.partition("=")
        path = Path(value.partition(":")[2])
        if key == "LoadCredential" and path.is_absolute() and path.exists() and (open_to := readable_by_others(path)):
            yield Finding(f"credential: {path} {open_to}: chmod 600 {path}", warning=True)


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Secrets that others may read. What a service manager hands over is readable by the service alone."""
    handed_over = tuple(Path(folder) for folder in (os.environ.get("CREDENTIALS_DIRECTORY"), CONTAINER_SECRETS) if folder)
    for path in (settings.hub.access_token_file, settings.hub.client_key_file, settings.hub.proxy_file):
        if path is not None and path.parent not in handed_over and (open_to := readable_by_others(path)):
            yield Finding(f"secret: {path} {open_to}: chown {user_name(os.geteuid())} {path}; chmod 400 {path}", warning=True)


def _summary(settings: Settings) -> str:
    name = f" ({settings.store.name})" if settings.store.name else ""
    token = settings.hub.access_token_file
    return f"store {settings.store.id!r}{name}, {f'token from {token}' if token else 'no token'}"


def _database(settings: Settings) -> Finding:
    try:
        return Finding(f"database: {settings.database.path}; {inspect(settings)}")
    except SyncdError as error:
        return Finding(f"database: {error}", error.exit_code)


def _can_be_written(path: Path, what: str, *, makes_folder: bool = True) -> Finding:
    """The nearest folder that is there must let us make what is missing."""
    folder = path.parent
    if not folder.exists() and not makes_folder:
        return Finding(f"{what}: {path} cannot be written: there is no folder {folder}", ExitCode.IO)
    while not folder.exists():
        folder = folder.parent
    if folder == RUN and not path.parent.exists():
        return Finding(f"{what}: {path.parent} is not there yet; the service manager makes it when it starts syncd")
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(f"{what}: {path} can be written")
    return Finding(f"{what}: {path} cannot be written: no permission in {folder}", ExitCode.PERMISSION)


async def _hub(settings: Settings) -> Finding:
    clock = SystemClock()
    hub = Hub(settings.hub, store_id=settings.store.id, clock=clock, random=random.Random(), log=structlog.get_logger())  # noqa: S311
    try:
        probe = await hub.try_once()
    except HubError as error:
        return Finding(f"hub: {error}", error.exit_code)
    return Finding(f"hub: {probe.hub_url} answered; connected in {probe.seconds:.2f} s")
