"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)

config_option = click.option(
    "--config", "-c", "config_file", type=FILE, metavar="FILE", help="Configuration; else $SYNCD_CONFIG, else /etc/syncd/syncd.toml."
)
status_file_option = click.option("--file", "status_file", type=FILE, metavar="FILE", help="The status file, wherever it is.")
json_option = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object a line.")
