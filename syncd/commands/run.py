"""`syncd run`: the daemon."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

import click
import uvloop

from syncd.clock import SystemClock
from syncd.commands.options import config_option
from syncd.config.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@click.command("run")
@config_option
def command(config_file: Path | None) -> int:
    """Run the daemon until it is told to stop.

    SIGTERM and SIGINT stop it after what is in flight, a second one at once; SIGHUP reads the configuration again.

    \b
    Example:  syncd run --config /etc/syncd/syncd.toml
    """
    settings = load_settings(config_file)

    gc.disable()  # nothing of what is loaded now is garbage; the daemon turns it on again
    sys.modules["rich"] = None  # type: ignore[assignment]  # structlog would load it: 5 MiB for a kind of traceback that we never write
    from syncd import daemon  # noqa: PLC0415  (a bad configuration is refused before the rest is loaded)
    from syncd.log import set_up_logging  # noqa: PLC0415

    del sys.modules["rich"]

    set_up_logging(settings.log, SystemClock())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(daemon.run(settings, config_file))
