"""Why a database may not be written, in words, with the command that changes it."""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING

from syncd.errors import PermissionDeniedError, StorageError
from syncd.own_files import require_own, require_trusted_link
from syncd.protect_home import hidden_by_the_unit
from syncd.users import OVERFLOW_ID, group_name, user_name

if TYPE_CHECKING:
    from pathlib import Path

DATABASE_MODE = 0o660
"""The till shares the group with us."""
GROUP_WRITES = stat.S_IRGRP | stat.S_IWGRP


def require_writable(path: Path) -> None:
    """Say in plain words what keeps us from writing this file.

    Raises:
        PermissionDeniedError: the file, its log, or the folder (where SQLite makes its -wal and -shm files) may not be
            written; names the command that changes it.
        StorageError: the folder is not there, or the path names no file.
    """
    folder = path.parent
    try:
        if path.is_dir():
            raise StorageError(f"{path} is a folder; the path of a database file is needed")
        if not folder.is_dir():
            raise StorageError(f"{folder}: no such folder, so {path.name} cannot be made there{hidden_by_the_unit(path)}")
    except PermissionError as error:
        raise PermissionDeniedError(f"{path} may not be reached by this user{hidden_by_the_unit(path)}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionDeniedError(
            f"{folder} may not be written by this user{_whose(folder, 0o2770)}: "
            f"SQLite needs its -wal and -shm files beside {path.name}{_mended(folder, [folder], '2770')}"
        )
    require_trusted_link(path)
    files = [file for file in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))) if file.exists()]
    for file in files:
        if not os.access(file, os.R_OK | os.W_OK):
            why = f"{_whose(file, DATABASE_MODE)}{_mended(file, files, '660')}"
            raise PermissionDeniedError(f"{file} may not be read and written by this user{why}")


def require_own_database(path: Path) -> None:
    """Refuse a database of our own, or a log of it, that somebody else has put there.

    Raises:
        PermissionDeniedError: says what it is.
    """
    for ending in ("", "-wal", "-shm"):
        require_own(path.with_name(path.name + ending))


def _whose(path: Path, wanted: int) -> str:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    text = f" ({user_name(os.geteuid())}): it belongs to {user_name(found.st_uid)}, group {group_name(found.st_gid)}, mode {mode:o}"
    if os.geteuid() == 0 or (_is_in(found.st_gid) and mode & wanted & GROUP_WRITES == GROUP_WRITES):
        text += ", and something else forbids it (a read-only file system, chattr +i, the unit's ProtectSystem=)"
    return text


def _mended(path: Path, files: list[Path], mode: str) -> str:
    """The command that lets our group write it; empty where permissions are not what is missing."""
    found = path.stat()
    if os.geteuid() == 0 or (_is_in(found.st_gid) and found.st_mode & GROUP_WRITES == GROUP_WRITES):
        return ""
    names = " ".join(shlex.quote(str(file)) for file in files)
    commands = [f"chmod {mode} {names}"]
    if not _is_in(found.st_gid):
        folder = path.parent.stat().st_gid
        group = folder if _is_in(folder) else os.getegid()
        commands.insert(0, f"chgrp {group_name(group)} {names}")
    also = ""
    if found.st_gid not in {0, OVERFLOW_ID} and not _is_in(found.st_gid):
        also = f" (or, for good: `usermod --append --groups {group_name(found.st_gid)} {user_name(os.geteuid())}`)"
    return f"; as {user_name(found.st_uid)} or root, run `{' && '.join(commands)}`{also}"


def _is_in(group: int) -> bool:
    return group in {os.getegid(), *os.getgroups()}
