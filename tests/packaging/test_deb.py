"""The package's life on a store PC, from a fresh Debian to a purge: see `tests/support/deb_exam.py` for what is done there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from syncd import __version__
from tests.support.deb_exam import BACKLOG_ROWS, OTHER_TABLES, SAME_TABLES, life_of_a_package
from tests.support.debs import build_deb
from tests.support.requirements import need

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.timeout(3000), pytest.mark.xdist_group("deb")]


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built once."""
    return build_deb(tmp_path_factory.mktemp("debs"))


@pytest.fixture(scope="module")
def exam(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What was shown, by the name of the step."""
    root = tmp_path_factory.mktemp("pc")
    try:
        return life_of_a_package(deb, root)
    finally:
        shutil.copytree(root / "exam", tmp_path_factory.mktemp("transcript"), dirs_exist_ok=True)
        shutil.rmtree(root, ignore_errors=True)


def test_debians_own_linter_has_nothing_to_say(deb: Path) -> None:
    need("lintian", shutil.which("lintian") is not None, "there is no lintian")
    said = subprocess.run(["lintian", "--allow-root", deb], capture_output=True, text=True, timeout=300, check=False)
    assert said.stdout == ""


def test_it_starts_nothing_and_says_what_to_do_next(exam: Mapping[str, str]) -> None:
    installed, before = exam["install"].split("\n+ systemctl start syncd\n")[0], exam["install"]
    assert "is installed, and not running. Next:\n  sudo nano /etc/syncd/syncd.toml" in installed
    assert "\ndisabled\n" in installed
    assert "\ninactive\n" in installed
    assert "systemd has not started it since the PC was" in installed
    assert "ExecMainStatus=78\n" in before, "without the store's own keys it does not run, whoever starts it"
    assert "store.id: required" in before
    assert "root syncd 640 /etc/syncd/syncd.toml\n" in before
    assert "syncd syncd 2770 /var/lib/syncd\n" in before


def test_a_few_commands_later_the_store_sells_and_the_service_is_hardly_exposed(exam: Mapping[str, str]) -> None:
    assert "NOT OK" not in exam["start"]
    assert "answered; connected in" in exam["start"]
    assert "\nsent 1\n" in exam["start"]
    [exposure] = re.findall(r"Overall exposure level for syncd.service: ([\d.]+)", exam["start"])
    assert float(exposure) <= 1.1


def test_bash_completes_its_commands_and_root_writes_no_bytecode(exam: Mapping[str, str]) -> None:
    assert "\nhealthcheck\n" in exam["start"]
    assert "written anew: \n" in exam["start"]


@pytest.mark.parametrize(("step", "version"), [("upgrade", SAME_TABLES), ("downgrade", __version__), ("upgrade-tables", OTHER_TABLES)])
def test_another_version_takes_over_amid_a_backlog_and_runs_at_once(exam: Mapping[str, str], step: str, version: str) -> None:
    assert f"Setting up syncd ({version})" in exam[step]
    assert f"\nversion {version}\n" in exam[step]
    assert "NOT OK" not in exam[step]


def test_the_upgrade_has_made_the_step_of_the_tables(exam: Mapping[str, str]) -> None:
    before, after = re.findall(r"\('store', (\d+)\)", exam["upgrade-tables"])
    assert int(after) == int(before) + 1


def test_a_downgrade_to_a_version_that_does_not_know_the_tables_is_refused_with_everything_as_it_was(exam: Mapping[str, str]) -> None:
    shown = exam["downgrade-tables"]
    assert f"syncd {__version__} is older than {OTHER_TABLES} and cannot use the tables that {OTHER_TABLES} has made" in shown
    assert "/var/lib/syncd/store.db: its store tables have version" in shown
    assert len(set(re.findall(r"^MainPID=(\d+)$", shown, re.MULTILINE))) == 1, "it runs on, and was not restarted"
    assert shown.count("ActiveState=active\n") == 2
    assert shown.endswith(f"+ dpkg --audit\n+ dpkg-query --show syncd\nsyncd\t{OTHER_TABLES}\n+ at reckoning\n+ exec\n")


def test_all_of_it_under_load_has_lost_and_doubled_nothing(exam: Mapping[str, str]) -> None:
    [line] = [line for line in exam["reckoning"].splitlines() if line.startswith("{")]
    figures = json.loads(line)
    [sales] = re.findall(r"^(\d+) sales, the longest", exam["reckoning"], re.MULTILINE)
    assert figures["written"] == 1 + 3 * BACKLOG_ROWS + int(sales)
    assert (figures["lost"], figures["doubled"], figures["out of order"]) == (0, 0, 0)


def test_the_copy_from_before_the_upgrade_goes_back_with_the_older_version_and_the_till_sells_into_it(exam: Mapping[str, str]) -> None:
    shown = exam["tables-back"]
    [of_old], [_, of_new] = re.findall(r"\('store', (\d+)\)", shown), re.findall(r"\('store', (\d+)\)", exam["upgrade-tables"])
    assert int(of_old) == int(of_new) - 1
    assert f"\nversion {__version__}\n" in shown
    assert "syncd syncd 660 /var/lib/syncd/store.db\n" in shown
    assert "store-newer.db\n" in shown
    assert '"lost": 0, "doubled": 0' in shown


def test_the_configuration_is_kept_as_it_was_written(exam: Mapping[str, str]) -> None:
    assert "\nid = 17\n" in exam["reckoning"]
    assert "root syncd 640 /etc/syncd/syncd.toml\n" in exam["reckoning"]


def test_within_its_sandbox_it_finds_a_hub_by_dns_over_ipv6_with_an_authority_of_its_own_and_through_a_proxy(
    exam: Mapping[str, str],
) -> None:
    assert exam["line"].count("https://hq.store.test:8443/hubs/sync answered") == 2
    assert "NOT OK" not in exam["line"]
    assert "\nstate online\n" in exam["line"]
    direct, proxied = exam["line.log"].split("by the proxy: CONNECT hq.store.test:8443", 1)
    assert "the name was asked for\nTLS over IPv6\n" in direct
    assert "TLS over IPv6" in proxied


def test_the_package_brings_what_pushes_metrics_and_trusts_whom_the_system_trusts(exam: Mapping[str, str]) -> None:
    assert "1 added, 0 removed" in exam["otlp"]
    assert "NOT OK" not in exam["otlp"]
    assert "pushed to /v1/metrics as application/x-protobuf with sent rows\n" in exam["receiver.log"]
    assert "-- No entries --" in exam["otlp"], "nothing was logged as not pushed"


def test_a_daemon_that_hangs_is_restarted_by_the_watchdog(exam: Mapping[str, str]) -> None:
    assert "Watchdog timeout" in exam["watchdog"]


@pytest.mark.parametrize(
    ("step", "code", "says"),
    [
        ("no-group", "216", "a group of the unit does not exist"),
        ("no-user", "217", "the unit's user does not exist"),
        ("no-folder", "226", "a folder that the unit names is not there (ReadWritePaths=)"),
    ],
)
def test_a_unit_that_cannot_be_started_waits_for_a_person_and_says_why(exam: Mapping[str, str], step: str, code: str, says: str) -> None:
    status, check = exam[step].split("\n+ syncd check\n")
    assert "ActiveState=failed\n" in status
    assert "NRestarts=0\n" in status
    assert f"ExecMainStatus={code}\n" in status
    assert f"it ended with exit code {code}" in status
    assert says in status
    assert f"NOT OK  syncd.service would not start: {says}" in check


def test_several_stores_on_one_pc_each_have_a_syncd_of_their_own(exam: Mapping[str, str]) -> None:
    assert "NOT OK" not in exam["lanes"]
    assert exam["lanes"].count("\nsent 1\n") == 2
    assert "token from /run/credentials/" in exam["lanes"]
    for lane in ("lane1", "lane2"):
        assert f"syncd@{lane}.service loaded active running" in exam["lanes"]
    assert "syncd syncd 660 /var/lib/syncd/lane1/store.db\n" in exam["lanes"]


def test_an_upgrade_restarts_the_stores_that_ran_and_no_other(exam: Mapping[str, str]) -> None:
    after = exam["lanes-upgrade"].split("+ systemctl is-active syncd syncd@lane1 syncd@lane2\n")[1]
    assert after.startswith("inactive\nactive\nactive\n")


def test_the_status_and_check_of_one_of_several_tell_of_its_own_unit(exam: Mapping[str, str]) -> None:
    assert "it ended with exit code 243" in exam["lanes-upgrade"]
    assert "(journalctl -u syncd@lane2 tells more)" in exam["lanes-upgrade"]
    assert "NOT OK  syncd@lane2.service would not start" in exam["lanes-upgrade"]


def test_removed_it_leaves_the_configuration_and_installed_again_it_starts_nothing(exam: Mapping[str, str]) -> None:
    removed, again = exam["remove"].split("+ systemctl is-active syncd\n")[:2]
    assert re.findall("^/.*", removed, re.MULTILINE) == ["/etc/syncd/syncd.toml", "/var/lib/syncd/store.db"]
    assert "is installed, and not running" in again


def test_a_purge_asks_nothing_and_deletes_no_sales(exam: Mapping[str, str]) -> None:
    assert "The store database and its .syncd file are where they were" in exam["purge"]
    left = re.findall("^/.*", exam["purge"], re.MULTILINE)
    assert {"/var/lib/syncd/store.db", "/var/lib/syncd/store.db.syncd", "/var/lib/syncd/lane1/store.db"} < set(left)
    assert [file for file in left if not file.startswith("/var/lib/syncd")] == ["/etc/syncd", "/etc/syncd/ca.pem"]
    before, after = exam["purge"].split("+ sudo userdel syncd\n")
    assert "\nsyncd:x:" in before, "the sales have an owner"
    assert "syncd:x:" not in after


def test_the_journal_is_read_as_the_pages_say(exam: Mapping[str, str]) -> None:
    last, followed = exam["journal"].split("+ timeout 2 journalctl -u syncd -f\n")
    assert '"event": "hub_connected"' in last.replace('":"', '": "')
    assert "syncd[" in followed
