"""Our acks to HQ for what it has sent, once that is applied and on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import orjson

from syncd.downlink.ack_limit import AckLimit
from syncd.errors import HubError, InvocationFailure, invocation_failure
from syncd.wire.messages import accepting_ack, sync_ack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import InboundStatus

ACKNOWLEDGE = "Acknowledge"
ACKNOWLEDGE_BATCH = "AcknowledgeBatch"
KEPT_ACKS = 100_000
"""That wait; above it the oldest are dropped."""
NEARLY_FULL = 20_000
"""From here on the catch-up asks for no more: there is still room for the pages that it has fetched, and for live updates."""
STUCK_SECONDS = 120.0  # without a single ack settled: updates are worth more than acks, and the catch-up goes on
PAUSE_SECONDS = 60.0  # after the connection ended again with one ack alone in flight: the sales have their turn
RECENT_SECONDS = 3600.0  # how long the status gives the reason for the last dropped ack
LOG_SECONDS = 60.0  # between two lines about the same reason


class Acknowledgements:
    """A queue of `SyncAck` for HQ. One without a correlation id is not sent, since HQ could not tell what it is for.

    Args:
        max_message_bytes: of the hub; a message with several acks fills half of it at most.
        status: the section of the report in which the acks that wait and those that were dropped are counted.
        on_change: told whenever an ack is dropped.
    """

    def __init__(
        self,
        hub: Hub,
        max_message_bytes: int,
        clock: Clock,
        log: FilteringBoundLogger,
        status: InboundStatus,
        on_change: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._budget = max_message_bytes // 2
        self._clock = clock
        self._log = log
        self._status = status
        self._on_change = on_change
        self._acks: deque[bytes] = deque()  # as JSON
        self._in_flight = 0
        self._limit = AckLimit()
        self._work = asyncio.Event()
        self._settled = asyncio.Event()
        self._is_paused = False
        self._singly: HubSession | None = None  # the session whose `AcknowledgeBatch` throws for what `Acknowledge` takes
        self._last_reason = ""
        self._last_at = self._logged_at = 0.0

    def add(self, correlation_ids: Sequence[str | None], refusals: Mapping[int, str], processed_at: datetime) -> None:
        """Send the acks of these as soon as there is a connection.

        Args:
            refusals: why some could not be applied, by their index.
        """
        accepted = accepting_ack(processed_at)
        for index, identifier in enumerate(correlation_ids):
            if not identifier:
                continue
            refusal = refusals.get(index)
            try:
                self._acks.append(accepted(identifier) if refusal is None else orjson.dumps(sync_ack(identifier, refusal, processed_at)))
            except TypeError as error:  # half of a surrogate pair
                self._drop(1, f"it is no text that JSON can hold: {error}")
        excess = len(self._acks) - KEPT_ACKS
        if excess > 0:
            for _ in range(excess):
                self._acks.popleft()
            self._drop(excess, f"more than {KEPT_ACKS:,} waited for HQ to take them")
        self._work.set()

    async def run(self) -> None:
        """Send what waits; for ever."""
        while True:
            await self._work.wait()
            session = await self._hub.session()
            if not self._acks:
                self._work.clear()
                continue
            acks = self._take()
            self._in_flight = len(acks)
            lost = await self._send(session, acks)
            self._acks.extendleft(reversed(lost))
            self._in_flight = 0
            if len(lost) < len(acks):
                self._settled.set()
            if not lost:
                self._limit.passed(len(acks), self._clock.monotonic())
            elif self._limit.lost(lost, self._clock.monotonic()):
                self._acks.popleft()
                self._drop(1, f"the connection ended each time that it was sent alone: {session.loss}")
            if self._limit.lone_losses > 1:
                await self._pause()

    async def room(self) -> None:
        """Wait while nearly as many acks as are kept wait for HQ; not for ever, where HQ takes none."""
        while len(self._acks) >= NEARLY_FULL:
            self._settled.clear()
            try:
                async with self._clock.timeout(STUCK_SECONDS):
                    await self._settled.wait()
            except TimeoutError:
                return

    @property
    def idle(self) -> bool:
        """Nothing is in flight, and nothing waits that would be sent now."""
        return self._is_paused or (not self._acks and not self._in_flight)

    def refresh_status(self) -> None:
        """Bring up to date what is not worth following ack by ack, and what changes with the time alone."""
        self._status.acks_waiting = len(self._acks) + self._in_flight
        is_recent = self._status.acks_dropped and self._clock.monotonic() - self._last_at <= RECENT_SECONDS
        self._status.acks_dropped_reason = self._last_reason if is_recent else None

    def _take(self) -> list[bytes]:
        """The first acks: one at least, and more as long as they fit into one message."""
        acks = [self._acks.popleft()]
        size = len(acks[0])
        while self._acks and len(acks) < self._limit.most and size + len(self._acks[0]) < self._budget:
            acks.append(self._acks.popleft())
            size += len(acks[-1]) + 1
        return acks

    async def _send(self, session: HubSession, acks: list[bytes]) -> list[bytes]:
        """Send them together where the hub takes that; returns those whose outcome is unknown, since the connection ended."""
        if len(acks) == 1 or session is self._singly or session.lacks(ACKNOWLEDGE_BATCH):
            return await self._send_each(session, acks)
        try:
            await session.invoke_encoded(ACKNOWLEDGE_BATCH, _list_of(acks))
        except HubError as error:
            match invocation_failure(error):
                case InvocationFailure.RETRY:
                    return acks
                case InvocationFailure.METHOD_MISSING:
                    return await self._send_each(session, acks)
                case InvocationFailure.REFUSED:
                    return await self._send_halves(session, acks)
        return []

    async def _send_halves(self, session: HubSession, acks: list[bytes]) -> list[bytes]:
        dropped = self._status.acks_dropped
        middle = len(acks) // 2
        lost = await self._send(session, acks[:middle]) + await self._send(session, acks[middle:])
        if len(acks) == 2 and not lost and self._status.acks_dropped == dropped:
            self._singly = session
        return lost

    async def _send_each(self, session: HubSession, acks: list[bytes]) -> list[bytes]:
        if session.lacks(ACKNOWLEDGE) and session.lacks(ACKNOWLEDGE_BATCH):
            return []  # a hub that wants none
        if session.lacks(ACKNOWLEDGE):
            calls = [session.invoke_encoded(ACKNOWLEDGE_BATCH, _list_of([ack])) for ack in acks]
        else:
            calls = [session.invoke_encoded(ACKNOWLEDGE, ack) for ack in acks]
        lost, without_method = [], []
        for ack, result in zip(acks, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if not isinstance(result, HubError):
                if isinstance(result, BaseException):
                    raise result
                continue
            match invocation_failure(result):
                case InvocationFailure.RETRY:
                    lost.append(ack)
                case InvocationFailure.METHOD_MISSING:
                    without_method.append(ack)
                case InvocationFailure.REFUSED:  # the update is applied all the same
                    self._drop(1, str(result))
        return lost + (await self._send_each(session, without_method) if without_method else [])

    async def _pause(self) -> None:
        self._is_paused = True
        await self._clock.sleep(PAUSE_SECONDS)
        self._is_paused = False

    def _drop(self, count: int, reason: str) -> None:
        now = self._clock.monotonic()
        self._status.acks_dropped += count
        if reason != self._last_reason or now - self._logged_at >= LOG_SECONDS:
            self._log.warning("acks_dropped", acks=count, total=self._status.acks_dropped, reason=reason)
            self._logged_at = now
        self._last_reason, self._last_at = reason, now
        self._on_change()


def _list_of(acks: list[bytes]) -> bytes:
    return b"[" + b",".join(acks) + b"]"
