"""`syncd healthcheck`: for supervisors. `__main__` answers its plain forms without coming here (`status/healthcheck.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.commands.options import config_option, status_file_option
from syncd.errors import ConfigurationError
from syncd.status.healthcheck import verdict
from syncd.status.reader import find_status_file

if TYPE_CHECKING:
    from pathlib import Path


@click.command("healthcheck")
@config_option
@status_file_option
def command(config_file: Path | None, status_file: Path | None) -> int:
    """Exit 0 while the daemon works and 1 where a restart may help: for containers and supervisors.

    A store without a line to HQ is not unhealthy: no restart mends a line, and nothing is lost meanwhile.

    \b
    Example:  HEALTHCHECK CMD ["syncd", "healthcheck"]
    """
    code, text = verdict(locate(status_file, config_file))
    click.echo(text)
    return code


def locate(status_file: Path | None, config_file: Path | None) -> Path:
    """Where the status file is.

    Raises:
        ConfigurationError: a configuration file that was named cannot be read.
    """
    try:
        return find_status_file(status_file, config_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the configuration file cannot be read ({error}); --file names the status file itself") from error
