"""Our acks to HQ for what it has sent, once that is applied and on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from syncd.errors import HubError, InvocationFailure, MethodMissing, invocation_failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from structlog.typing import FilteringBoundLogger

    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub

ACKNOWLEDGE = "Acknowledge"
ACKNOWLEDGE_BATCH = "AcknowledgeBatch"
ACKS_A_MESSAGE = 100  # about 20 kB, below ASP.NET Core's default limit
KEPT_ACKS = 100_000  # while the line is down; the oldest are dropped


class Acknowledgements:
    """A queue of `SyncAck` for HQ. One without a correlation id is not sent, since HQ could not tell what it is for."""

    def __init__(self, hub: Hub, log: FilteringBoundLogger) -> None:
        self._hub = hub
        self._log = log
        self._acks: deque[dict[str, object]] = deque(maxlen=KEPT_ACKS)
        self._work = asyncio.Event()

    def add(self, acks: Iterable[dict[str, object]]) -> None:
        """Send these as soon as there is a connection."""
        self._acks.extend(ack for ack in acks if ack["correlationId"])
        self._work.set()

    async def run(self) -> None:
        """Send what waits; for ever."""
        while True:
            await self._work.wait()
            session = await self._hub.session()
            if not self._acks:
                self._work.clear()
                continue
            some = [self._acks.popleft() for _ in range(min(ACKS_A_MESSAGE, len(self._acks)))]
            try:
                await self._acknowledge(session, some)
            except HubError as error:
                if invocation_failure(error) is InvocationFailure.RETRY:
                    self._acks.extendleft(reversed(some))
                else:  # the updates are applied all the same
                    self._log.warning("acknowledge_refused", acks=len(some), error=str(error))

    async def _acknowledge(self, session: HubSession, acks: list[dict[str, object]]) -> None:
        if len(acks) > 1 and not session.lacks(ACKNOWLEDGE_BATCH):
            try:
                await session.invoke(ACKNOWLEDGE_BATCH, acks)
            except MethodMissing:
                pass
            else:
                return
        if not session.lacks(ACKNOWLEDGE):
            results = await asyncio.gather(*(session.invoke(ACKNOWLEDGE, ack) for ack in acks), return_exceptions=True)
            for result in results:  # all of them have ended by now
                if isinstance(result, BaseException):
                    raise result
