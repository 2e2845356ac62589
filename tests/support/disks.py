"""Disks that refuse: full, read-only, immutable. All of it needs root; where that is not so, the test says why it is skipped."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 4096


def _root(*command: str) -> None:
    """Run a command that needs root, or skip."""
    if os.geteuid() != 0:
        pytest.skip(f"{command[0]} needs root")
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        pytest.skip(f"there is no {command[0]} here")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(command)} is not allowed here: {error.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of that size, mounted for the test."""
    folder.mkdir()
    _root("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _root("umount", "-l", str(folder))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as a read-only file system, for root too."""
    _root("mount", "--bind", str(folder), str(folder))
    try:
        _root("mount", "-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _root("umount", "-l", str(folder))


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """A file or folder that nobody may change, root neither."""
    _root("chattr", "+i", str(path))
    try:
        yield
    finally:
        _root("chattr", "-i", str(path))


def fill(folder: Path) -> Path:
    """Take all the room that there is; the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return filler
