from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from syncd.systemd import Notifier, watchdog_interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.variable = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(5)

    def heard(self) -> list[str]:
        return self._socket.recv(4096).decode().split("\n")

    def silent(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A service manager on a socket in a folder, and on an abstract one."""
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@syncd-test-{os.getpid()}")
    yield manager
    manager.close()


def test_a_whole_life_is_told(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.variable})
    notifier.ready("online")
    assert manager.heard() == ["READY=1", "STATUS=online"]
    notifier.watchdog()
    assert manager.heard() == ["WATCHDOG=1"]
    before = time.monotonic()
    notifier.reloading()
    first, second = manager.heard()
    assert first == "RELOADING=1"
    name, _, microseconds = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(microseconds) / 1e6 + 1e-5 <= time.monotonic() + 1e-5
    notifier.ready()
    assert manager.heard() == ["READY=1"]
    notifier.extend_timeout(12.5)
    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=12500000"]
    notifier.stopping("3 batches in flight")
    assert manager.heard() == ["STOPPING=1", "STATUS=3 batches in flight"]


def test_a_status_is_one_line_and_is_told_once(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.variable})
    notifier.status("offline:\nREADY=1")
    assert manager.heard() == ["STATUS=offline: READY=1"]
    notifier.status("offline:\nREADY=1")
    assert manager.silent()


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens", "x" * 500])
def test_a_manager_that_is_not_there_is_no_trouble(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}).ready()


def test_a_manager_that_does_not_read_does_not_hold_us_up(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier({"NOTIFY_SOCKET": manager.variable})
    began = time.monotonic()
    for number in range(5000):
        notifier.status(str(number))
    assert time.monotonic() - began < 5
    manager.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_in_half_its_patience(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_interval(environ) == expected
