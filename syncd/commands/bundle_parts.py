"""The parts of a support bundle: each a text without secrets and payloads. One that cannot be made says why in its place."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from syncd import __version__
from syncd.clock import SystemClock, iso_ms
from syncd.commands.check import check_all
from syncd.commands.healthcheck import locate
from syncd.commands.service import BOOTED, systemctl, unit_of
from syncd.config.settings import load_settings
from syncd.config.sources import find_credentials, find_file
from syncd.errors import SyncdError
from syncd.redaction import HIDDEN, known_secrets, redact, redact_value
from syncd.status.reader import read_health
from syncd.store.bundle_figures import figures
from syncd.store.quarantine_admin import quarantined
from syncd.users import group_name, user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncd.config.settings import Settings

LOG_LINES = 2000
SHOWN = 50
COMMAND_SECONDS = 20
LONGEST_SECRET_FILE = 64 * 1024
_SECRET_LINE = re.compile(r"^(\s*[\w.]*(?:token|password|secret|key|proxy)[\w.]*(?<!_file)\s*=\s*).*$", re.IGNORECASE | re.MULTILINE)
_SECRET_FILES = ("access_token_file", "proxy_file")
_QUERY = re.compile(r"((?:https?|wss?)://[^\s\"'?#]+\?)[^\s\"'#]+")
_QUOTED = re.compile(r"(?P<quote>['\"]).+?(?P=quote)")


class Parts:
    """Makes all parts of one bundle.

    Args:
        config_file: as it was named on the command line.
    """

    def __init__(self, config_file: Path | None) -> None:
        self._config_file = config_file
        self._file, _ = find_file(config_file, os.environ)
        self._unit = unit_of(self._file)
        self.settings: Settings | None = None
        self.error: str | None = None
        try:
            self.settings = load_settings(config_file)
        except (SyncdError, OSError) as error:
            self.error = str(error)
        self._know_secrets()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each part's name and content."""
        parts: tuple[tuple[str, Callable[[], str]], ...] = (
            ("about.txt", self._about), ("versions.txt", self._versions), ("configuration.txt", self._configuration),
            ("status.json", self._status), ("check.txt", self._check), ("database.json", self._database),
            ("quarantine.txt", self._quarantine), ("files.txt", self._files),
            ("service.txt", self._service), ("log.txt", self._log),
        )  # fmt: skip
        for name, make in parts:
            try:
                text = make()
            except (SyncdError, OSError, ValueError, sqlite3.Error, subprocess.SubprocessError) as error:
                text = f"this part could not be made: {type(error).__name__}: {error}\n"
            yield name, _QUERY.sub(rf"\g<1>{HIDDEN}", redact(text)).encode("utf-8", "backslashreplace")

    @property
    def store(self) -> str:
        """Its id, fit for a file's name."""
        return re.sub(r"[^\w-]", "_", str(self.settings.store.id), flags=re.ASCII)[:40] if self.settings else "unknown"

    def _know_secrets(self) -> None:
        """What is in the token's file and its like is hidden wherever it stands; an opaque token looks like any word."""
        section = self._document().get("hub")
        hub = section if isinstance(section, dict) else {}
        named = {key: os.environ.get(f"SYNCD_HUB__{key.upper()}") or hub.get(key) for key in _SECRET_FILES}
        paths = [*named.values(), *find_credentials(os.environ).values()]
        paths += re.findall(r"^LoadCredential=[^:\n]+:(/\S+)", systemctl("cat", self._unit), re.MULTILINE)
        for path in filter(None, paths):
            try:
                with Path(str(path)).open("rb") as file:
                    text = file.read(LONGEST_SECRET_FILE).decode("utf-8", "replace")
            except OSError:  # whoever may not read it has no secret to tell
                continue
            if len(text.split()) == 1:  # not the lines of a key: only so many secrets are remembered, and nothing repeats those
                known_secrets.add(text.strip(), _password(text.strip()))

    def _document(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):
            return {}

    def _about(self) -> str:
        now = SystemClock().now()
        return (
            f"A support bundle of syncd {__version__}, made at {iso_ms(now)} ({now.astimezone():%Y-%m-%d %H:%M:%S %Z} here)\n"
            f"by user {user_name(os.geteuid())}. Secrets are {HIDDEN}, and no payload of a sale or an update is in it.\n"
            f"Store: {self.settings.store.id if self.settings else 'not known: ' + (self.error or '')}\n"
        )

    def _versions(self) -> str:
        lines = [f"syncd {__version__} in {sys.prefix}", f"Python {sys.version}", f"SQLite {sqlite3.sqlite_version}", platform.platform()]
        release = Path("/etc/os-release")
        if release.exists():
            lines += [line for line in release.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("PRETTY_NAME")]
        names = sorted(re.split(r"[^\w.-]", one)[0] for one in importlib.metadata.requires("syncd") or [] if "extra ==" not in one)
        lines += [f"{name} {importlib.metadata.version(name)}" for name in names]
        return "\n".join(lines) + "\n\n" + _output("timedatectl", "show", "--property=Timezone", "--property=NTPSynchronized")

    def _configuration(self) -> str:
        lines = [f"# {self._file}", f"# {self.error or 'it can be used'}"]
        document = self._document()
        if document:
            for section, keys in document.items():
                lines.append(f"[{section}]")
                shown = keys.items() if isinstance(keys, dict) else [("", keys)]
                lines += [f"{key} = {json.dumps(redact_value(key, value), default=str)}" for key, value in shown]
        elif self._file.exists():  # it is no TOML, or may not be read: comments may hold anything, so they are left out
            text = "\n".join(line.split("#")[0] for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines())
            lines.append(_SECRET_LINE.sub(rf"\g<1>{HIDDEN}", text))
        lines.append("\n# the environment")
        ours = sorted((name, value) for name, value in os.environ.items() if name.startswith("SYNCD_"))
        lines += [f"{name} = {redact_value(name, value)}" for name, value in ours]
        lines += [f"{name} is set" for name in sorted(os.environ) if name.lower() in {"https_proxy", "http_proxy", "no_proxy", "all_proxy"}]
        return "\n".join(lines) + "\n"

    def _status(self) -> str:
        path = locate(None, self._config_file)
        daemon = read_health(path)
        found = {"file": str(path), "verdict": daemon.health, "reasons": daemon.reasons, "document": daemon.document}
        return json.dumps(redact_value("", found), indent=2) + "\n"

    def _check(self) -> str:
        findings = check_all(self._config_file, ask_hub=False, look_at_files=True)
        words = {True: "NOT OK", False: "ok"}
        return "".join(f"{'WARNING' if f.warning and not f.code else words[bool(f.code)]}  {f.text}\n" for f in findings)

    def _database(self) -> str:
        if self.settings is None:
            raise ValueError("without a usable configuration it is not known where the database is")
        return json.dumps(figures(self.settings.database), indent=2, default=str) + "\n"

    def _quarantine(self) -> str:
        """Why updates could not be applied; what stands in quotes there may be what HQ sent."""
        if self.settings is None:
            raise ValueError("without a usable configuration it is not known where the database is")
        total, entries = quarantined(self.settings.database, SHOWN)
        lines = [f"{total:,} entries"]
        for entry in entries:
            reason = _QUOTED.sub(HIDDEN, entry.reason)
            lines.append(f"{entry.id}  {entry.received_at}  {entry.method}  {entry.entity_type}  {entry.correlation_id}: {reason}")
        return "\n".join(lines) + "\n"

    def _files(self) -> str:
        paths = [self._file]
        if self.settings is not None:
            database = self.settings.database
            folders = dict.fromkeys((database.path.parent, database.outbox_path.parent, database.state_path.parent))
            paths += [*folders, *(found for folder in folders for found in sorted(folder.glob(f"{database.path.stem}*")))]
            hub = self.settings.hub
            paths += [path for path in (hub.access_token_file, hub.proxy_file, hub.client_key_file, hub.ca_file) if path]
            paths += [self.settings.status.path.parent, self.settings.status.path]
        return "\n".join(map(_listed, paths)) + "\n"

    def _service(self) -> str:
        if not BOOTED.is_dir():
            return "systemd does not run this machine, or this container\n"
        names = "LoadState,ActiveState,SubState,MainPID,NRestarts,ExecMainStatus,ExecMainExitTimestamp,StatusText,MemoryCurrent"
        text = systemctl("show", self._unit, f"--property={names}") + "\n" + systemctl("cat", self._unit)
        return _SECRET_LINE.sub(rf"\g<1>{HIDDEN}", text)

    def _log(self) -> str:
        if not shutil.which("journalctl"):
            return "there is no journald here; the log is wherever standard output goes (docker logs, for example)\n"
        return _output("journalctl", "--unit", self._unit, "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso")


def _password(url: str) -> str | None:
    """Of a proxy; None where this is no URL with one."""
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def _output(*command: str) -> str:
    """What a program printed, its complaints included: that it may not be read is worth knowing, too."""
    if not shutil.which(command[0]):
        return f"there is no {command[0]} here\n"
    done = subprocess.run(  # noqa: S603 - fixed words
        command, capture_output=True, text=True, errors="replace", timeout=COMMAND_SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    return f"$ {' '.join(command)}\n{done.stdout}{done.stderr}"


def _listed(path: Path) -> str:
    try:
        found = path.lstat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    written = iso_ms(datetime.fromtimestamp(found.st_mtime, UTC))
    owner = f"{user_name(found.st_uid)}:{group_name(found.st_gid)}"
    link = f" -> {path.readlink()}" if stat.S_ISLNK(found.st_mode) else ""
    return f"{stat.filemode(found.st_mode)} {owner:20} {found.st_size:>14,} {written} {path}{link}"
