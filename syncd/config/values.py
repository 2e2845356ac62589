"""Values that need more than a type: the store's identifier, files, and numbers that depend on each other."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from syncd.protect_home import hidden_by_the_unit

if TYPE_CHECKING:
    from pydantic import ValidationInfo

PERMISSION = "permission_denied"
"""Type of the problems that make a PermissionDeniedError."""
PREFIX_FORM = r"[a-z](?:[a-z0-9_]*[a-z0-9])?_"
"""Of `database.table_prefix`: lower case, since SQLite takes `A_` and `a_` for the same."""
MAX_PREFIX = 20
RESERVED_PREFIXES = {"sqlite_": "SQLite's own names begin so", "sync_": "syncd's names without a prefix begin so"}
INT64 = range(-(1 << 63), 1 << 63)


def store_id(value: object) -> int | str:
    """A number or a text, and it stays what it is: HQ may compare 7 and "7" as different."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a whole number or a text")  # noqa: TRY004  (pydantic lets a TypeError through)
    if isinstance(value, int) and value not in INT64:
        raise ValueError("must fit into 64 bits; a longer one must be a text, in quotes")
    if isinstance(value, str) and (not value.strip() or not value.isprintable()):
        raise ValueError("must be a number or a text that is not blank and has no control characters")
    return value


def plain_prefix(value: object) -> str:
    """What the names of syncd's tables begin with: nothing, or a plain beginning of a name. It becomes part of SQL."""
    if value == "":
        return ""
    if not isinstance(value, str) or len(value) > MAX_PREFIX or not re.fullmatch(PREFIX_FORM, value, re.ASCII):
        raise ValueError(
            "must be lower-case letters, digits and underscores, beginning with a letter and ending with one underscore, "
            f"at most {MAX_PREFIX} of them, as in syncd_; or empty"
        )
    for reserved, why in RESERVED_PREFIXES.items():
        if value.startswith(reserved):
            raise ValueError(f"must not begin with {reserved}: {why}")
    return value


def at_least(lower_key: str, value: float, info: ValidationInfo, *, or_equal: bool = True) -> float:
    """Pass a value that is not below that of another key of its section (nor, without `or_equal`, the same).

    Raises:
        ValueError: names the other key and its value.
    """
    lower = info.data.get(lower_key.rpartition(".")[2])
    if lower is not None and (value < lower or (value == lower and not or_equal)):
        raise ValueError(f"must be {'at least' if or_equal else 'greater than'} {lower_key} ({lower:g})")
    return value


def absolute_path(value: object) -> Path:
    """A path from the root. A relative one would depend on the folder we were started in: under systemd that is `/`."""
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise ValueError("must be a path, as text")
    path = Path(value)
    if not path.is_absolute():
        raise ValueError("must be an absolute path, one that begins with /")
    if _exists(path) and path.is_dir():
        raise ValueError("is a folder; it must be a file")
    return path


def database_file(value: object) -> Path:
    """A database file that is there, or that may come into being."""
    path = absolute_path(value)
    if _exists(path) and not path.is_file():
        raise ValueError("is not a regular file")
    if _exists(path.parent) and not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder")
    return path


def metrics_file(value: object) -> Path | None:
    """A file that node_exporter will read; nothing, or an empty text, is no file."""
    if value is None or value == "":
        return None
    path = absolute_path(value)
    if path.suffix != ".prom":
        raise ValueError("must end in .prom: node_exporter reads no other files")
    return path


def readable_file(value: object) -> Path | None:
    """A file that must be there and that this user may read; nothing, or an empty text, is no file."""
    if value is None or value == "":
        return None
    path = absolute_path(value)
    if not _exists(path):
        raise ValueError("the file does not exist")
    if not os.access(path, os.R_OK):
        raise _denied(path)
    return path


def _exists(path: Path) -> bool:
    """Whether something is there.

    Raises:
        PydanticCustomError: a folder on the way may not be searched by this user.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise _denied(path) from error
    except OSError as error:
        raise ValueError(f"cannot be used: {error.strerror}") from error
    return True


def _denied(path: Path) -> PydanticCustomError:
    values = {"path": str(path), "uid": os.geteuid(), "hidden": hidden_by_the_unit(path)}
    return PydanticCustomError(PERMISSION, "{path} may not be read by this user (uid {uid}){hidden}", values)
