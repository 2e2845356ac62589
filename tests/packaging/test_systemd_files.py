from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.cli import cli
from syncd.commands.service import EXITS, FIRST_OF_SYSTEMD
from syncd.config.settings import StatusSettings
from syncd.config.sources import CREDENTIALS, DEFAULT_CONFIG_FILE
from syncd.daemon import DRAIN_SECONDS
from syncd.errors import ExitCode
from tests.support.requirements import need

FOLDER = Path(__file__).parents[2] / "systemd"
HARDLY_EXPOSED = "11"
"""Tenths on systemd's scale, on which a service without any hardening has 96."""


def unit_values(key: str, unit: str = "syncd.service") -> list[str]:
    """Every value of a key, those in comments too."""
    lines = (FOLDER / unit).read_text().splitlines()
    return [line.lstrip("#").partition("=")[2] for line in lines if line.lstrip("#").startswith(f"{key}=")]


def systemd(program: str, *arguments: str | Path) -> str:
    """What the program said; fails where it fails."""
    need("systemd", shutil.which(program) is not None, f"there is no {program}")
    command = [program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.fixture(params=["syncd.service", "syncd@.service"])
def unit(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The unit as it would be on a PC where its programs are installed: `systemd-analyze` looks whether they are there."""
    text = (FOLDER / request.param).read_text()
    for program in ("/opt/syncd/bin/syncd", "/bin/kill"):
        text = text.replace(program, "/bin/true")
    file = tmp_path / str(request.param).replace("@", "@lane1")
    file.write_text(text)
    return file


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    assert systemd("systemd-analyze", "verify", "--man=no", unit) == ""


def test_the_unit_is_hardened(unit: Path) -> None:
    systemd("systemd-analyze", "security", "--offline=yes", f"--threshold={HARDLY_EXPOSED}", unit)


def test_the_user_and_the_folders_are_made_so_that_a_till_of_the_group_can_share_them(tmp_path: Path) -> None:
    need("systemd", os.geteuid() == 0, "giving folders to users takes root")
    (tmp_path / "etc").mkdir()
    systemd("systemd-sysusers", f"--root={tmp_path}", FOLDER / "syncd.sysusers")
    systemd("systemd-tmpfiles", f"--root={tmp_path}", "--create", FOLDER / "syncd.tmpfiles")
    _, _, uid, gid, *_ = (tmp_path / "etc" / "passwd").read_text().strip().split(":")
    store, settings = ((tmp_path / path).stat() for path in ("var/lib/syncd", "etc/syncd"))
    assert (oct(store.st_mode & 0o7777), str(store.st_uid), str(store.st_gid)) == ("0o2770", uid, gid)
    assert (oct(settings.st_mode & 0o7777), settings.st_uid, str(settings.st_gid)) == ("0o750", 0, gid)


def test_the_unit_says_what_the_program_means() -> None:
    [start] = unit_values("ExecStart")
    _, command, option, file = start.split()
    assert any(option in parameter.opts for parameter in cli.commands[command].params)
    assert Path(file) == DEFAULT_CONFIG_FILE
    final = {ExitCode.USAGE, ExitCode.PERMISSION, ExitCode.CONFIGURATION}
    of_systemd = sorted(code for code in EXITS if code >= FIRST_OF_SYSTEMD)
    assert unit_values("RestartPreventExitStatus") == [" ".join(str(int(code)) for code in [*sorted(final), *of_systemd])]
    assert float(unit_values("TimeoutStopSec")[0].removesuffix("s")) > DRAIN_SECONDS
    assert [Path("/run", name) for name in unit_values("RuntimeDirectory")] == [StatusSettings().path.parent]
    assert unit_values("LoadCredential")[0].partition(":")[0] in CREDENTIALS["access_token_file"]


def test_an_instance_for_one_of_several_stores_differs_from_the_single_ones_unit_only_in_its_places() -> None:
    lines = [(FOLDER / name).read_text().splitlines() for name in ("syncd.service", "syncd@.service")]
    single, instance = ([line for line in of_one if line and line[0] != "#"] for of_one in lines)
    differing = [(one, other) for one, other in zip(single, instance, strict=True) if one != other]
    assert [other for _, other in differing] == [
        "Description=Keeps the store's database and headquarters in step (%i)",
        "ExecStart=/opt/syncd/bin/syncd run --config /etc/syncd/%i.toml",
        "StateDirectory=syncd/%i",
        "RuntimeDirectory=syncd/%i",
    ]
    assert unit_values("LoadCredential", "syncd@.service") == ["hub_access_token:/etc/syncd/%i.hub_access_token"]
