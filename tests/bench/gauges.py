"""What a process has used, as the kernel says it."""

from __future__ import annotations

import os
import re
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
NANOSECONDS = 1_000_000_000


def processor_seconds(pid: int) -> float:
    """What the process has used of any core so far, its start included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_mib(pid: int) -> float:
    """Memory now."""
    return _status_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """Memory at its highest."""
    return _status_mib(pid, "VmHWM")


def _status_mib(pid: int, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None, f"process {pid} has ended"
    return int(found[1]) / 1024


def thread_seconds(pid: int) -> dict[int, tuple[str, float]]:
    """Name and processor time so far of each thread, by its id."""
    found: dict[int, tuple[str, float]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
            found[int(task.name)] = name, int((task / "schedstat").read_text(encoding="ascii").split()[0]) / NANOSECONDS
        except OSError:
            continue  # it has ended since
    return found
