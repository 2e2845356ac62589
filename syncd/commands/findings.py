"""What `syncd check` found, and whose rights it had."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.errors import ExitCode
from syncd.users import group_name, user_name

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        text: what it is, in plain words, without secrets.
        code: the exit code that it would cause; 0 where it is right.
        warning: it works, and somebody should change it all the same.
    """

    text: str
    code: int = ExitCode.OK
    warning: bool = False


def rights() -> str:
    """Whose rights this process has: `user pos, groups pos, syncd`."""
    groups = dict.fromkeys((os.getegid(), *os.getgroups()))
    return f"user {user_name(os.geteuid())}, {'groups' if len(groups) > 1 else 'group'} {', '.join(map(group_name, groups))}"


def readable_by_others(path: Path) -> str:
    """How a secret is open to others than its owner, in words; empty where it is not."""
    status = path.stat()
    if not status.st_mode & 0o077:
        return ""
    return f"may be read by others than its owner (mode {status.st_mode & 0o777:o}, group {group_name(status.st_gid)})"
