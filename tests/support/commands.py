"""`syncd COMMAND` as a technician calls it: a process of its own, with no terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.store import Store

PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Done:
    """How it ended."""

    code: int
    out: str
    err: str


async def syncd(store: Store, *arguments: str | Path, text: bytes = b"", environ: dict[str, str] | None = None) -> Done:
    """Run it to its end with the store's configuration."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncd", *map(str, arguments), "--config", str(store.config_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**{key: value for key, value in os.environ.items() if not key.startswith("SYNCD_")}, **(environ or {})},
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate(text)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def succeeded(store: Store, *arguments: str | Path) -> str:
    """The same, for a command that must end with 0; what it printed."""
    done = await syncd(store, *arguments)
    assert done.code == 0, done
    assert "Traceback" not in done.err
    return done.out
