"""Work starts at the till's commit: the file system says that the log was written, `data_version` says that it was a commit.

The log file is written before the commit can be seen (with `synchronous=FULL` a disk sync lies between), and what makes it visible is a
memory map that no file system event tells of. So after an event we look again, a few times, ever later. A slow look every second is the
net below: file systems without inotify, a log file that was replaced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncinotify import Inotify, Mask

from syncd.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncd.clock import Clock
    from syncd.store.database import Database

SLOW_LOOK_SECONDS = 1.0
RETRY_SECONDS = 1.0  # a file that cannot be read is read again this often
POLL_SECONDS = 0.05  # where the file system cannot tell
LOOK_AGAIN_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)


class CommitSignal:
    """Calls back after every commit that some other connection made to a file.

    Args:
        on_trouble: told of a file that cannot be read, and None once it can.
    """

    def __init__(
        self, database: Database, clock: Clock, changed: Callable[[], Awaitable[None]], on_trouble: Callable[[StorageError | None], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed
        self._on_trouble = on_trouble
        self._touched = asyncio.Event()
        self._version: int | None = None

    async def run(self) -> None:
        """Watch for ever."""
        try:
            with Inotify() as inotify:
                inotify.add_watch(f"{self._database.path}-wal", Mask.MODIFY)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(inotify), name="change.inotify")
                    await self._look(SLOW_LOOK_SECONDS, LOOK_AGAIN_SECONDS)
        except OSError:  # no inotify here (limits, a network file system): look often instead
            await self._look(POLL_SECONDS, ())

    async def _listen(self, inotify: Inotify) -> None:
        async for _ in inotify:
            self._touched.set()

    async def _look(self, at_least_every: float, look_again: tuple[float, ...]) -> None:
        while True:
            try:
                async with self._clock.timeout(at_least_every):
                    await self._touched.wait()
                steps = look_again
            except TimeoutError:
                steps = ()
            self._touched.clear()
            try:
                await self._look_once(steps)
            except StorageError as error:
                self._on_trouble(error)
                self._version = None  # whatever happened meanwhile is news
                await self._clock.sleep(RETRY_SECONDS)
                self._touched.set()
            else:
                self._on_trouble(None)

    async def _look_once(self, steps: tuple[float, ...]) -> None:
        for seconds in (0.0, *steps):
            if seconds:
                await self._clock.sleep(seconds)
            if await self._is_new():
                await self._changed()
                return

    async def _is_new(self) -> bool:
        version = await self._database.run(lambda c: int(c.execute("PRAGMA data_version").fetchone()[0]))
        new = version != self._version
        self._version = version
        return new
