"""The POS guide's way from a clone to a sale that is at HQ: its commands, as they are printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
PAGE = (PROJECT / "docs/till.md").read_text(encoding="utf-8")
[COMMANDS] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PORT = "5199"
FOLDER = "/tmp/till"
PATIENCE_SECONDS = 150


def test_the_commands_bring_a_price_to_the_till_and_its_sale_to_hq(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    assert PORT in COMMANDS
    assert FOLDER in COMMANDS
    commands = (
        COMMANDS.replace(PORT, port).replace(FOLDER, str(tmp_path / "till")).replace('"$PWD/.venv/bin', f'"{Path(sys.executable).parent}')
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    shell = subprocess.Popen(
        ["bash", "-e", "-o", "pipefail", "-c", commands], cwd=PROJECT, env=environ, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        shown, _ = shell.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    assert shell.returncode == 0, shown
    items = json.loads(shown[shown.index("[{") :].splitlines()[0])
    assert {item["entityType"] for item in items} == {"Receipt"}, shown
    assert json.loads(items[0]["payload"])["total"] == "12.50"
