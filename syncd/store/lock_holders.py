"""Which process has a lock of SQLite's, as far as the kernel tells: `/proc/locks` has the process and the file of every lock.

In WAL mode the locks lie on bytes of the `-shm` file (https://sqlite.org/walformat.html, section 2.3). Where `/proc/locks` cannot be read,
or the holder lives in another container, nobody is named.
"""

from __future__ import annotations

import os
from pathlib import Path

WRITE_LOCK = range(120, 121)
READ_LOCKS = range(123, 128)  # an open read transaction has one of them
PROC = Path("/proc")


def holders(shm: Path, locks: range) -> list[str]:
    """The other processes that have one of these locks, each as `name (pid 123)`."""
    try:
        stat = shm.stat()
        lines = (PROC / "locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    file = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    pids: dict[int, None] = {}
    for line in lines:
        words = line.split()  # 1: POSIX ADVISORY WRITE 12756 fe:00:2155932 120 120; one that waits has an arrow after its number
        if len(words) != 8 or words[1] != "POSIX" or words[5] != file or not words[6].isdigit() or int(words[6]) not in locks:
            continue
        pid = int(words[4])
        if pid > 0 and pid != os.getpid():
            pids[pid] = None
    return [_named(pid) for pid in pids]


def _named(pid: int) -> str:
    try:
        name = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # another user's, and hidden from us
        return f"pid {pid}"
    return f"{''.join(c for c in name if c.isprintable())} (pid {pid})"
