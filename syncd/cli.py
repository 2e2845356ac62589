"""The command line. What a command needs is imported inside it, so that `syncd healthcheck` starts in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from syncd import __version__
from syncd.status.reader import find_status_file, judge

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FILE = click.Path(path_type=Path)
HEALTHCHECK_FAILS = frozenset({"critical", "stale", "missing"})
"""What a restart may mend. A rejected token or a hub that lacks its methods is `degraded`: a restart changes nothing about that."""

config_option = click.option(
    "--config", "-c", "config_file", type=FILE, metavar="FILE", help="Configuration; else $SYNCD_CONFIG, else /etc/syncd/syncd.toml."
)
status_file_option = click.option("--file", "status_file", type=FILE, metavar="FILE", help="The status file, wherever it is.")


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "--version", message="syncd %(version)s")
def cli() -> None:
    """Keep a store's SQLite database and its headquarters' SignalR hub in step, whatever the line does.

    \b
    Try it on this machine, without an HQ:   syncd demo
    Check a configuration, then run it:      syncd check --hub && syncd run
    See how the daemon is:                   syncd status
    """


@cli.command(short_help="Run the daemon.")
@config_option
def run(config_file: Path | None) -> int:
    """Run the daemon until it is told to stop.

    SIGTERM and SIGINT stop it after what is in flight, a second one at once; SIGHUP reads the configuration again.

    \b
    Example:  syncd run --config /etc/syncd/syncd.toml
    """
    import asyncio  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    from syncd.clock import SystemClock  # noqa: PLC0415
    from syncd.config.settings import load_settings  # noqa: PLC0415

    settings = load_settings(config_file)

    from syncd import daemon  # noqa: PLC0415  (a bad configuration is refused before the rest is loaded)
    from syncd.log import set_up_logging  # noqa: PLC0415

    set_up_logging(settings.log, SystemClock())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(daemon.run(settings, config_file))


@cli.command(short_help="Say what is right and what is not.")
@config_option
@click.option("--hub", "ask_hub", is_flag=True, help="Connect to HQ once, too.")
def check(config_file: Path | None, *, ask_hub: bool) -> int:
    """Say what is right and what is not: configuration, database, status file, and with --hub the line to HQ.

    Changes nothing. The exit code is that of the first thing that is wrong.

    \b
    Example:  syncd check --hub
    """
    from syncd.commands.check import check_all  # noqa: PLC0415

    first_failure = 0
    for finding in check_all(config_file, ask_hub=ask_hub):
        click.echo(f"{click.style('ok', fg='green') if finding.code == 0 else click.style('NOT OK', fg='red', bold=True)}  {finding.text}")
        first_failure = first_failure or finding.code
    return first_failure


@cli.command(short_help="Show how the daemon is.")
@config_option
@status_file_option
@click.option("--json", "as_json", is_flag=True, help="For programs: the status file as it is, and the verdict on it.")
def status(config_file: Path | None, status_file: Path | None, *, as_json: bool) -> int:
    """Show how the daemon is.

    Exit code 0: healthy, or a warning. 1: degraded or critical. 2: nobody writes the status file, so that the daemon hangs or is not there.

    \b
    Examples: syncd status
              syncd status --json | jq .outbox.pending.total
    """
    verdict = judge(_status_file(status_file, config_file))
    if as_json:
        import json  # noqa: PLC0415

        click.echo(json.dumps({**(verdict.document or {}), "verdict": verdict.word, "reasons": verdict.reasons}, indent=2))
        return verdict.exit_code
    from syncd.status.table import show  # noqa: PLC0415

    show(verdict)
    return verdict.exit_code


@cli.command(short_help="Exit 1 where a restart may help.")
@config_option
@status_file_option
def healthcheck(config_file: Path | None, status_file: Path | None) -> int:
    """Exit 0 while the daemon works and 1 where a restart may help: for containers and supervisors.

    A store without a line to HQ is not unhealthy: no restart mends a line, and nothing is lost meanwhile.

    \b
    Example:  HEALTHCHECK CMD ["syncd", "healthcheck"]
    """
    verdict = judge(_status_file(status_file, config_file))
    click.echo("; ".join([verdict.word, *verdict.reasons]))
    return int(verdict.word in HEALTHCHECK_FAILS)


@cli.group(short_help="Look into the outbox; bring failed rows back.")
def outbox() -> None:
    """Look into the outbox, bring failed rows back, cancel rows. Works beside the running daemon, which takes notice at once.

    \b
    Examples: syncd outbox list --status failed
              syncd outbox retry --all
    """


@outbox.command("list", short_help="Show rows.")
@config_option
@click.option("--status", "wanted", type=click.Choice(["pending", "failed", "sent", "cancelled"]), default="pending", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def outbox_list(config_file: Path | None, wanted: str, limit: int, *, as_json: bool) -> int:
    """Show rows without their payload: what goes out next, what failed first, what was sent last."""
    from syncd.commands.outbox_table import show_rows  # noqa: PLC0415
    from syncd.config.settings import load_settings  # noqa: PLC0415
    from syncd.store.admin import OutboxAdmin  # noqa: PLC0415

    with OutboxAdmin(load_settings(config_file).database) as manager:
        show_rows(manager.rows(wanted, limit), as_json=as_json)
    return 0


@outbox.command("retry", short_help="Bring failed rows back.")
@config_option
@click.option("--all", "every", is_flag=True, help="All that failed.")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
def outbox_retry(config_file: Path | None, ids: tuple[int, ...], *, every: bool) -> int:
    """Bring failed rows back, with all their attempts; rows that wait for a retry go at once. IDs are those of `syncd outbox list`."""
    from syncd.config.settings import load_settings  # noqa: PLC0415
    from syncd.store.admin import OutboxAdmin  # noqa: PLC0415

    if every == bool(ids):
        raise click.UsageError("name the rows by their ids, or say --all")
    with OutboxAdmin(load_settings(config_file).database) as manager:
        return _changed(manager.retry(None if every else ids), None if every else len(ids), "will be sent again")


@outbox.command("cancel", short_help="Take rows out of the queue for good.")
@config_option
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
def outbox_cancel(config_file: Path | None, ids: tuple[int, ...]) -> int:
    """Take pending or failed rows out of the queue for good; HQ never hears of them. Rows that HQ has stay as they are."""
    from syncd.config.settings import load_settings  # noqa: PLC0415
    from syncd.store.admin import OutboxAdmin  # noqa: PLC0415

    with OutboxAdmin(load_settings(config_file).database) as manager:
        return _changed(manager.cancel(ids), len(ids), "cancelled")


def _changed(rows: int, asked: int | None, what: str) -> int:
    click.echo(f"{rows:,} {'row' if rows == 1 else 'rows'} {what}")
    if asked is not None and rows < asked:
        click.echo(f"{asked - rows:,} of the ids named no row that is pending or failed", err=True)
        return 1
    return 0


@cli.command(short_help="Show it all on this machine.")
def demo() -> int:
    """Show a day of a store in a minute: a till, syncd and an HQ, all on this machine, in a temporary folder.

    \b
    Example:  syncd demo
    """
    from syncd.commands.demo import run_demo  # noqa: PLC0415

    return _exit_code(run_demo())


@cli.command(short_help="Run a small HQ for development.")
@click.option("--port", type=click.IntRange(0, 65_535), default=5199, show_default=True, help="0: any that is free.")
@click.option("--push", "push_file", type=FILE, metavar="FILE", help="JSON lines to push to every store that connects.")
@click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE", help="Let something go wrong; more than once for more.")
@click.option("--json", "json_output", is_flag=True, help="One JSON line for everything that happens.")
def devhub(port: int, push_file: Path | None, faults: tuple[str, ...], *, json_output: bool) -> int:
    """Run a small HQ on this machine, for development and tests. It listens on 127.0.0.1 only.

    \b
    Examples: syncd devhub --port 5199
              syncd devhub --fault refuse-every=10 --fault delay-ms=200
    """
    import asyncio  # noqa: PLC0415

    from syncd.commands.devhub import run_devhub  # noqa: PLC0415

    try:
        return _exit_code(asyncio.run(run_devhub(port=port, push_file=push_file, faults=list(faults), json_output=json_output)))
    except ValueError as error:  # a fault or a push file that nobody can read
        raise click.UsageError(str(error)) from error


def _status_file(status_file: Path | None, config_file: Path | None) -> Path:
    try:
        return find_status_file(status_file, config_file)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"the configuration file cannot be read ({error}); name the status file with --file") from error


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else 0
