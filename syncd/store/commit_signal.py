"""Tells of a till's commit: inotify says that the write-ahead log was written, `data_version` that it was a commit.

The log is written before the commit can be seen (with `synchronous=FULL` there is a disk sync in between), and what
makes the commit visible is written through a memory map, of which inotify says nothing. So after an event we look
several times, at growing intervals. A look every second finds what no event told of: a log that was replaced, for
example.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from asyncinotify import Inotify, Mask

from syncd.errors import StorageError
from syncd.store.retry_delays import READ_RETRY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncd.clock import Clock
    from syncd.store.database import Database

LOOK_SECONDS = 1.0  # at least this often
POLL_SECONDS = 0.05  # where there is no inotify
LOOK_AFTER_EVENT_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)


class CommitSignal:
    """Calls back after every commit that another connection made to a file.

    Args:
        changed: called after a commit, and after the first look.
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
                    group.create_task(self._listen(inotify), name="commit_signal.inotify")
                    await self._look(LOOK_SECONDS, LOOK_AFTER_EVENT_SECONDS)
        except OSError:  # no inotify here (a limit, or a network file system): look often instead
            await self._look(POLL_SECONDS, ())

    async def _listen(self, inotify: Inotify) -> None:
        async for _ in inotify:
            self._touched.set()

    async def _look(self, at_least_every: float, look_after_event: tuple[float, ...]) -> None:
        while True:
            try:
                async with self._clock.timeout(at_least_every):
                    await self._touched.wait()
                steps = look_after_event
            except TimeoutError:
                steps = look_after_event if self._touched.is_set() else ()
            self._touched.clear()
            try:
                await self._look_once(steps)
            except StorageError as error:
                self._on_trouble(error)
                self._version = None  # a commit may have been missed meanwhile: the next look counts as one
                await self._clock.sleep(READ_RETRY_SECONDS)
                self._touched.set()
            else:
                self._on_trouble(None)

    async def _look_once(self, steps: tuple[float, ...]) -> None:
        """Look at once and at growing intervals, until the next event.

        What is seen may be another commit than the one that the event told of, which is still on its way to the disk: the looks go on.
        """
        for seconds in (0.0, *steps):
            if seconds:
                with suppress(TimeoutError):
                    async with self._clock.timeout(seconds):
                        await self._touched.wait()
                    return
            if await self._is_new():
                await self._changed()

    async def _is_new(self) -> bool:
        version = await self._database.run(lambda c: int(c.execute("PRAGMA data_version").fetchone()[0]))
        new = version != self._version
        self._version = version
        return new
