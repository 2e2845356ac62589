from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from syncd import __version__
from syncd.errors import ExitCode

if TYPE_CHECKING:
    from tests.support.image import Image

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("image")]

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


def test_only_what_runs_is_in_the_image(image: Image) -> None:
    assert not list(image.root.glob("opt/syncd/bin/pip*"))
    assert not (image.root / "src").exists()
