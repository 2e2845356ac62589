"""Each of the examples of an integration test runs as a team would run it, with `syncd` on its PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.csc import csrun
from tests.support.node import INSTALL_SECONDS, better_sqlite3  # noqa: F401  (a fixture)

EXAMPLES = Path(__file__).parents[3] / "examples/integration-test"
RUN_SECONDS = 300

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + RUN_SECONDS)


def run(folder: Path, *command: str | Path) -> str:
    """What it printed; it must end well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_in_python(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / "python", tmp_path / "tests")
    assert "3 passed" in run(
        folder, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"
    )


def test_in_javascript(tmp_path: Path, better_sqlite3: Path) -> None:  # noqa: F811
    folder = shutil.copytree(EXAMPLES / "javascript", tmp_path / "tests")
    (folder / "node_modules").symlink_to(better_sqlite3 / "node_modules")
    assert "# pass 2\n" in run(folder, "node", "--test", "--test-reporter=tap")


def test_in_csharp(tmp_path: Path) -> None:
    program = csrun()
    folder = shutil.copytree(EXAMPLES / "csharp", tmp_path / "tests")
    assert run(tmp_path, program, folder).splitlines()[-1] == "passed"
