"""Node's packages, installed once for a machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.requirements import need

PACKAGE = "better-sqlite3@12"
INSTALL_SECONDS = 600
"""It may have to compile SQLite."""


@pytest.fixture(scope="session")
def better_sqlite3() -> Path:
    """A folder with the package installed in it, made once for a machine."""
    npm = shutil.which("npm")
    need("node", npm is not None and shutil.which("node") is not None, "node and npm are not installed")
    assert npm is not None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-tests" / PACKAGE.replace("@", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "complete").exists():
            (folder / "package.json").write_text("{}")
            command = [npm, "install", "--no-audit", "--no-fund", PACKAGE]
            try:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm could not install {PACKAGE} within {INSTALL_SECONDS} s")
            if done.returncode:
                pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr[-300:]}")
            (folder / "complete").touch()
    return folder
