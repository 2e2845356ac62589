"""Users and groups by their names."""

from __future__ import annotations

import grp
import pwd

OVERFLOW_ID = 65_534
"""What the kernel tells in the place of an id that the user namespace does not have (user_namespaces(7))."""


def user_name(uid: int) -> str:
    """The user's name, or the number where it has none. The unit's PrivateUsers= hides all but ours and root's."""
    if uid == OVERFLOW_ID:
        return "another user"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def group_name(gid: int) -> str:
    """The group's name, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
