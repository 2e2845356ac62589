"""The project's .deb, and others that differ from it as releases do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.requirements import need

PROJECT = Path(__file__).parents[2]
DEBIANS_PYTHON = (3, 11)
"""Of the Debian in `tests/support/image.py`."""


def build_deb(folder: Path) -> Path:
    """The package, by the project's own script."""
    need("deb", shutil.which("dpkg-deb") is not None, "building a package takes dpkg-deb")
    need("deb", sys.version_info[:2] == DEBIANS_PYTHON, f"a package for that Debian takes Python {DEBIANS_PYTHON}")
    command = [str(PROJECT / "scripts/deb"), str(folder)]
    environ = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environ, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


def later_release(deb: Path, version: str, *, step: str = "") -> Path:
    """A package of another version beside this one; with one more step for the store's tables, this SQL.

    Its own preinst still names the steps of the package it is made from: that is read only where it is a downgrade.
    """
    tree = deb.with_name(f"tree-{version}")
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
    for script in ("preinst", "postinst"):
        file = tree / "DEBIAN" / script
        file.write_text(file.read_text().replace(deb.name.split("_")[1], version))
    [package] = tree.glob("usr/lib/syncd/lib/python*/site-packages/syncd")
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    compiler = [sys.executable, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*compiler, "-s", str(tree), str(package / "__init__.py")], check=True)
    if step:
        steps = package / "store/sql/store"
        newest = max(int(file.name[:4]) for file in steps.glob("*.sql"))
        (steps / f"{newest + 1:04}_of_tomorrow.sql").write_text(step)
    made = deb.with_name(deb.name.replace(deb.name.split("_")[1], version))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made
