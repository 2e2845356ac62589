from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd import __version__
from syncd.config.settings import Settings, StatusSettings
from syncd.config.sources import known_keys, variable_of
from syncd.errors import ExitCode
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.image import Image

pytestmark = [pytest.mark.timeout(3000), pytest.mark.xdist_group("image")]

COMPOSE = (Path(__file__).parents[2] / "compose.yaml").read_text(encoding="utf-8")
US = 10_001
TILL = 1000
SALE = """
import sqlite3
db = sqlite3.connect("/var/lib/syncd/store.db", timeout=10)
db.execute("INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('Receipt', 1, 'Create', '{}')")
db.commit()
"""
LIFE = """
syncd run & daemon=$!
until syncd healthcheck 2>&1 | grep -q healthy; do kill -0 $daemon || exit 99; done
syncd healthcheck
kill -TERM $daemon
wait $daemon && stat -c '%U %G %n' /var/lib/syncd/store.db
"""


def test_it_tells_its_version(image: Image) -> None:
    assert image.run("syncd", "--version").stdout == f"syncd {__version__}\n"


def test_it_runs_as_a_user_of_its_own(image: Image) -> None:
    assert image.run("id", "-u").stdout == "10001\n"


def test_without_settings_it_says_what_is_missing(image: Image) -> None:
    result = image.run("syncd", "run")
    assert result.returncode == ExitCode.CONFIGURATION
    assert "store.id" in result.stderr


def test_without_a_daemon_the_health_check_fails(image: Image) -> None:
    result = image.run("syncd", "healthcheck")
    assert result.returncode == 1
    assert result.stdout.startswith("missing")


def test_settings_from_the_environment_are_enough_and_sigterm_ends_it_well(image: Image) -> None:
    result = image.run(
        "sh",
        "-c",
        LIFE,
        SYNCD_STORE__ID="17",
        SYNCD_DATABASE__PATH="/var/lib/syncd/store.db",
        SYNCD_HUB__URL="http://127.0.0.1:9/hubs/sync",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("syncd syncd /var/lib/syncd/store.db\n")


def test_the_image_says_how_it_is_started_watched_and_stopped(image: Image) -> None:
    config = json.loads(image.buildah("inspect", "--type=image", image.name).stdout)["Docker"]["config"]
    assert config["Entrypoint"] == ["syncd"]
    assert config["Cmd"] == ["run"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "syncd", "healthcheck"]
    assert list(config["Volumes"]) == ["/var/lib/syncd"]


def test_the_image_has_the_labels_of_the_oci(image: Image) -> None:
    labels = json.loads(image.buildah("inspect", "--type=image", image.name).stdout)["Docker"]["config"]["Labels"]
    told = {
        name.removeprefix("org.opencontainers.image."): value for name, value in labels.items() if name.startswith("org.opencontainers.")
    }
    assert (told["title"], told["version"], told["licenses"]) == ("syncd", __version__, "MIT")
    assert set(told) == {"title", "description", "version", "licenses", "vendor"}


def test_only_what_runs_is_in_the_image(image: Image) -> None:
    assert not list(image.root.glob("opt/syncd/bin/pip*"))
    assert not (image.root / "src").exists()


def test_the_compose_file_fits_the_program_and_the_image(image: Image) -> None:
    assert set(re.findall(r"SYNCD_\w+", COMPOSE)) <= {variable_of(key) for key in known_keys(Settings)}
    assert f"- {StatusSettings().path.parent}:mode=1777 " in COMPOSE
    assert image.run("id", "-g").stdout == f"{US}\n"
    for line in ("read_only: true", "restart: on-failure:10", "stop_grace_period: 30s"):
        assert line in COMPOSE


@pytest.fixture
def shared() -> Iterator[Path]:
    """The folders of the host that the compose file mounts, as the README makes them."""
    with tempfile.TemporaryDirectory(prefix="syncd-shared-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        subprocess.run(["install", "-d", "-m", "2770", "-g", str(US), folder / "pos"], check=True)
        subprocess.run(["install", "-m", "400", "-o", str(US), "-g", str(US), "/dev/null", folder / "token"], check=True)
        (folder / "token").write_text("s3cr3t")
        yield folder


async def container(image: Image, name: str, shared: Path, *arguments: str) -> asyncio.subprocess.Process:
    """A container of the image with a read-only root, which has the shared database."""
    options = (
        "--quiet", "--register=no", "--keep-unit", "--private-network", "--link-journal=no", "--console=pipe", "--as-pid2", "--read-only",
        f"--machine={name}", f"--directory={image.root}", f"--bind={shared}/pos:/var/lib/syncd",
    )  # fmt: skip
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        "systemd-nspawn", *options, *arguments, stdin=null, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )


async def test_on_a_read_only_root_it_shares_its_database_with_a_till_in_another_container(image: Image, shared: Path) -> None:
    need("nspawn", os.geteuid() == 0 and shutil.which("systemd-nspawn") is not None, "a read-only root takes root and systemd-nspawn")
    with (image.root / "etc/passwd").open("a") as users:
        users.write(f"till:x:{TILL}:{US}::/:/bin/sh\n")
    variables = {"SYNCD_STORE__ID": "17", "SYNCD_DATABASE__PATH": "/var/lib/syncd/store.db", "SYNCD_HUB__URL": "http://127.0.0.1:9/hub"}
    daemon = await container(
        image, "syncd", shared, "--user=syncd", f"--tmpfs=/run/syncd:mode=0755,uid={US},gid={US}",
        f"--bind-ro={shared}/token:/run/secrets/hub_access_token", "--setenv=PATH=/opt/syncd/bin:/usr/bin:/bin",
        *(f"--setenv={name}={value}" for name, value in variables.items()), "sh", "-c", "syncd check; exec syncd run",
    )  # fmt: skip
    try:
        assert daemon.stdout is not None
        said = ""
        while '"event":"started"' not in said:
            line = await asyncio.wait_for(daemon.stdout.readline(), 60)
            assert line, said
            said += line.decode()
        till = await container(image, "till", shared, "--user=till", "python3", "-c", SALE)
        output, _ = await till.communicate()
        assert till.returncode == 0, output
    finally:
        daemon.terminate()
        await asyncio.wait_for(daemon.communicate(), 60)
    assert "NOT OK" not in said
    assert "token from /run/secrets/hub_access_token" in said
    made = (shared / "pos/store.db").stat()
    assert (made.st_uid, made.st_gid, oct(made.st_mode & 0o777)) == (US, US, "0o660")
