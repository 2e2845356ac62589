"""A Debian that is booted as a store PC: one script does in it what an operator would, and leaves files for the tests to read."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EXAM = """
[Unit]
After=multi-user.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
TimeoutStartSec={seconds}
ExecStart=/bin/sh /exam/script
[Install]
WantedBy=default.target
"""


def boot(root: Path, script: str, *, network: bool = False, seconds: int = 90) -> Mapping[str, str]:
    """Boot the tree, run the script in it, and power it off.

    Args:
        network: the PC shares this machine's network, to install from its registry.
        seconds: the script's bound.

    Returns:
        What it wrote into `/exam`, by the names of the files.
    """
    need("nspawn", os.geteuid() == 0 and shutil.which("systemd-nspawn") is not None, "booting a system takes root and systemd-nspawn")
    write(root / "etc/systemd/system/exam.service", EXAM.format(seconds=seconds))
    write(root / "exam/script", script)
    enable(root, "exam.service", "default.target")
    options = ["--quiet", "--register=no", "--keep-unit", "--resolv-conf=off", "--link-journal=no", "--console=pipe"]
    command = ["systemd-nspawn", *options, *([] if network else ["--private-network"]), f"--directory={root}", "--boot"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 210, check=False, stdin=subprocess.DEVNULL)
    written = {file.name: file.read_text(errors="replace") for file in (root / "exam").iterdir()}
    need("nspawn", len(written) > 1, f"nothing was booted: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return written


def enable(root: Path, unit: str, target: str = "multi-user.target") -> None:
    """As `systemctl enable` does."""
    wanted = root / f"etc/systemd/system/{target}.wants" / unit
    wanted.parent.mkdir(exist_ok=True)
    wanted.symlink_to(f"/etc/systemd/system/{unit}")


def write(file: Path, text: str) -> None:
    """Write a file, with the folders it needs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
