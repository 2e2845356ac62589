"""A real ASP.NET Core hub in a process of its own; the environment variable SYNCD_REFHUB names its program."""

from __future__ import annotations

import asyncio
import json as json_module
import os
import signal
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp

from tests.support.requirements import need

if TYPE_CHECKING:
    from pathlib import Path
    from ssl import SSLContext
    from types import TracebackType

START_SECONDS = 60.0
STOP_SECONDS = 40.0


def refhub_program() -> str:
    """The real hub's program; skips the test where there is none."""
    program = os.environ.get("SYNCD_REFHUB", "")
    need("refhub", bool(program), "SYNCD_REFHUB does not name the real hub's program")
    exists = os.path.exists(program)  # noqa: PTH110  # synchronous and quick; async code may call it
    need("refhub", exists, f"SYNCD_REFHUB names {program}, which does not exist")
    return program


class RefHub:
    """`async with RefHub("--auth=1") as hub:` runs the real hub on a free port; stop, kill and restart keep that port.

    Attributes:
        port: where it listens; 0 before the first start.
        process: the running hub, None while there is none.
    """

    def __init__(self, *args: str, data: Path | None = None, port: int = 0, ssl: SSLContext | bool = True) -> None:
        self.args = [*args, *([f"--data={data}"] if data is not None else [])]
        self.port = port
        self.process: asyncio.subprocess.Process | None = None
        self._ssl = ssl
        self._base = ""
        self._output: list[str] = []
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.kill()

    @property
    def output(self) -> str:
        """What the program has written to stderr, and to stdout after its first line."""
        return "".join(self._output)

    def url(self, path: str = "/hubs/sync") -> str:
        """The address of a hub, or of any other path."""
        return self._base + path

    async def start(self) -> None:
        """Starts the hub and returns when it listens; on the same port as before."""
        assert self.process is None, "the hub runs already"
        program = refhub_program()
        self.process = await asyncio.create_subprocess_exec(
            "sh", program, f"--port={self.port}", *self.args,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [asyncio.create_task(self._collect(self.process.stderr))]
        try:
            async with asyncio.timeout(START_SECONDS):
                self._base = await self._listening(self.process.stdout)
        except BaseException:
            await self.kill()
            raise
        self._readers.append(asyncio.create_task(self._collect(self.process.stdout)))
        self.port = urlsplit(self._base).port or 0

    async def stop(self) -> int:
        """SIGTERM, as a deployment does; its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """SIGKILL, as a crash; its exit code. Harmless when it has ended."""
        return await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """A crash, and a new start on the same port."""
        await self.kill()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: a hub that has gone silent while its connections stay."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def control(self, method: str, path: str, json: object = None) -> object:
        """Calls `/control/{path}`, e.g. `control("PUT", "faults", {"refuseEvery": 3})`; its answer, parsed where it is JSON.

        A `bytes` body goes out as it stands, so that numbers keep their text.

        Raises:
            RuntimeError: the hub answered with an error; the message has status and text.
        """
        body = json if isinstance(json, bytes) else None if json is None else json_module.dumps(json).encode()
        url = self.url(f"/control/{path.removeprefix('/control/').lstrip('/')}")
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
            http.request(method, url, data=body, headers=headers, ssl=self._ssl) as answer,
        ):
            text = await answer.text()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {text}")
            return json_module.loads(text) if answer.content_type == "application/json" else text

    async def state(self) -> dict[str, Any]:
        """Everything the hub has counted."""
        state = await self.control("GET", "state")
        assert isinstance(state, dict)
        return state

    async def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = await process.wait()
        await asyncio.gather(*self._readers)
        # The pipes' transports close a turn of the loop after the process; left open, they would warn when collected.
        process._transport.close()  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return code

    async def _listening(self, stdout: asyncio.StreamReader) -> str:
        """Reads up to the hub's ready line; the address it names."""
        while line := (await stdout.readline()).decode():
            if line.startswith("LISTENING "):
                return line.removeprefix("LISTENING ").strip()
            self._output.append(line)
        assert self.process is not None
        await asyncio.gather(self.process.wait(), *self._readers)
        raise RuntimeError(f"the hub ended with {self.process.returncode}: {self.output}")

    async def _collect(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._output.append(line.decode(errors="replace"))
