"""Which process has a lock of SQLite's, as far as the kernel tells.

In WAL mode the locks lie on bytes of the `-shm` file (https://sqlite.org/walformat.html, section 2.3), and `F_GETLK`
names a process that has one of them; `/proc/locks` would too, but the systemd unit hides it (`ProcSubset=pid`). A
process in another container is not named.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

WRITE_LOCK = range(120, 121)
READ_LOCKS = range(123, 128)  # an open read transaction has one of them
PROC = Path("/proc")
_FLOCK = struct.Struct("@hhqqi0q")  # type, whence, start, length, process


class LockHolders:
    """Asks about one file's locks.

    Args:
        shm: its `-shm` file.
    """

    def __init__(self, shm: Path) -> None:
        self._shm = shm
        self._descriptor: int | None = None

    def of(self, locks: range) -> list[str]:
        """The other processes that have one of these locks, each as `name (pid 123)`."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._shm, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            pids = [self._holder(byte) for byte in locks]
        except OSError:
            return []
        return [_named(pid) for pid in dict.fromkeys(pids) if pid > 0]

    def _holder(self, byte: int) -> int:
        """One process that has it; 0 for nobody, or for one that cannot be named. Our own locks do not count."""
        assert self._descriptor is not None
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(self._descriptor, fcntl.F_GETLK, question))
        return 0 if kind == fcntl.F_UNLCK else int(pid)

    def close(self) -> None:
        """To be called once our connections to the file are closed, never before.

        Closing any descriptor of a file drops all locks that the process has on it, SQLite's own too (POSIX).
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _named(pid: int) -> str:
    try:
        name = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # another user's, and hidden from us
        return f"pid {pid}"
    return f"{''.join(c for c in name if c.isprintable())} (pid {pid})"
