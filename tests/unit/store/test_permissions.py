from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from syncd.errors import PermissionDeniedError
from syncd.store.permissions import require_own_database
from tests.support.storefiles import opened

if TYPE_CHECKING:
    from pathlib import Path

TILL, SERVICE = 54_321, 54_322
CODE = f"""
import os, sys
from pathlib import Path
from syncd.errors import SyncdError
from syncd.store.permissions import require_writable
os.setgroups([int(group) for group in sys.argv[2].split()]); os.setgid({SERVICE}); os.setuid({SERVICE})
try:
    require_writable(Path(sys.argv[1]))
except SyncdError as error:
    print(error.exit_code, error)
else:
    print("fine")
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database as a till makes it: its own, mode 644, in a folder that the service may write."""
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, SERVICE, SERVICE)
    path = data / "store.db"
    path.touch(0o644)
    os.chown(path, TILL, TILL)
    return path


def as_the_service(path: Path, groups: str = "") -> str:
    """What the service's user is told of that path."""
    done = subprocess.run([sys.executable, "-c", CODE, str(path), groups], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@as_root
def test_a_database_of_the_tills_that_the_group_may_not_write_is_77_with_its_owner_mode_and_the_command(path: Path) -> None:
    assert as_the_service(path, str(TILL)) == (
        f"77 {path} may not be read and written by this user (user 54322): it belongs to user 54321, group 54321, mode 644; "
        f"as user 54321 or root, run `chmod 660 {path}`"
    )
    path.chmod(0o660)
    assert as_the_service(path, str(TILL)) == "fine"


@as_root
def test_one_of_another_group_needs_that_too_and_its_log_as_well(path: Path) -> None:
    log = path.with_name("store.db-wal")
    log.touch(0o644)
    said = as_the_service(path)
    assert f"run `chgrp 54322 {path} {log} && chmod 660 {path} {log}` (or, for good: `usermod --append --groups 54321 user 54322`)" in said
    os.chown(path, TILL, SERVICE)
    path.chmod(0o660)
    assert as_the_service(path).startswith(f"77 {log} may not be read and written by this user")


@as_root
def test_a_folder_that_may_not_be_written_is_named_with_its_owner_and_the_command(path: Path) -> None:
    os.chown(path.parent, TILL, SERVICE)
    path.parent.chmod(0o755)
    said = as_the_service(path)
    assert said.startswith(
        f"77 {path.parent} may not be written by this user (user 54322): it belongs to user 54321, group 54322, mode 755"
    )
    assert said.endswith(f"run `chmod 2770 {path.parent}`")


@as_root
def test_a_folder_that_may_not_be_entered_is_77_and_no_crash(path: Path) -> None:
    (path.parent / "sub").mkdir()
    os.chown(path.parent, TILL, TILL)
    path.parent.chmod(0o700)
    assert as_the_service(path.parent / "sub" / "store.db").startswith("77 ")


async def test_every_database_that_we_make_may_be_written_by_the_group_whatever_the_umask_says(tmp_path: Path) -> None:
    before, folder = os.umask(0o022), tmp_path
    try:
        async with opened(tmp_path):
            modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    finally:
        os.umask(before)
    assert {"store.db", "store.db-wal", "store.db-shm", "store.db.syncd", "store.db.syncd-wal"} <= modes.keys()
    assert set(modes.values()) == {0o660}


@pytest.mark.parametrize("name", ["store.db.syncd", "store.db.syncd-wal", "store.db.syncd-shm"])
async def test_a_link_in_the_place_of_our_own_database_is_refused_and_not_followed(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / name).symlink_to(victim)
    with pytest.raises(PermissionDeniedError, match=f"{name} is a symbolic link"):
        require_own_database(tmp_path / "store.db.syncd")
    with pytest.raises(PermissionDeniedError, match=f"{name} is a symbolic link"):
        async with opened(tmp_path):
            pass
    assert victim.read_bytes() == b""
