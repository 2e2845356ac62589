"""Opens a store and is killed at a given look at the clock: `python -m tests.support.killed_upgrade STORE NUMBER`.

Every step of the tables looks at the clock once, inside its transaction, and what lies between the steps does too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from syncd.clock import SystemClock
from syncd.config.settings import DatabaseSettings
from syncd.store.opening import open_store

if TYPE_CHECKING:
    from datetime import datetime


class DeadlyClock(SystemClock):
    """A clock that kills its process at the n-th look."""

    def __init__(self, number: int) -> None:
        self._left = number

    def now(self) -> datetime:
        """See `Clock.now`."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().now()


async def main(store: Path, number: int) -> None:
    """Open and close it, or die."""
    files = await open_store(DatabaseSettings(path=store), DeadlyClock(number), structlog.get_logger())
    await files.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
