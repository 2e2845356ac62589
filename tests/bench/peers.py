"""The programs that syncd is measured with: the real hub, and what a .NET team and a JavaScript team would build instead."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import AsyncIterator

    from tests.support.store import Store

JAVASCRIPT = Path(__file__).with_name("js_peer")
INSTALL_SECONDS = 600
"""npm may have to compile SQLite."""


def require_hub(parser: ArgumentParser) -> None:
    """End with a message where there is no hub."""
    program = os.environ.get("SYNCD_REFHUB", "")
    if not Path(program).is_file():
        parser.error(f"SYNCD_REFHUB must name the real hub's program, and is {program!r}")


@cache
def dotnet_peer() -> list[str]:
    """How to start the .NET program; empty where `SYNCD_PEER` names none."""
    program = os.environ.get("SYNCD_PEER")
    if not program:
        print("SYNCD_PEER names no .NET program: its rows are left out", file=sys.stderr)
    return ["sh", program] if program else []


@cache
def javascript_peer() -> list[str]:
    """How to start the JavaScript program, whose packages are installed once for a machine; empty where they cannot be."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print("there is no node, or no npm: the JavaScript client's rows are left out", file=sys.stderr)
        return []
    digest = hashlib.sha256((JAVASCRIPT / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-bench" / f"js_peer-{digest}"
    if not (folder / "complete").exists():
        print("npm installs the JavaScript client, once; it may have to compile SQLite, which takes minutes", file=sys.stderr)
        shutil.copytree(JAVASCRIPT, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
        if why := _install(node, npm, folder):
            print(f"it cannot be installed, its rows are left out: {why}", file=sys.stderr)
            return []
        (folder / "complete").touch()
    shutil.copy(JAVASCRIPT / "peer.mjs", folder)
    return [node, str(folder / "peer.mjs")]


def peers() -> dict[str, list[str]]:
    """How to start each of those that are here, by its name in the figures."""
    found = {"dotnet": dotnet_peer(), "javascript": javascript_peer()}
    return {name: command for name, command in found.items() if command}


def _install(node: str, npm: str, folder: Path) -> str:
    """Why it is not installed; empty where it is."""
    prefix = Path(node).resolve().parent.parent
    environ = dict(os.environ)
    if (prefix / "include" / "node" / "node.h").exists():  # else node-gyp fetches them from nodejs.org
        environ["npm_config_nodedir"] = str(prefix)
    command = [npm, "ci", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"not within {INSTALL_SECONDS} s"
    return done.stderr[-300:] if done.returncode else ""


class Peer:
    """A peer that runs; its last line is JSON."""

    def __init__(self, telling: asyncio.Task[dict[str, Any]]) -> None:
        self._telling = telling

    def alive(self) -> None:
        """Raises what it ended with, where it failed."""
        if self._telling.done():
            self._telling.result()

    async def told(self) -> dict[str, Any]:
        """Its figures, at its end."""
        return await self._telling


@asynccontextmanager
async def peer_running(program: list[str], store: Store, url: str, *options: str) -> AsyncIterator[Peer]:
    """Run a peer on a store's file; it is killed where the block ends before it does."""
    process = await asyncio.create_subprocess_exec(*program, str(store.path), url, *options, stdout=asyncio.subprocess.PIPE)
    telling = asyncio.create_task(_figures(process, options))
    try:
        yield Peer(telling)
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(telling, return_exceptions=True)


async def _figures(process: asyncio.subprocess.Process, options: tuple[str, ...]) -> dict[str, Any]:
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the peer ended with {process.returncode} ({' '.join(options)})")
    figures: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return figures
