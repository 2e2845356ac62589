"""A Debian that is booted as a store PC: one script does in it what an operator would, and leaves files for the tests to read."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.image import cache_folder
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Mapping

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


HQ = """
[Service]
ExecStart={program} devhub --port {port} --json
Environment=PYTHONUNBUFFERED=1
StandardOutput=append:/exam/hq.log
StandardError=inherit
Restart=always
RestartSec=1
"""
SUDO = """#!/bin/sh
[ "$1" != -u ] || { user=$2; shift 2; exec runuser -u "$user" -- "$@"; }
exec "$@"
"""
SALE = (
    "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) "
    "VALUES ('Receipt', (SELECT count(*) FROM sync_outbox), 'Create', '{}')"
)
OPERATOR = """
umask 077
useradd --create-home pos
await() { timeout 180 sh -c "until $1; do sleep 0.2; done" || { systemctl status --no-pager --lines 30 hq 'syncd*'; exit 1; }; }
show() { for name in ActiveState NRestarts ExecMainStatus StatusText; do systemctl show syncd --property=$name; done; }
failed() { await 'systemctl is-failed --quiet syncd'; }
has() { await "python3 /exam/figures.py $2 | grep -x '$1'"; }
till() { sudo -u pos python3 /exam/till.py "$@"; }
at() { exec > "/exam/$1" 2>&1; }
set -x
"""
"""The script's words for what an operator does; root's umask is 077, as some have it. A test's step begins with `at STEP`."""


def employ_operator(root: Path, nano: str, *, program: str, hub_port: int) -> None:
    """Puts into the tree what `OPERATOR` calls.

    Args:
        nano: what is done to a file where the documentation says that one edits it.
        program: syncd, for the small HQ on the PC: the unit `hq`, which is not started here.
        hub_port: where it listens.
    """
    for name, text in (("sudo", SUDO), ("nano", nano)):
        write(root / "usr/local/bin" / name, text)
        (root / "usr/local/bin" / name).chmod(0o755)
    shutil.copytree(Path(__file__).parent / "in_pc", root / "exam", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    write(root / "etc/systemd/system/hq.service", HQ.format(program=program, port=hub_port))


def boot(root: Path, script: str, *, network: bool = False, seconds: int = 180) -> Mapping[str, str]:
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
    # One at a time on a machine: each keeps this process's cgroup, where the services of two systems would have the same folders.
    with (cache_folder() / "booted").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as container:
            try:
                said, _ = container.communicate(timeout=seconds + 210)
            except BaseException:
                container.terminate()  # and the system in it: killed, it would leave it running
                raise
    written = {file.name: file.read_text(errors="replace") for file in (root / "exam").iterdir()}
    need("nspawn", len(written) > 1, f"nothing was booted: {said[-2000:]}")
    return written


def last_words(shown: Mapping[str, str]) -> str:
    """The end of the last step that the script came to, where it did not come to its end."""
    steps = [step for step in re.findall(r"^at (\S+)", shown["script"], re.MULTILINE) if step in shown]
    return "\n".join([f"step {steps[-1]}:", shown[steps[-1]][-6000:], "HQ:", shown.get("hq.log", "")[-1000:]])


def enable(root: Path, unit: str, target: str = "multi-user.target") -> None:
    """As `systemctl enable` does."""
    wanted = root / f"etc/systemd/system/{target}.wants" / unit
    wanted.parent.mkdir(exist_ok=True)
    wanted.symlink_to(f"/etc/systemd/system/{unit}")


def write(file: Path, text: str) -> None:
    """Write a file, with the folders it needs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
