"""The programs that syncd is measured against: what a .NET team and a JavaScript team would build."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

JAVASCRIPT = Path(__file__).with_name("js_peer")
INSTALL_SECONDS = 600
"""npm may have to compile SQLite."""


def dotnet_peer() -> list[str] | None:
    """How to start the .NET program, where `SYNCD_PEER` names it."""
    program = os.environ.get("SYNCD_PEER")
    return ["sh", program] if program else None


@cache
def javascript_peer() -> list[str] | None:
    """How to start the JavaScript program, whose packages are installed once for a machine; None where npm cannot do that."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    digest = hashlib.sha256((JAVASCRIPT / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-bench" / f"js_peer-{digest}"
    if not (folder / "complete").exists():
        shutil.copytree(JAVASCRIPT, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
        try:
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            why = done.stderr[-300:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = f"not within {INSTALL_SECONDS} s"
        if why:
            print(f"the JavaScript client cannot be installed: {why}", file=sys.stderr)
            return None
        (folder / "complete").touch()
    shutil.copy(JAVASCRIPT / "peer.mjs", folder)
    return [node, str(folder / "peer.mjs")]
