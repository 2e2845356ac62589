"""`syncd status`: how the daemon is."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from syncd.commands.healthcheck import locate
from syncd.commands.options import config_option, status_file_option
from syncd.status.paper import paint, paper_of_stdout, screen
from syncd.status.reader import DEFAULT_STATUS_FILE, NOBODY_WRITES, read_health

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.status.reader import DaemonHealth


@click.command("status")
@config_option
@status_file_option
@click.option("--json", "as_json", is_flag=True, help="For programs: the status file as it is, and the verdict on it.")
def command(config_file: Path | None, status_file: Path | None, *, as_json: bool) -> int:
    """Show how the daemon is.

    Exit code 0: healthy, or a warning. 1: degraded or critical. 2: nobody writes the status file, so that the daemon hangs or is not there.

    \b
    Examples: syncd status
              syncd status --json | jq .outbox.pending.total
    """
    file = locate(status_file, config_file)
    daemon = read_health(file)
    if daemon.exit_code == NOBODY_WRITES and file == DEFAULT_STATUS_FILE:
        daemon = with_last_exit(daemon)
    try:
        if as_json:
            click.echo(json.dumps({**(daemon.document or {}), "verdict": daemon.health, "reasons": daemon.reasons}, indent=2))
        else:
            show(daemon)
        sys.stdout.flush()
    except BrokenPipeError:  # `syncd status | head -1`: the exit code is the daemon's state all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return daemon.exit_code


def with_last_exit(daemon: DaemonHealth) -> DaemonHealth:
    """With why the service does not run, where systemd knows."""
    from syncd.commands.service import last_exit  # noqa: PLC0415  (costs start time)

    why = last_exit()
    return daemon._replace(reasons=(*daemon.reasons, why)) if why else daemon


def show(daemon: DaemonHealth) -> None:
    """Print it for a person."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # HQ's words, on a terminal that has not all letters
    paper = paper_of_stdout()
    for line in screen(daemon, paper):
        click.echo(paint(line, paper), color=True)
