"""Reads a status file and says how the daemon is. Standard library only: health checks run every few seconds."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_STATUS_FILE = Path("/run/syncd/status.json")
DEFAULT_CONFIG_FILE = Path("/etc/syncd/syncd.toml")
CLOCK_SLACK = timedelta(seconds=5)
NOBODY_WRITES = 2
EXIT_CODES = {"healthy": 0, "warning": 0, "degraded": 1, "critical": 1, "stale": NOBODY_WRITES, "missing": NOBODY_WRITES}


class DaemonHealth(NamedTuple):
    """How the daemon is, as far as its status file tells.

    Attributes:
        health: healthy, warning, degraded or critical as the daemon says; stale where it has stopped saying so; missing.
        document: the file's content, where it could be read.
        code: which of our own reasons it is, where the daemon itself says nothing; see `next_steps.py`.
    """

    health: str
    reasons: tuple[str, ...]
    document: dict[str, Any] | None = None
    code: str | None = None

    @property
    def exit_code(self) -> int:
        """0 it works, 1 it needs a person, 2 nobody is there."""
        return EXIT_CODES.get(self.health, NOBODY_WRITES)


def read_health(path: Path, now: datetime | None = None) -> DaemonHealth:
    """Read the file; `now` decides whether it is stale."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        why = f"{path} is not there: syncd is not running, or writes its status elsewhere (status.path)"
        return DaemonHealth("missing", (why,), code="status_missing")
    except OSError as error:
        return DaemonHealth("missing", (f"{path} cannot be read: {error.strerror}",), code="status_unreadable")
    except ValueError as error:
        return DaemonHealth("missing", (f"{path} is no status file: {error}",), code="status_unreadable")
    try:
        return _health_of(document, now or datetime.now(UTC))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return DaemonHealth("missing", (f"{path} is no status file: {type(error).__name__}: {error}",), code="status_unreadable")


def _health_of(document: dict[str, Any], now: datetime) -> DaemonHealth:
    written, expires = (datetime.fromisoformat(document[name]) for name in ("writtenAt", "expiresAt"))
    if document["state"] == "stopped":
        return DaemonHealth("stale", (f"syncd was stopped at {document['writtenAt']}",), document, "stopped")
    if now > expires:
        why = f"syncd has not written its status since {document['writtenAt']}: it hangs or is dead"
        return DaemonHealth("stale", (why,), document, "status_expired")
    if now < written - CLOCK_SLACK:
        why = f"the status is of {document['writtenAt']}, which is yet to come: the clock was set back"
        return DaemonHealth("stale", (why,), document, "clock_set_back")
    health = document["health"]
    if health not in EXIT_CODES:
        raise ValueError(f"unknown health {health!r}")
    return DaemonHealth(health, tuple(document["reasons"]), document)


def find_status_file(file: Path | None, config: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the file is: as given, as `SYNCD_STATUS__PATH` says, as the configuration says, else the default place.

    The configuration is not checked here: whoever asks how the daemon is may not even be allowed to read its token file.

    Raises:
        OSError: a configuration file that was named cannot be read.
        ValueError: it is not TOML.
    """
    if file is not None:
        return file
    if path := environ.get("SYNCD_STATUS__PATH"):
        return Path(path)
    import tomllib  # noqa: PLC0415  (costs start time)

    named = config or (Path(environ["SYNCD_CONFIG"]) if environ.get("SYNCD_CONFIG") else None)
    try:
        document = tomllib.loads((named or DEFAULT_CONFIG_FILE).read_text(encoding="utf-8-sig"))
    except OSError:
        if named is not None:
            raise
        return DEFAULT_STATUS_FILE
    section = document.get("status")
    path = section.get("path") if isinstance(section, dict) else None
    return Path(path) if isinstance(path, str) else DEFAULT_STATUS_FILE
