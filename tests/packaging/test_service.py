"""The unit under a real systemd: the image's file system is booted as a store PC, in which one script does what an operator would."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd.errors import ExitCode
from tests.support.booted import boot, enable, write
from tests.support.image import Image
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.timeout(3000), pytest.mark.xdist_group("image")]

FOLDER = Path(__file__).parents[2] / "systemd"
SETTINGS = """
[store]
id = 17
[database]
path = "/var/lib/syncd/store.db"
[hub]
url = "http://127.0.0.1:9/hubs/sync"
"""
TILL_USER = "u till - -\nm till syncd\n"
SALE = "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload) VALUES ('Receipt', 1, 'Create', '{}')"
SCRIPT = f"""
wait_for() {{ until [ "$(systemctl show syncd --property=NRestarts,ActiveState --value | paste -s -d ' ')" = "$1" ]; do :; done; }}
state() {{ systemctl show syncd --property=ActiveState,NRestarts,StatusText,ExecMainStatus > /exam/$1; }}

state started
runuser -u till -- python3 -c "import sqlite3; db = sqlite3.connect('/var/lib/syncd/store.db'); db.execute(\\"{SALE}\\"); db.commit()" \
    > /exam/sale 2>&1

systemctl reload syncd
until journalctl --unit=syncd --grep=configuration_reloaded > /dev/null; do :; done
wait_for '0 active'
state reloaded

systemctl kill --signal=KILL syncd
wait_for '1 active'
state killed

systemctl stop syncd
state stopped
cp /run/syncd/status.json /exam/status.json

echo 'no TOML' >> /etc/syncd/syncd.toml
systemctl start syncd
state misconfigured
"""


@pytest.fixture(scope="module")
def exam(image: Image) -> Mapping[str, str]:
    """What the script wrote, by the name of its file."""
    need("nspawn", os.geteuid() == 0 and shutil.which("systemd-nspawn") is not None, "booting a system takes root and systemd-nspawn")
    root = Image(image.buildah, image.name).root
    write(root / "etc/systemd/system/syncd.service", (FOLDER / "syncd.service").read_text())
    write(root / "usr/lib/sysusers.d/syncd.conf", (FOLDER / "syncd.sysusers").read_text())
    write(root / "usr/lib/sysusers.d/till.conf", TILL_USER)
    write(root / "usr/lib/tmpfiles.d/syncd.conf", (FOLDER / "syncd.tmpfiles").read_text())
    write(root / "etc/syncd/syncd.toml", SETTINGS)
    enable(root, "syncd.service")
    return boot(root, SCRIPT)


def state(exam: Mapping[str, str], moment: str) -> dict[str, str]:
    """What systemd said of the service at a moment of the script."""
    return dict(line.split("=", 1) for line in exam[moment].splitlines())


def test_it_starts_and_says_what_it_is_doing(exam: Mapping[str, str]) -> None:
    started = state(exam, "started")
    assert started["ActiveState"] == "active"
    assert "rows wait for HQ" in started["StatusText"]


def test_a_till_of_the_group_sells_into_the_database_that_syncd_made(exam: Mapping[str, str]) -> None:
    assert exam["sale"] == ""


def test_a_reload_is_no_restart(exam: Mapping[str, str]) -> None:
    assert (state(exam, "reloaded")["ActiveState"], state(exam, "reloaded")["NRestarts"]) == ("active", "0")


def test_a_killed_daemon_is_started_again(exam: Mapping[str, str]) -> None:
    assert state(exam, "killed")["ActiveState"] == "active"


def test_a_stop_is_clean_and_leaves_its_last_status(exam: Mapping[str, str]) -> None:
    stopped = state(exam, "stopped")
    assert (stopped["ActiveState"], stopped["ExecMainStatus"]) == ("inactive", "0")
    assert '"state": "stopped"' in exam["status.json"]


def test_a_bad_configuration_waits_for_a_person(exam: Mapping[str, str]) -> None:
    refused = state(exam, "misconfigured")
    assert (refused["ActiveState"], refused["ExecMainStatus"]) == ("failed", str(int(ExitCode.CONFIGURATION)))
