"""The hub's calls between the reader and their handlers: in order, bounded, and never in the reader's way.

The reader also brings answers and pings, and those may not wait behind updates that nobody can apply. So nothing here
makes it wait: what comes beyond the bounds is shed. A push is a hint and the catch-up is the truth, so what was shed
comes again by that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from syncd.hub.incoming import Call, Unreadable, UnreadCall, read_call, read_whole
from syncd.hub.protocol import MAX_INBOUND_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from syncd.hub.calls import CallHandlers

MAX_BYTES = MAX_INBOUND_BYTES
"""Wire bytes of all calls, waiting and running."""
MAX_WAITING = 150_000
"""Calls whose handlers have not begun; each costs some 50 bytes beside its own."""
MAX_UNPACKED = 1_000
"""Of these, kept as they were read where that was needed; those behind are kept as they came, a tenth of the memory."""
MAX_RUNNING = 1_000
"""Handlers at work: many, so that many updates can share one commit, and few enough to end all together without a
stall."""
MAX_RUNNING_BYTES = 8 * 1024 * 1024
"""Wire bytes of what they work on, read into several times as much memory."""
STARTED_A_TURN = 25
"""Handlers that begin before anything else gets its turn, some milliseconds of work."""
TURN_BYTES = 64 * 1024
"""Wire bytes that are read before anything else gets its turn, and that neighbours have which are handled together."""
MAX_BURST = 100
"""Neighbouring calls that are handled together, a millisecond of work."""
MAX_REFUSALS = 1_000
"""Calls shed whose caller wants a result, and still has to be told."""


class Dispatcher:
    """Starts the handler of each call in the order of arrival, without waiting for those before it.

    What a handler does before its first `await` therefore happens in order too. Not so where it takes more than one turn
    to read a call: one of a long list, or that cannot be parsed in one go, is overtaken by those behind it. Nothing
    relies on the order, since newer wins. Where many wait, neighbours that can be handled together are.

    Args:
        calls: the handlers.
        shed: called for each call that was shed.
        has_room: called once there is room again.

    Attributes:
        shedding: calls were shed since there was room last.
    """

    def __init__(
        self,
        calls: CallHandlers,
        *,
        shed: Callable[[], None],
        has_room: Callable[[], None],
    ) -> None:
        self._calls = calls
        self._shed = shed
        self._has_room = has_room
        self._waiting: deque[Call | Unreadable | UnreadCall | bytes] = deque()  # an `UnreadCall` is one that takes its time
        self._refusals: deque[str] = deque()
        self._running = 0
        self._running_bytes = 0
        self._waiting_bytes = 0
        self._read_bytes = 0  # in this turn
        self._changed = asyncio.Event()
        self._refused = asyncio.Event()
        self.shedding = False

    def put(self, call: Call | Unreadable | UnreadCall) -> None:
        """Take a call in, or shed it where there is no room. A call above the bound gets in when it is alone."""
        if self._is_full(call.size):
            self.shedding = True
            self._shed()
            if call.invocation_id is not None and len(self._refusals) < MAX_REFUSALS:
                self._refusals.append(call.invocation_id)
                self._refused.set()
            return
        packed = call.whole_record if len(self._waiting) >= MAX_UNPACKED else None
        self._waiting.append(call.record if isinstance(call, UnreadCall) else call if packed is None else packed)
        self._waiting_bytes += call.size
        self._changed.set()

    async def run(self, group: asyncio.TaskGroup) -> NoReturn:
        """Start handlers as tasks of `group`, for ever."""
        while True:
            started = self._read_bytes = 0
            while self._waiting and self._can_run(_size(self._waiting[0])):
                started += self._start_next(group)
                if started >= STARTED_A_TURN or self._read_bytes >= TURN_BYTES:
                    await asyncio.sleep(0)
                    started = self._read_bytes = 0
            if self.shedding and len(self._waiting) <= MAX_WAITING // 2 and self._waiting_bytes + self._running_bytes <= MAX_BYTES // 2:
                self.shedding = False
                self._has_room()
            self._changed.clear()
            await self._changed.wait()

    async def run_refusals(self) -> NoReturn:
        """Tell the callers of what was shed, for ever."""
        while True:
            while self._refusals:
                await self._calls.refuse(self._refusals.popleft())
            self._refused.clear()
            await self._refused.wait()

    def _start_next(self, group: asyncio.TaskGroup) -> int:
        """Start the next call, and its neighbours where they are handled together; returns how many."""
        call = self._take()
        if not isinstance(call, Call) or (burst := self._calls.burst(call)) is None:
            self._start(partial(self._answer, call), 1, call.size, group)
            return 1
        calls, size = [call], call.size
        while self._waiting and len(calls) < MAX_BURST and self._has_room_beside(size, len(calls)):
            neighbour = self._first()
            if not isinstance(neighbour, Call) or self._calls.burst(neighbour) != burst:
                break
            calls.append(neighbour)
            size += neighbour.size
            self._take()
        answer = partial(self._calls.answer_burst, burst, calls) if len(calls) > 1 else partial(self._calls.answer, call)
        self._start(answer, len(calls), size, group)
        return len(calls)

    def _has_room_beside(self, size: int, calls: int) -> bool:
        """Whether the first that waits may be handled together with so many calls of that size."""
        size += _size(self._waiting[0])
        return size <= TURN_BYTES and self._can_run(size, calls)

    def _take(self) -> Call | Unreadable | UnreadCall:
        call = self._first()
        self._waiting.popleft()
        self._waiting_bytes -= call.size
        return call

    def _first(self) -> Call | Unreadable | UnreadCall:
        """The first that waits, read where that is done at once; that is tried only once."""
        call = self._waiting[0]
        if isinstance(call, bytes):
            self._read_bytes += len(call)
            self._waiting[0] = call = read_call(call) or UnreadCall(call)
        return call

    async def _answer(self, call: Call | Unreadable | UnreadCall) -> None:
        read = await read_whole(call.record) if isinstance(call, UnreadCall) else call
        if isinstance(read, Call | Unreadable):  # else it only began like one
            await self._calls.answer(read)

    def _start(self, answer: Callable[[], Awaitable[None]], calls: int, size: int, group: asyncio.TaskGroup) -> None:
        self._running += calls
        self._running_bytes += size

        async def handle() -> None:
            try:
                await answer()
            finally:
                self._running -= calls
                self._running_bytes -= size
                self._changed.set()

        group.create_task(handle(), name="hub: call")

    def _can_run(self, size: int, calls: int = 0) -> bool:
        """Whether one more may begin, with the calls that begin beside it: `size` is of all of them."""
        running = self._running + calls
        return running < MAX_RUNNING and (self._running_bytes + size <= MAX_RUNNING_BYTES or running == 0)

    def _is_full(self, size: int) -> bool:
        is_crowded = len(self._waiting) >= MAX_WAITING or self._waiting_bytes + self._running_bytes + size > MAX_BYTES
        return is_crowded and bool(self._waiting or self._running)


def _size(call: Call | Unreadable | UnreadCall | bytes) -> int:
    return len(call) if isinstance(call, bytes) else call.size
