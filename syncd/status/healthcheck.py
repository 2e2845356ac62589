"""The health check itself: without the command line's machinery, which takes longer to load than the check takes.

Supervisors ask every few seconds, on PCs that have better things to do.
"""

from __future__ import annotations

from pathlib import Path

from syncd.status.reader import find_status_file, read_health

FAILS = frozenset({"critical", "stale", "missing"})
"""What a restart may mend. A rejected token or a hub that lacks its methods is `degraded`: a restart changes nothing about that."""
OPTIONS = {"--file": "file", "--config": "config", "-c": "config"}


def verdict(file: Path) -> tuple[int, str]:
    """The exit code, 1 where a restart may help, and the health with its reasons."""
    daemon = read_health(file)
    return int(daemon.health in FAILS), "; ".join([daemon.health, *daemon.reasons])


def quick_verdict(arguments: list[str]) -> tuple[int, str] | None:
    """What `syncd ARGUMENTS` answers; None where that is no plain health check, or where something must be explained."""
    if arguments[:1] != ["healthcheck"] or len(arguments) % 2 == 0:
        return None
    named = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    if not named.keys() <= OPTIONS.keys() or len({OPTIONS[name] for name in named}) < len(arguments) // 2:
        return None
    files = {OPTIONS[name]: Path(value) for name, value in named.items()}
    try:
        return verdict(find_status_file(files.get("file"), files.get("config")))
    except (OSError, ValueError):
        return None
