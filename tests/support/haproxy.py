"""Debian's haproxy in front of two hubs, one request to each in turn: a load balancer without sticky sessions."""

from __future__ import annotations

import asyncio
import shutil
import socket
from typing import TYPE_CHECKING, Self

from tests.support.requirements import need

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
frontend front
    bind fd@{descriptor}
    default_backend hubs
backend hubs
    balance roundrobin
    option http-server-close
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""


class Haproxy:
    """`async with Haproxy(folder, port, port) as balancer:` listens on a free port of this machine.

    Attributes:
        port: where it listens.
    """

    def __init__(self, folder: Path, one: int, two: int) -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        need("haproxy", program is not None, "haproxy is not installed")
        assert program is not None
        self._program = program
        self._socket = socket.create_server(("127.0.0.1", 0))  # so that connections wait for it from now on
        self._socket.set_inheritable(True)
        self.port = self._socket.getsockname()[1]
        self._file = folder / "haproxy.cfg"
        self._file.write_text(CONFIGURATION.format(descriptor=self._socket.fileno(), one=one, two=two))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-db", "-q", "-f", str(self._file), pass_fds=(self._socket.fileno(),)
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        self._socket.close()
