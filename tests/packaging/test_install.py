"""The way without the package, by the pages of the documentation, word for word, in a Debian that is booted for it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncd import __version__
from tests.support.booted import OPERATOR, SALE, boot, employ_operator, last_words, write
from tests.support.image import debian, registry_settings
from tests.support.pages import commands_of
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.timeout(3000), pytest.mark.xdist_group("image")]

PROJECT = Path(__file__).parents[2]
[INSTALL] = commands_of("docs/install-venv.md")
_, _, GROUP, OF_THE_TILL, CREDENTIAL, START = commands_of("docs/install.md")
[UPGRADE] = commands_of("docs/upgrade.md", "Without the package")
[ROLL_BACK] = commands_of("docs/roll-back.md", "Without the package")
[UNINSTALL] = commands_of("docs/uninstall.md", "Without the package")
NANO = """#!/bin/sh
case $1 in
*.toml) sed -i "s#^url = .*#url = \\"http://127.0.0.1:$(cat /exam/hub-port)/hubs/sync\\"#" "$1" ;;
*) echo s3cr3t > "$1" ;;
esac
"""
SCRIPT = f"""{OPERATOR}
cd /root/syncd

at install
{INSTALL}
systemctl start hq
at group
{GROUP}
at credential
{CREDENTIAL}
await "python3 -c 'import socket; socket.create_connection((\\"127.0.0.1\\", $(cat /exam/hub-port)))'"
at ours-first
{START}
sudo -u pos stat -c '%U %G %a %n' /var/lib/syncd/*
till /var/lib/syncd/store.db "{SALE}"
has 'sent 1'
systemd-analyze security syncd --no-pager | grep Overall

at reload
sed -i 's/^id = .*/id = true/' /etc/syncd/syncd.toml
systemctl reload syncd
await "systemctl status syncd | grep 'old one is in use'"
show
journalctl -u syncd -p warning -o cat
at misconfigured
systemctl restart syncd || failed
show
syncd status
syncd check
sed -i 's/^id = .*/id = 17/' /etc/syncd/syncd.toml

at no-credential
mv /etc/syncd/hub_access_token /root
systemctl restart syncd || failed
show
syncd status
syncd check
mv /root/hub_access_token /etc/syncd

at till-first
rm /var/lib/syncd/*
till /var/lib/syncd/store.db 'CREATE TABLE receipts (id)'
systemctl restart syncd || failed
show
syncd status
syncd check
sudo -u pos syncd check
{OF_THE_TILL}
sudo -u pos syncd check
syncd check --hub
systemctl start syncd
sudo -u pos syncd check
till /var/lib/syncd/store.db "{SALE}"
has 'sent 1'
sudo -u pos stat -c '%U %G %a %n' /var/lib/syncd/*

at open-token
chmod 640 /etc/syncd/hub_access_token
chgrp syncd /etc/syncd/hub_access_token
syncd check
sed -i 's#^\\# access_token_file = ""#access_token_file = "/etc/syncd/hub_access_token"#' /etc/syncd/syncd.toml
rm /etc/systemd/system/syncd.service.d/token.conf
systemctl daemon-reload
syncd check
sudo -u pos syncd check
cp /etc/syncd/hub_access_token TOKEN
sudo install -m 400 -o syncd TOKEN /etc/syncd/hub_access_token
syncd check
sudo -u pos syncd check
sudo -u syncd syncd check

at elsewhere
install -d -m 2770 -o pos -g pos /srv/pos
sed -i 's#^path = .*#path = "/srv/pos/store.db"#' /etc/syncd/syncd.toml
printf '[Service]\\nReadWritePaths=/srv/pos\\nSupplementaryGroups=pos\\n' > /etc/systemd/system/syncd.service.d/place.conf
systemctl daemon-reload
syncd check --hub
systemctl restart syncd
till /srv/pos/store.db "{SALE}"
has 'sent 1'
sudo -u pos syncd check
sudo -u pos stat -c '%U %G %a %n' /srv/pos/*

at upgrade
sed -i 's/^__version__ = .*/__version__ = "9.9.9"/' syncd/__init__.py
{UPGRADE}
has 'version 9.9.9'
at roll-back
ls -d /opt/syncd-*
{ROLL_BACK.replace("syncd-OLD", f"syncd-{__version__}")}
has 'version {__version__}'
{"sudo rm -r /opt/syncd-OLD".replace("OLD", "9.9.9")}

at no-program
chmod 700 /opt/syncd-{__version__}
systemctl restart syncd || failed
show
syncd status
syncd check
chmod 755 /opt/syncd-{__version__}

at home
sed -i 's#^path = .*#path = "/home/pos/store.db"#' /etc/syncd/syncd.toml
syncd check

at uninstall
{UNINSTALL}
systemctl cat syncd
ls -d /opt/syncd* /usr/local/bin/syncd /etc/systemd/system/syncd* /usr/lib/*/syncd.conf /etc/syncd/syncd.toml /srv/pos/store.db
at end
"""


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What was shown, by the name of the step."""
    need("nspawn", os.geteuid() == 0 and shutil.which("systemd-nspawn") is not None, "booting a system takes root and systemd-nspawn")
    root = tmp_path_factory.mktemp("pc")
    debian(root)
    registry_settings(root)
    with socket.create_server(("127.0.0.1", 0)) as free:  # the PC shares this machine's network
        port = free.getsockname()[1]
    employ_operator(root, NANO, program="/opt/syncd/bin/syncd", hub_port=port)
    write(root / "exam/hub-port", str(port))
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (PROJECT / name).is_file():
            (root / "root/syncd" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, root / "root/syncd" / name)
    try:
        shown = boot(root, SCRIPT, network=True, seconds=900)
        shutil.copytree(root / "exam", tmp_path_factory.mktemp("transcript"), dirs_exist_ok=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    assert "end" in shown, last_words(shown)
    return shown


def test_what_the_pages_say_installs_it_although_root_has_a_strict_umask(exam: Mapping[str, str]) -> None:
    assert "is installed" in exam["install"]
    assert "NOT OK" not in exam["ours-first"]
    assert "ok  rights: user syncd" in exam["ours-first"], "`check` as root has the service's rights"
    assert "hub_access_token" in exam["ours-first"], "and its credential"
    assert "answered; connected in" in exam["ours-first"]


def test_a_till_of_another_user_sells_into_the_database_that_syncd_made(exam: Mapping[str, str]) -> None:
    assert "syncd syncd 660 /var/lib/syncd/store.db\n" in exam["ours-first"]
    assert "\nsent 1\n" in exam["ours-first"]


def test_a_till_that_made_the_database_itself_is_told_what_to_do_and_then_sells(exam: Mapping[str, str]) -> None:
    before, after = re.split(r"^\+ sudo -u pos find .*$", exam["till-first"], maxsplit=1, flags=re.MULTILINE)
    assert "ExecMainStatus=77" in before
    assert "NRestarts=0" in before
    assert "NOT OK  database: /var/lib/syncd/store.db may not be read and written" in before, "so says `check` as root"
    assert "NOT OK  database: /var/lib/syncd/store.db may not be read and written by syncd (owner pos" in before, (
        "and so as the till's user"
    )
    assert "NOT OK" not in after
    assert "pos syncd 660 /var/lib/syncd/store.db\n" in after
    assert "\nsent 1\n" in after


def test_a_refused_reload_is_told_by_systemctl_status_and_as_a_warning_in_the_journal(exam: Mapping[str, str]) -> None:
    assert "StatusText=online; 0 rows wait for HQ, 0 failed; the new configuration was refused, the old one is in use" in exam["reload"]
    warnings = [line for line in exam["reload"].splitlines() if line.startswith("{")]
    assert len(warnings) == 1
    assert '"event":"configuration_refused"' in warnings[0]


@pytest.mark.parametrize(
    ("step", "code", "says"),
    [("misconfigured", "78", "store.id = true: must be"), ("no-credential", "243", "LoadCredential="), ("no-program", "203", "umask 022")],
)
def test_what_needs_a_person_waits_for_one_and_says_why(exam: Mapping[str, str], step: str, code: str, says: str) -> None:
    assert "ActiveState=failed\n" in exam[step]
    assert "NRestarts=0\n" in exam[step]
    assert f"ExecMainStatus={code}\n" in exam[step]
    shown = re.split(r"^\+ syncd check$", exam[step][exam[step].index("+ syncd status") :], flags=re.MULTILINE)
    assert f"it ended with exit code {code}" in shown[0]
    assert says in shown[0]
    assert "NOT OK" in shown[1]
    assert says in shown[1]


def test_a_token_that_the_tills_user_can_read_is_warned_of(exam: Mapping[str, str]) -> None:
    shown = re.split(r"^\+ .*syncd check$", exam["open-token"], flags=re.MULTILINE)
    _, as_credential, by_root, by_the_till, mended, till_again, by_syncd = shown
    assert "WARNING  credential: /etc/syncd/hub_access_token may be read by others" in as_credential
    assert "WARNING  secret: /etc/syncd/hub_access_token may be read by others than its owner (mode 640, group syncd)" in by_root
    assert "WARNING  secret: a till's user can read HQ's token" in by_the_till
    assert "WARNING" not in mended + till_again + by_syncd
    assert "`sudo syncd check` adds what the unit adds" in by_syncd


def test_a_database_elsewhere_is_shared_by_a_group_of_the_tills_own(exam: Mapping[str, str]) -> None:
    assert "NOT OK" not in exam["elsewhere"]
    assert "syncd pos 660 /srv/pos/store.db\n" in exam["elsewhere"]
    assert "\nsent 1\n" in exam["elsewhere"]


def test_a_database_below_home_is_said_to_be_hidden_by_the_unit(exam: Mapping[str, str]) -> None:
    assert "ProtectHome= hides /home" in exam["home"]


def test_the_service_is_hardly_exposed(exam: Mapping[str, str]) -> None:
    [exposure] = re.findall(r"Overall exposure level for syncd.service: ([\d.]+)", exam["ours-first"])
    assert float(exposure) <= 1.1


def test_it_is_upgraded_and_rolled_back_while_it_runs(exam: Mapping[str, str]) -> None:
    assert "syncd 9.9.9 is installed" in exam["upgrade"]
    assert "NOT OK" not in exam["upgrade"]
    assert "\nversion 9.9.9\n" in exam["upgrade"]
    assert f"\nversion {__version__}\n" in exam["roll-back"]


def test_uninstalled_it_leaves_the_configuration_and_the_data(exam: Mapping[str, str]) -> None:
    left = [line for line in exam["uninstall"].splitlines() if line.startswith("/")]
    assert [line for line in left if "syncd: " not in line] == ["/etc/syncd/syncd.toml", "/srv/pos/store.db"]
    assert "No files found for syncd.service" in exam["uninstall"]
