"""What a file lies on: a local disk, a network share where SQLite's WAL does not work, or memory."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "ceph", "glusterfs", "lustre", "gfs", "gfs2",
    "ocfs2", "beegfs", "gpfs", "orangefs", "davfs", "fuse.sshfs", "fuse.smbnetfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone",
    "fuse.davfs2", "fuse.s3fs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs",
})  # fmt: skip
"""As `/proc/self/mountinfo` has them; shared folders of virtual machines are such, too."""
MEMORY = frozenset({"tmpfs", "ramfs"})
MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Where a folder lies.

    Attributes:
        kind: in the kernel's words, such as `ext4` or `nfs4`; empty where it cannot be told.
        free_bytes: for us, not for root.
        free_files: how many more files it takes; None where it does not count them.
    """

    kind: str
    read_only: bool
    free_bytes: int
    total_bytes: int
    free_files: int | None

    @property
    def is_network(self) -> bool:
        """Locks and shared memory do not work there, or not well enough."""
        return self.kind in NETWORK

    @property
    def is_memory(self) -> bool:
        """It is empty after the PC's next start."""
        return self.kind in MEMORY


def file_system_of(folder: Path, mounts: Path = MOUNTS) -> FileSystem:
    """Raises OSError: there is no such folder, or it may not be searched."""
    found = os.statvfs(folder)
    usage = shutil.disk_usage(folder)
    return FileSystem(
        kind=_kind(folder.resolve(), mounts),
        read_only=bool(found.f_flag & os.ST_RDONLY),
        free_bytes=usage.free,
        total_bytes=usage.total,
        free_files=found.f_favail if found.f_files else None,
    )


def _kind(folder: Path, mounts: Path) -> str:
    """That of the longest mount point above the folder; of two with one name the later one, which hides the other."""
    best, kind = -1, ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_unescaped(fields[4]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def _unescaped(text: str) -> str:
    """proc(5): space, tab, line feed and backslash are octal."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
