from __future__ import annotations

from pathlib import Path

import pytest

from syncd.commands.service import Service, describe_exit, sandbox, unit_of

UNIT = """# /etc/systemd/system/syncd.service
[Unit]
Description=Not a setting of the service
[Service]
Type=notify
ExecStart=/opt/syncd/bin/syncd run
Restart=always
WatchdogSec=60s
User=syncd
# LoadCredential=in:/a/comment
CapabilityBoundingSet=
SystemCallFilter=@system-service \\
    @chown

# /etc/systemd/system/syncd.service.d/token.conf
[Service]
LoadCredential=hub_access_token:/etc/syncd/hub_access_token
[Install]
WantedBy=multi-user.target
"""
ENDED = {
    "LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "ExecMainCode": "1", "ExecMainStatus": "78",
    "ExecMainExitTimestamp": "Tue 2026-11-24 10:00:00 UTC", "StatusText": "hub.url: required",
}  # fmt: skip


def test_what_a_service_may_do_is_taken_from_its_unit_and_drop_ins_but_not_how_it_is_kept_running() -> None:
    assert sandbox(UNIT) == (
        "User=syncd",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service      @chown",
        "LoadCredential=hub_access_token:/etc/syncd/hub_access_token",
    )


def test_what_an_instance_of_the_unit_may_do_has_its_name_in_it() -> None:
    text = "[Service]\nStateDirectory=syncd/%i\nLoadCredential=hub_access_token:/etc/syncd/%i.hub_access_token\n"
    of_lane2 = ("StateDirectory=syncd/lane2", "LoadCredential=hub_access_token:/etc/syncd/lane2.hub_access_token")
    assert sandbox(text, "syncd@lane2.service") == of_lane2


@pytest.mark.parametrize(
    ("file", "unit"),
    [
        (None, "syncd.service"),
        ("/etc/syncd/syncd.toml", "syncd.service"),
        ("/etc/syncd/lane2.toml", "syncd@lane2.service"),
        ("/srv/pos/lane2.toml", "syncd.service"),
    ],
)
def test_a_configuration_of_its_own_is_that_of_an_instance(file: str | None, unit: str) -> None:
    assert unit_of(Path(file) if file else None) == unit


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "it ended with exit code 78 at Tue 2026-11-24 10:00:00 UTC: hub.url: required (journalctl"),
        (
            {"ExecMainStatus": "243", "StatusText": ""},
            "10:00:00 UTC: a file of LoadCredential= is not there",
        ),
        (
            {"ExecMainCode": "2", "ExecMainStatus": "9", "StatusText": "online"},
            "killed by signal 9 at Tue 2026-11-24 10:00:00 UTC (jour",
        ),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "systemd will start it again"),
        ({"ActiveState": "inactive", "ExecMainStatus": "0"}, "it ended with exit code 0 at Tue 2026-11-24 10:00:00 UTC (jour"),
        ({"ActiveState": "activating", "SubState": "start"}, "systemd is just starting it"),
        ({"ActiveState": "inactive", "ExecMainExitTimestamp": ""}, "has not started it"),
    ],
)
def test_why_a_service_does_not_run_is_said_in_words(changes: dict[str, str], says: str) -> None:
    assert says in (describe_exit(ENDED | changes) or "")


@pytest.mark.parametrize("changes", [{"ActiveState": "active"}, {"LoadState": "not-found"}])
def test_a_service_that_runs_or_is_not_there_has_no_last_exit(changes: dict[str, str]) -> None:
    assert describe_exit(ENDED | changes) is None


@pytest.mark.parametrize(
    ("options", "file"), [(("--config", "/etc/the store.toml"), Path("/etc/the store.toml")), ((), None), (("--config",), None)]
)
def test_the_services_configuration_is_the_one_on_its_command_line(options: tuple[str, ...], file: Path | None) -> None:
    assert Service("syncd.service", "syncd", (), ("/opt/syncd/bin/syncd", "run", *options)).config_file == file
