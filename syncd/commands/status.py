"""`syncd status`: how the daemon is."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from syncd.commands.healthcheck import locate
from syncd.commands.options import config_option, status_file_option
from syncd.status.display import display_of_stdout, paint, screen
from syncd.status.reader import DEFAULT_STATUS_FILE, NOBODY_WRITES, read_health
from syncd.status.screen import reasons

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.status.reader import DaemonHealth


@click.command("status")
@config_option
@status_file_option
@click.option("--json", "as_json", is_flag=True, help="For programs: the status file as it is, and the verdict on it.")
@click.option("--watch", "watches", is_flag=True, help="Again and again, until Ctrl-C; into a pipe, a line for each change.")
def command(config_file: Path | None, status_file: Path | None, *, as_json: bool, watches: bool) -> int:
    """Show how the daemon is, and what to do where something is wrong.

    Exit code 0: healthy, or a warning. 1: degraded or critical. 2: nobody writes the status file, so that the daemon hangs or is not there.

    \b
    Examples: syncd status
              syncd status --watch
              syncd status --json | jq .outbox.pending.total
    """
    if as_json and watches:
        raise click.UsageError("--json and --watch exclude each other")
    file = locate(status_file, config_file)
    daemon = look(file, config_file)
    try:
        if watches:
            from syncd.commands.status_watch import watch  # noqa: PLC0415  (rich costs start time)

            return watch(lambda: look(file, config_file))
        if as_json:
            steps = [reason.next_step for reason in reasons(daemon)]
            answer = {**(daemon.document or {}), "verdict": daemon.health, "reasons": daemon.reasons, "nextSteps": steps}
            click.echo(json.dumps(answer, indent=2))
        else:
            show(daemon)
        sys.stdout.flush()
    except BrokenPipeError:  # `syncd status | head -1`: the exit code is the daemon's state all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return daemon.exit_code


def look(file: Path, config_file: Path | None) -> DaemonHealth:
    """How the daemon is, and why the service that writes this file does not run, where systemd knows."""
    daemon = read_health(file)
    if daemon.exit_code != NOBODY_WRITES:
        return daemon
    from syncd.commands.service import UNIT, last_exit, unit_of  # noqa: PLC0415  (costs start time)

    unit = unit_of(config_file)
    why = last_exit(unit) if file == DEFAULT_STATUS_FILE or unit != UNIT else None
    return daemon._replace(reasons=(*daemon.reasons, why)) if why else daemon


def show(daemon: DaemonHealth) -> None:
    """Print it for a person."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # HQ's words, on a terminal that has not all letters
    display = display_of_stdout()
    for line in screen(daemon, display):
        click.echo(paint(line, display), color=True)
