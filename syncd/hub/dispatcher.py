"""The hub's calls between the reader and their handlers: in order, bounded, with back-pressure to the socket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NoReturn

from syncd.hub.protocol import MAX_INBOUND_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncd.hub.protocol import Call

MAX_WAITING = 60_000
"""Calls whose handlers have not begun: a flood, at some 2 kB of memory each. Beyond it nothing is read, not even answers."""
MAX_RUNNING = 2_000
"""Handlers at work: many, so that many updates can share one commit."""
MAX_BYTES = MAX_INBOUND_BYTES
"""Wire bytes of all calls, waiting and running."""


class Dispatcher:
    """Starts the handler of each call in the order of arrival, without waiting for those before it.

    What a handler does before its first `await` therefore happens in order too.
    """

    def __init__(self, handle: Callable[[Call], Awaitable[None]]) -> None:
        self._handle = handle
        self._waiting: deque[Call] = deque()
        self._running = 0
        self._bytes = 0
        self.flooded = False  # nothing is read at the moment
        self.floods = 0  # how often that was so
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, call: Call) -> None:
        """Take a call in; returns when there was room for it. A call above the bound gets in when it is alone."""
        if self._is_full(call.size):
            self.floods += 1
            self.flooded = True
        while self._is_full(call.size):
            self._room.clear()
            await self._room.wait()
        self.flooded = False
        self._waiting.append(call)
        self._bytes += call.size
        self._changed.set()

    async def run(self, group: asyncio.TaskGroup) -> NoReturn:
        """Start handlers as tasks of `group`, for ever."""
        while True:
            while self._waiting and self._running < MAX_RUNNING:
                self._start(self._waiting.popleft(), group)
            self._room.set()
            self._changed.clear()
            await self._changed.wait()

    def _start(self, call: Call, group: asyncio.TaskGroup) -> None:
        self._running += 1

        async def handle() -> None:
            try:
                await self._handle(call)
            finally:
                self._running -= 1
                self._bytes -= call.size
                self._room.set()
                self._changed.set()

        group.create_task(handle(), name=f"hub: {call.target}")

    def _is_full(self, size: int) -> bool:
        crowded = len(self._waiting) >= MAX_WAITING or self._bytes + size > MAX_BYTES
        return crowded and bool(self._waiting or self._running)
