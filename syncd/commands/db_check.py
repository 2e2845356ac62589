"""`syncd check --db`: the store's files one by one, and what they lie on. Reads only, and leaves no file behind."""

from __future__ import annotations

import sqlite3
import stat
import time
from typing import TYPE_CHECKING

from syncd.commands.findings import Finding
from syncd.errors import ExitCode, SyncdError
from syncd.store.check import is_wal, read_without_a_trace
from syncd.store.checkpoint import LARGE_BYTES
from syncd.store.file_system import file_system_of
from syncd.store.migrate import plan
from syncd.store.names import UNPREFIXED, names_in
from syncd.store.permissions import GROUP_WRITES, require_own_database, require_writable
from syncd.store.quick_check import LONGEST_SECONDS, quick_check
from syncd.store.sqlite_errors import translate
from syncd.users import group_name, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from syncd.config.settings import DatabaseSettings
    from syncd.store.names import Names

MEBIBYTE = 2**20
LEAST_FREE_BYTES = 32 * MEBIBYTE
"""Below this sales are at risk: the write-ahead log alone may need it."""
SCARCE_FREE_BYTES = 512 * MEBIBYTE
LEAST_FREE_FILES = 100
WAL_BUG_MENDED = (3, 51, 3)
"""Before it, a checkpoint at the moment another connection begins the log anew could damage the file; very rare."""


def check_databases(paths: DatabaseSettings) -> Iterator[Finding]:
    """Every file and every folder, one finding for each thing that was looked at."""
    yield _sqlite()
    one_file = paths.path == paths.outbox_path
    files = {paths.path: ("outbox", "store") if one_file else ("store",)}
    if not one_file:
        files[paths.outbox_path] = ("outbox",)
    files[paths.state_path] = ("journal",)
    yield from check_disks(paths)
    for path, components in files.items():
        yield from _file(path, components, UNPREFIXED if path == paths.state_path else names_in(paths))


def check_disks(paths: DatabaseSettings) -> Iterator[Finding]:
    """What the databases lie on: its kind, its room."""
    for folder in dict.fromkeys(path.resolve().parent for path in (paths.path, paths.outbox_path, paths.state_path)):
        yield from _folder(folder)


def _sqlite() -> Finding:
    version = ".".join(map(str, sqlite3.sqlite_version_info))
    if sqlite3.sqlite_version_info >= WAL_BUG_MENDED:
        return Finding(f"SQLite: version {version}")
    mended = ".".join(map(str, WAL_BUG_MENDED))
    return Finding(f"SQLite: version {version}; note: before {mended} a very rare bug can damage a database in WAL mode: keep backups")


def _folder(folder: Path) -> Iterator[Finding]:
    try:
        disk = file_system_of(folder)
    except OSError as error:
        yield Finding(f"disk: {folder}: {error.strerror}", ExitCode.PERMISSION if isinstance(error, PermissionError) else ExitCode.IO)
        return
    kind = disk.kind or "a file system that cannot be told"
    if disk.is_network:
        yield Finding(f"disk: {folder} is on a network share ({kind}): SQLite's WAL does not work there; use a local disk", ExitCode.IO)
    elif disk.is_memory:
        yield Finding(f"disk: {folder} is in memory ({kind}): all is gone when the PC is switched off", warning=True)
    if disk.read_only:
        yield Finding(f"disk: {folder} is on a file system that is mounted read-only", ExitCode.IO)
    room = f"{disk.free_bytes / MEBIBYTE:,.0f} MiB of {disk.total_bytes / MEBIBYTE:,.0f} MiB free on {kind}"
    if disk.free_bytes < LEAST_FREE_BYTES:
        yield Finding(f"disk: {folder}: {room}: make room, sales are at risk", ExitCode.IO)
    elif disk.free_files is not None and disk.free_files < LEAST_FREE_FILES:
        yield Finding(f"disk: {folder}: room for {disk.free_files} more files only (inodes): remove some", ExitCode.IO)
    else:
        yield Finding(f"disk: {folder}: {room}", warning=disk.free_bytes < SCARCE_FREE_BYTES)


def _file(path: Path, components: Sequence[str], names: Names) -> Iterator[Finding]:
    try:
        if components == ("journal",):
            require_own_database(path)
        require_writable(path)
    except SyncdError as error:
        yield Finding(f"file: {error}", error.exit_code)
        return
    if not path.exists():
        yield Finding(f"file: {path} is not there yet: `syncd run` makes it")
        return
    yield _rights(path, shared=components != ("journal",))
    yield _log(path)
    try:
        yield from read_without_a_trace(path, names, lambda connection: list(_content(connection, path, components)))
    except sqlite3.Error as error:
        translated = translate(error, path)
        yield Finding(f"file: {translated}", translated.exit_code)
    except OSError as error:
        yield Finding(f"file: {path}: {error.strerror}", ExitCode.IO)


def _rights(path: Path, *, shared: bool) -> Finding:
    """The till shares its files by their group; our own file is nobody else's affair."""
    found = [file for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")) if file.exists()]
    words = ", ".join(_whose(file) for file in found)
    narrow = [file.name for file in found if file.stat().st_mode & GROUP_WRITES != GROUP_WRITES]
    if shared and narrow:
        return Finding(f"rights: {words}: a till of another user cannot write {', '.join(narrow)} (chmod 660)", warning=True)
    return Finding(f"rights: {words}")


def _whose(file: Path) -> str:
    found = file.stat()
    return f"{file.name} {user_name(found.st_uid)}:{group_name(found.st_gid)} {stat.S_IMODE(found.st_mode):o}"


def _log(path: Path) -> Finding:
    log = path.with_name(f"{path.name}-wal")
    size, in_log = path.stat().st_size, log.stat().st_size if log.exists() else 0
    text = f"size: {path}: {size / MEBIBYTE:,.1f} MiB, write-ahead log {in_log / MEBIBYTE:,.1f} MiB"
    if in_log > LARGE_BYTES:
        return Finding(f"{text}: a program that keeps a read transaction open does not let it begin anew", warning=True)
    return Finding(text)


def _content(connection: sqlite3.Connection, path: Path, components: Sequence[str]) -> Iterator[Finding]:
    began = time.monotonic()
    problems = quick_check(connection)
    if problems is None:
        yield Finding(f"content: {path}: quick_check was not through after {LONGEST_SECONDS:.0f} s; nothing wrong was found till then")
    elif problems:
        yield Finding(f"content: {path} is damaged: {'; '.join(problems)}", ExitCode.IO)
    else:
        yield Finding(f"content: {path}: quick_check found nothing wrong ({time.monotonic() - began:.1f} s)")
    if not is_wal(path):
        yield Finding(f"content: {path} is not in WAL mode; `syncd run` sets it", warning=True)
    for component in components:
        try:
            now = plan(connection, path, component)
        except SyncdError as error:
            yield Finding(f"tables: {error}", error.exit_code)
        else:
            if now.done:
                yield Finding(f"tables: {path}: {component}, version {now.version}")
            else:
                yield Finding(f"tables: {path}: {component}: `syncd run` makes them, or brings them up to date")
