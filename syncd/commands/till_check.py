"""`syncd check` for the user of a till: may it sell into the database, and does it leave syncd its share?"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from syncd.commands.findings import Finding, rights
from syncd.config.settings import Settings
from syncd.config.sources import find_file, read_environment, read_toml
from syncd.config.values import plain_prefix
from syncd.errors import ExitCode, SyncdError
from syncd.store.check import read_without_a_trace
from syncd.store.names import has_table, prefixed
from syncd.users import group_name, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.store.names import Names

GROUP_WRITES = stat.S_IRGRP | stat.S_IWGRP


def check_till(config_file: Path | None, service_user: str) -> Iterator[Finding]:
    """What a till needs: its database, with the outbox in it, and a folder for SQLite's files beside it."""
    yield Finding(f"rights: {rights()}; what a till needs (as root: what the service needs)")
    try:
        outbox, prefix, token = _places(config_file)
    except (SyncdError, OSError) as error:
        hint = f"put {user_name(os.geteuid())} into the group {service_user}; it holds from the next login on"
        yield Finding(f"{error} ({hint})", ExitCode.PERMISSION)
        return
    try:
        names = prefixed(plain_prefix(prefix))  # it becomes part of SQL, and nobody has checked it yet
    except ValueError as error:
        yield Finding(f"configuration: database.table_prefix {error}", ExitCode.CONFIGURATION)
        return
    if token is not None and os.access(token, os.R_OK):
        mend = f"chown {service_user} {token}; chmod 400 {token}"
        yield Finding(f"secret: a till's user can read HQ's token in {token}: {mend}", warning=True)
    folder = _folder(outbox.parent)
    yield folder
    if folder.code:
        return
    if not outbox.exists():
        yield Finding(f"database: {outbox} is not there yet: `syncd run` makes it for both; if the till makes it, then chmod 660 {outbox}")
        return
    yield _file(outbox)
    yield _outbox(outbox, names)


def _places(config_file: Path | None) -> tuple[Path, object, Path | None]:
    """The outbox' database, its tables' prefix, and the token's file. The rest of the configuration does not concern a till."""
    file, _ = find_file(config_file, os.environ)
    document = read_toml(file, required=True) or {}
    environment = read_environment(Settings, os.environ)
    database, hub = ({**document.get(section, {}), **environment.get(section, {})} for section in ("database", "hub"))
    path, token = database.get("outbox_path") or database.get("path"), hub.get("access_token_file")
    if not isinstance(path, str):
        raise FileNotFoundError(f"{file} names no database.path")
    return Path(path), database.get("table_prefix", ""), Path(token) if isinstance(token, str) and token else None


def _folder(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding(f"folder: {folder} is not there", ExitCode.IO)
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(f"folder: {folder} can be written, for SQLite's files beside the database")
    return Finding(
        f"folder: {folder} may not be written by this user{_owner(folder)}: SQLite needs files beside the database", ExitCode.PERMISSION
    )


def _file(path: Path) -> Finding:
    """The till may read and write it, and so may syncd: SQLite makes a database 644 at most, and its -wal and -shm files likewise."""
    group = path.parent.stat().st_gid
    for file in filter(Path.exists, (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))):
        status = file.stat()
        shared = status.st_gid == group and status.st_mode & GROUP_WRITES == GROUP_WRITES
        if not os.access(file, os.R_OK | os.W_OK) or (status.st_uid == os.geteuid() and not shared):
            who = "syncd" if os.access(file, os.R_OK | os.W_OK) else "this user"
            mend = f"chgrp {group_name(group)} {file}; chmod 660 {file}"
            return Finding(f"database: {file} may not be read and written by {who}{_owner(file)}: {mend}", ExitCode.PERMISSION)
    return Finding(f"database: {path} can be read and written")


def _outbox(path: Path, names: Names) -> Finding:
    table = names.of("sync_outbox")
    try:
        found = read_without_a_trace(path, names, lambda connection: has_table(connection, "sync_outbox"))
    except sqlite3.Error as error:
        return Finding(f"outbox: {path}: {error}", ExitCode.IO)
    return Finding(f"outbox: the table {table} is there" if found else f"outbox: no table {table} yet; `syncd run` makes it")


def _owner(path: Path) -> str:
    status = path.stat()
    return f" (owner {user_name(status.st_uid)}, group {group_name(status.st_gid)}, mode {stat.S_IMODE(status.st_mode):o})"
