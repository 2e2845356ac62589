from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    [file] = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_is_the_package_with_its_sql_and_type_marker_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "syncd").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == files
    assert "syncd/py.typed" in packed
    assert {name for name in packed if name.endswith(".sql") and "/sql/" in name}


def test_the_wheel_brings_the_command(wheel: zipfile.ZipFile) -> None:
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "syncd = syncd.__main__:main" in wheel.read(entry_points).decode()


def test_the_wheel_says_under_which_licence_it_is_and_brings_its_text(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    assert "License-Expression: MIT\nLicense-File: LICENSE\n" in wheel.read(metadata).decode()
    [text] = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    assert wheel.read(text) == (PROJECT / "LICENSE").read_bytes()
