"""The unit's `ProtectHome=`, in words: systemd puts an empty folder that nobody may enter over these (systemd.exec(5))."""

from __future__ import annotations

import stat
from pathlib import Path

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))


def hidden_by_the_unit(path: Path) -> str:
    """The end of a sentence about a file that cannot be reached; empty where it is not systemd that hides it."""
    for home in HOMES:
        if home in path.parents and home.is_dir() and stat.S_IMODE(home.stat().st_mode) == 0:
            return (
                f": the unit's ProtectHome= hides {home} from syncd; keep the file elsewhere, or say ProtectHome=no (systemctl edit syncd)"
            )
    return ""
