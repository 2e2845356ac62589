"""The systemd unit that syncd is installed as, where it is: with what rights it runs, and how it last ended."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNIT = "syncd.service"
CONFIGURATIONS = Path("/etc/syncd")
"""`/etc/syncd/NAME.toml` is what the unit `syncd@NAME` runs with, on a PC with several stores or tills."""
BOOTED = Path("/run/systemd/system")
"""There where systemd is the service manager, sd_booted(3)."""
SYSTEMCTL_TIMEOUT_SECONDS = 10
CLD_KILLED_OR_DUMPED = {"2", "3"}
_OF_A_DAEMON = re.compile(r"(Exec|Restart|Timeout|Watchdog|Standard|Kill|SuccessExitStatus|Type|NotifyAccess|PIDFile|OOMPolicy)")
"""Settings that say how a daemon is started, watched and stopped, not what it may do."""

FIRST_OF_SYSTEMD = 200
"""Exit codes from here on are systemd's own (systemd.exec(5), process exit codes)."""
EXITS = {
    64: "its command line is wrong (see ExecStart=)",
    74: "the disk or a database cannot be used",
    75: "another syncd holds the store",
    77: "a permission is missing",
    78: "its configuration cannot be used",
    203: "its program is not there, or the service's user may not run it (umask 022 when it is installed)",
    216: "a group of the unit does not exist (Group=, SupplementaryGroups=)",
    217: "the unit's user does not exist (systemd-sysusers makes it)",
    226: "a folder that the unit names is not there (ReadWritePaths=), or a sandbox cannot be made",
    243: "a file of LoadCredential= is not there or cannot be read",
}
"""How a start ends that did not work, in words: our own exit codes, and those of systemd's that wait for a person."""


@dataclass(frozen=True, slots=True)
class Service:
    """The unit as systemd has put it together from its file and its drop-ins.

    Attributes:
        unit: its name.
        user: whose rights it has.
        settings: the lines of `[Service]` that decide what it may do, in their order: `User=syncd`. Only root may read all of them.
        start: the words of `ExecStart=`.
    """

    unit: str
    user: str
    settings: tuple[str, ...]
    start: tuple[str, ...]

    @property
    def config_file(self) -> Path | None:
        """The configuration that it is started with, where its command line names one."""
        at = self.start.index("--config") + 1 if "--config" in self.start else len(self.start)
        return Path(self.start[at]) if at < len(self.start) else None

    def run(self, *arguments: str, environ: dict[str, str]) -> int:
        """Run `syncd ARGUMENTS` with the rights, credentials and paths of the service, on our own standard streams; its exit code."""
        properties = [f"--property={line}" for line in (*self.settings, "RuntimeDirectoryPreserve=yes")]
        variables = [f"--setenv={name}={value}" for name, value in environ.items()]
        command = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", *properties, *variables, self.start[0], *arguments]
        return subprocess.run(command, check=False).returncode  # noqa: S603 - the unit is root's own


def unit_of(config_file: Path | None) -> str:
    """The unit that runs with this configuration; None is the one that a PC with a single store has."""
    if config_file is None or config_file.parent != CONFIGURATIONS or config_file.suffix != ".toml" or config_file.stem == "syncd":
        return UNIT
    return f"syncd@{config_file.stem}.service"


def installed_service(unit: str = UNIT) -> Service | None:
    """The unit; None where there is none, or no systemd that could be asked."""
    shown = _show(unit, "LoadState", "User", "ExecStart")
    words = shlex.split(shown.get("ExecStart", "").partition("argv[]=")[2].partition(" ; ")[0])
    if shown.get("LoadState") != "loaded" or not words:
        return None
    return Service(unit, shown.get("User") or "root", sandbox(systemctl("cat", unit), unit), tuple(words))


def sandbox(text: str, unit: str = UNIT) -> tuple[str, ...]:
    """The settings in what `systemctl cat` printed, the unit's file and then its drop-ins: an empty one undoes those before it."""
    instance = unit.removesuffix(".service").partition("@")[2]
    section, settings = "", []
    for line in text.replace("\\\n", " ").splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and key and key[0] not in "#;" and not _OF_A_DAEMON.match(key):
            settings.append(f"{key}={value.replace('%i', instance)}")
    return tuple(settings)


def last_exit(unit: str = UNIT) -> str | None:
    """Why the service does not run, in words; None where it does, or where systemd cannot be asked."""
    names = ("LoadState", "ActiveState", "SubState", "ExecMainCode", "ExecMainStatus", "ExecMainExitTimestamp", "StatusText")
    return describe_exit(_show(unit, *names), unit)


def describe_exit(shown: dict[str, str], unit: str = UNIT) -> str | None:
    """What `systemctl show` says of a service that does not run; None for one that runs, or that is not there."""
    if shown.get("LoadState") != "loaded" or shown.get("ActiveState") in {"active", "reloading", "deactivating"}:
        return None
    if shown.get("SubState") in {"start", "start-pre"}:
        return "systemd is just starting it"
    if not shown.get("ExecMainExitTimestamp"):
        return f"systemd has not started it since the PC was: systemctl start {unit}"
    status = int(shown.get("ExecMainStatus") or 0)
    if shown.get("ExecMainCode") in CLD_KILLED_OR_DUMPED:
        how, why = f"was killed by signal {status}", ""
    else:
        how = f"ended with exit code {status}"
        why = shown.get("StatusText") or EXITS.get(status, "") if status else ""
    again = "; systemd will start it again" if shown.get("SubState") == "auto-restart" else ""
    more = f"journalctl -u {unit.removesuffix('.service')} tells more"
    return f"it {how} at {shown['ExecMainExitTimestamp']}{f': {why}' if why else ''}{again} ({more})"


def _show(unit: str, *names: str) -> dict[str, str]:
    """Properties of the unit, as anybody may ask for them."""
    lines = systemctl("show", unit, f"--property={','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def systemctl(*arguments: str) -> str:
    """What systemctl printed; nothing where it fails, or where there is no systemd that could be asked."""
    if not BOOTED.is_dir() or not shutil.which("systemctl"):
        return ""
    command = ["systemctl", "--no-pager", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
