"""Files of our own in folders where others may write: no link is followed, and a file that is not ours is refused.

The till's user shares the store's folder with us. Through a link that it puts there, to any file of the machine, syncd would write to that
file; with root's rights, where a technician runs syncd by hand.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from syncd.errors import PermissionDeniedError
from syncd.users import user_name

if TYPE_CHECKING:
    from pathlib import Path


def require_own(path: Path) -> None:
    """Refuse a file that somebody else has put there. One that is not there yet is fine.

    Ours is what belongs to us, to root, or to the owner of the folder, who may do there as they like.

    Raises:
        PermissionDeniedError: it is a link, no regular file, has a second name, or belongs to somebody else; says which.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        why = f"is a symbolic link to {path.readlink()}, and is not followed"
    elif not stat.S_ISREG(found.st_mode):
        why = "is no regular file"
    elif found.st_nlink > 1:
        why = f"has {found.st_nlink} names (hard links), and writing it would change the others too"
    elif not _is_trusted(found.st_uid, path):
        why = f"belongs to {user_name(found.st_uid)}, and not to {user_name(os.geteuid())}"
    else:
        return
    raise PermissionDeniedError(f"{path} {why}: it is not the file that syncd made there; see who put it there, then remove it")


def require_trusted_link(path: Path) -> None:
    """A database may be named by a link, but not by one that leads nowhere, or that a user made who has no say here.

    Raises:
        PermissionDeniedError: says which.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISLNK(found.st_mode):
        return
    if not path.exists():
        raise PermissionDeniedError(f"{path} is a symbolic link to {path.readlink()}, which is not there: no file is made through a link")
    if not _is_trusted(found.st_uid, path):
        raise PermissionDeniedError(f"{path} is a symbolic link that belongs to {user_name(found.st_uid)}: it is not followed")


def replace_own(path: Path, content: bytes, mode: int) -> None:
    """Put a new file in the place of whatever has that name; a reader sees the old one or the new one, never half of one.

    Raises:
        OSError: the disk is full, or a permission is missing.
    """
    beside = path.with_name(f".{path.name}.tmp")
    with suppress(FileNotFoundError):
        beside.unlink()  # left by a process that was killed, or put there by somebody else
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor is no path)
            os.fchmod(descriptor, mode)  # whatever the umask says
            file.write(content)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def make_own(path: Path, mode: int) -> None:
    """Make an empty file where there is none, with exactly this mode.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def shared_folders(folders: set[Path]) -> list[Path]:
    """Those in which somebody else than root may write."""
    found = []
    for folder in sorted(folders):
        with suppress(OSError):
            mode = folder.stat()
            if mode.st_uid != 0 or mode.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                found.append(folder)
    return found


def _is_trusted(uid: int, path: Path) -> bool:
    return uid in {0, os.geteuid(), path.parent.stat().st_uid}
