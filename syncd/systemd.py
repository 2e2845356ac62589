"""What a service manager is told, and how often (sd_notify(3), sd_watchdog_enabled(3)); standard library only.

Without `NOTIFY_SOCKET`, that is without systemd, every call does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MICROSECONDS = 1_000_000


class Notifier:
    """Tells the service manager how the daemon is. It never fails: a manager that does not listen is no reason to stop syncing.

    Args:
        environ: where `NOTIFY_SOCKET` is; a path, or `@name` for an abstract socket.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""

    def ready(self, status: str = "") -> None:
        """Local work is possible; also the end of a reload."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """What `systemctl status` shows; sent only when it is another than before."""
        if text != self._status:
            self._status = text
            self._send(*_status(text))

    def reloading(self) -> None:
        """A reload begins. `Type=notify-reload` wants the monotonic time, to tell it from reloads before it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """The daemon stops."""
        self._send("STOPPING=1", *_status(status))

    def watchdog(self) -> None:
        """Every loop makes progress."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """A start or a stop takes longer: it needs so many seconds from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * MICROSECONDS)}")

    def _send(self, *assignments: str) -> None:
        if not self._address or not assignments:
            return
        message = "\n".join(assignments).encode("utf-8", "replace")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
            manager.sendto(message, self._address)


def _status(text: str) -> list[str]:
    """A line feed would begin another assignment."""
    return [f"STATUS={' '.join(text.split())}"] if text else []


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often the watchdog wants to be fed, in seconds: half of its time-out, as sd_watchdog_enabled(3) recommends.

    None where there is no watchdog, or where it is meant for another process.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    process = environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (process and process != str(os.getpid())):
        return None
    return int(microseconds) / MICROSECONDS / 2
