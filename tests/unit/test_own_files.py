from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from syncd.errors import PermissionDeniedError
from syncd.own_files import make_own, replace_own, require_own, require_trusted_link, shared_folders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILL = 54_321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to another user needs root")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    return victim


def a_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def a_hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def a_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, _: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("trap", "says"),
    [(a_link, "is a symbolic link to"), (a_hard_link, "has 2 names"), (a_pipe, "is no regular file"), (a_folder, "is no regular file")],
)
def test_what_is_not_ours_is_refused_in_words(tmp_path: Path, victim: Path, trap: Callable[[Path, Path], None], says: str) -> None:
    trap(tmp_path / "ours", victim)
    with pytest.raises(PermissionDeniedError, match=rf"ours {says}.*see who put it there, then remove it"):
        require_own(tmp_path / "ours")


@as_root
def test_a_file_of_another_user_is_refused_unless_the_folder_is_his(tmp_path: Path, victim: Path) -> None:
    os.chown(victim, TILL, TILL)
    with pytest.raises(PermissionDeniedError, match=r"victim belongs to user 54321, and not to root"):
        require_own(victim)
    os.chown(tmp_path, TILL, TILL)
    require_own(victim)


def test_what_is_ours_or_not_there_is_fine(tmp_path: Path, victim: Path) -> None:
    require_own(victim)
    require_own(tmp_path / "nothing")


@pytest.mark.parametrize("trap", [a_link, a_hard_link, a_pipe])
@pytest.mark.parametrize("name", ["ours", ".ours.tmp"])
def test_a_file_is_put_in_the_place_of_a_trap_and_the_victim_stays(
    tmp_path: Path, victim: Path, name: str, trap: Callable[[Path, Path], None]
) -> None:
    trap(tmp_path / name, victim)
    before = os.umask(0o077)
    try:
        replace_own(tmp_path / "ours", b"new", 0o644)
    finally:
        os.umask(before)
    assert victim.read_text() == "precious"
    found = (tmp_path / "ours").lstat()
    assert stat.S_ISREG(found.st_mode)
    assert (found.st_nlink, stat.S_IMODE(found.st_mode)) == (1, 0o644)
    assert (tmp_path / "ours").read_bytes() == b"new"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ours", "victim"]


def test_a_file_is_made_with_its_mode_whatever_the_umask_says_and_never_through_a_link(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_own(tmp_path / "store.db", 0o660)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "store.db").stat().st_mode) == 0o660
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    make_own(tmp_path / "link", 0o660)
    assert not (tmp_path / "nowhere").exists()


def test_a_database_may_be_named_by_a_link_to_one_and_not_by_a_link_to_nothing(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)
    require_trusted_link(tmp_path / "link")
    victim.unlink()
    with pytest.raises(PermissionDeniedError, match="no file is made through a link"):
        require_trusted_link(tmp_path / "link")


@as_root
def test_a_link_that_another_user_made_is_not_followed(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)
    os.chown(tmp_path / "link", TILL, TILL, follow_symlinks=False)
    with pytest.raises(PermissionDeniedError, match="link that belongs to user 54321: it is not followed"):
        require_trusted_link(tmp_path / "link")


@as_root
def test_a_folder_in_which_others_may_write_is_called_shared(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("root's", "group's", "everybody's", "till's")}
    for folder in folders.values():
        folder.mkdir(0o755)
    folders["group's"].chmod(0o775)
    folders["everybody's"].chmod(0o757)
    os.chown(folders["till's"], TILL, TILL)
    assert shared_folders({*folders.values(), tmp_path / "nowhere"}) == sorted(set(folders.values()) - {folders["root's"]})
