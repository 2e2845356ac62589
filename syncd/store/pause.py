"""Sending is paused: a small file beside our own database says since when and until when.

A file and not a row, so that it can be made and taken away where no database is there yet, or where one is locked or damaged. It is
kept over a restart, and every pause ends: a forgotten one must not keep a store's sales from HQ.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncd.clock import iso_ms
from syncd.errors import PermissionDeniedError, StorageError
from syncd.own_files import replace_own, require_own
from syncd.users import user_name

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = timedelta(days=7)
FILE_MODE = 0o644
MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Pause:
    """From when until when nothing is sent.

    Attributes:
        by: the user who asked for it.
    """

    since: datetime
    until: datetime
    by: str

    @property
    def length(self) -> timedelta:
        """How long it was to last."""
        return self.until - self.since


def pause_file(state_path: Path) -> Path:
    """Where the pause of a store is, given the path of syncd's own database."""
    return state_path.with_name(f"{state_path.name}.pause")


def read_pause(path: Path) -> Pause | None:
    """The pause that somebody has asked for, whether it is over or not; None where there is none.

    Raises:
        PermissionDeniedError: somebody put the file there who has no say here.
        StorageError: the file cannot be read, or is none of ours.
    """
    try:
        require_own(path)
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_BYTES))
        since, until = (datetime.fromisoformat(document[name]).astimezone(UTC) for name in ("since", "until"))
        return Pause(since, min(max(since, until), since + LONGEST), str(document["by"])[:100])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StorageError(f"{path} is no pause of syncd's ({error}): `syncd resume` removes it") from error


def write_pause(path: Path, now: datetime, length: timedelta) -> Pause:
    """Pause from now on, in the place of a pause that there is already.

    Raises:
        PermissionDeniedError: this user has no say here.
        StorageError: the disk is full, or there is no such folder.
    """
    pause = Pause(now, now + min(length, LONGEST), user_name(os.geteuid()))
    document = {"since": iso_ms(pause.since), "until": iso_ms(pause.until), "by": pause.by}
    try:
        _require_a_say(path)
        replace_own(path, json.dumps(document).encode() + b"\n", FILE_MODE)
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    return pause


def remove_pause(path: Path) -> bool:
    """End a pause; whether there was one.

    Raises:
        PermissionDeniedError: this user has no say here.
        StorageError: the disk refuses.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: {error.strerror}; try it with sudo") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    return True


def _require_a_say(path: Path) -> None:
    """The daemon heeds a file only of root, of the folder's owner, or of its own user; a till's user is none of them."""
    state = path.with_suffix("")
    owners = {0, path.parent.stat().st_uid, *([state.stat().st_uid] if state.exists() else [])}
    if os.geteuid() not in owners:
        raise PermissionDeniedError(
            f"{user_name(os.geteuid())} may not pause this store: its folder {path.parent} belongs to "
            f"{user_name(path.parent.stat().st_uid)}; try it with sudo"
        )
