"""One invocation with rows in it: waits for the answer, and learns from it, from a time-out, and from a connection that is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.errors import ConnectionLost, InvocationError, InvocationTimeout, MethodMissing, StorageError
from syncd.store.block import Block
from syncd.store.times import parse_time
from syncd.uplink.losses import Unanswered
from syncd.uplink.message_size import SizeLimit
from syncd.uplink.retry import ALONE_POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.hub.session import HubSession
    from syncd.hub.supervisor import Hub
    from syncd.status.report import OutboxStatus
    from syncd.store.journal import Journal
    from syncd.store.outbox import OutboxRow
    from syncd.uplink.deferrals import Deferrals
    from syncd.uplink.outcomes import OutcomePolicy
    from syncd.uplink.send_backoff import SendBackoff
    from syncd.uplink.suspects import Suspects


class Invoker:
    """Knows which messages are unanswered.

    Args:
        on_answer: told how many seconds an answer took.

    Attributes:
        answers: of the hub, whatever they were: a sign of life.
        lost_sessions: connections in a row that went before anything sent on them was answered.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        hub_url: str,
        journal: Journal,
        clock: Clock,
        log: FilteringBoundLogger,
        status: OutboxStatus,
        suspects: Suspects,
        deferrals: Deferrals,
        policy: OutcomePolicy,
        backoff: SendBackoff,
        on_answer: Callable[[float], None],
    ) -> None:
        self._hub = hub
        self._hub_url = hub_url
        self._journal = journal
        self._clock = clock
        self._log = log
        self._status = status
        self._suspects = suspects
        self._deferrals = deferrals
        self._policy = policy
        self._backoff = backoff
        self._on_answer = on_answer
        self._unanswered: dict[int, tuple[Unanswered, Sequence[OutboxRow]]] = {}  # in the order in which they were sent
        self._lost_session: HubSession | None = None  # the last whose loss has been learned from
        self.answers = 0
        self.lost_sessions = 0

    async def recall_limit(self) -> None:
        """Take up what was learned of this hub's limit before the restart."""
        known = await self._journal.message_limit(self._hub_url)
        if known is not None:
            learned = parse_time(known.learned_at)
            age = (self._clock.now() - learned[0]).total_seconds() if learned else 0.0
            learned_at = self._clock.monotonic() - max(0.0, age)
            losses = self._suspects.losses
            losses.size = SizeLimit(losses.size.configured, passed=known.passed, too_large=known.too_large, now=learned_at)

    async def invoke(self, session: HubSession, method: str, argument: bytes, size: int, rows: Sequence[OutboxRow]) -> Any:
        """Send these rows.

        Args:
            size: bytes of the message.

        Raises:
            HubError: see `HubSession.invoke`.
        """
        if not self._suspects.none:
            await self._until_alone(rows[0])
        ticket = id(argument)
        ids = rows.ids if isinstance(rows, Block) else tuple(row.id for row in rows)
        self._unanswered[ticket] = Unanswered(size, ids), rows
        seconds = self._suspects.hangs.timeout_seconds(rows)
        began = self._clock.monotonic()
        try:
            result = await session.invoke_encoded(method, argument, timeout_seconds=seconds)
        except InvocationTimeout as timeout:
            self._timed_out(session, seconds, str(timeout))
            raise
        except MethodMissing:  # it says nothing of the rows
            raise
        except InvocationError:
            self._answered(rows, began)
            raise
        except ConnectionLost:
            await self._lost(session)
            raise
        else:
            self._answered(rows, began)
            return result
        finally:
            self.answers += 1
            del self._unanswered[ticket]

    def _answered(self, rows: Sequence[OutboxRow], began: float) -> None:
        seconds = self._clock.monotonic() - began
        self._on_answer(seconds)
        self._suspects.hangs.answered(rows, seconds)
        self.lost_sessions = 0
        self._status.missing_methods.clear()

    async def _until_alone(self, row: OutboxRow) -> None:
        """A suspected row is sent with nothing else in flight."""
        while self._unanswered and self._suspects.rows_together(row) is not None:
            await self._clock.sleep(ALONE_POLL_SECONDS)

    def _is_news(self, session: HubSession) -> bool:
        """Whether this is the first to learn of the session's loss: that one speaks for all that were in flight."""
        is_news = self._lost_session is not session
        self._lost_session = session
        return is_news

    def _timed_out(self, session: HubSession, seconds: float, reason: str) -> None:
        """The session has dropped the connection: that alone frees it of a call that hangs."""
        if not self._is_news(session):
            return
        hangs = self._suspects.hangs
        _, oldest = next(iter(self._unanswered.values()))
        for row, delay in hangs.timed_out(oldest, seconds):
            self._policy.note_deferred(row, self._deferrals.reason(row.id), delay)
        self._log.warning("batch_unanswered", rows=len(oldest), first_id=oldest[0].id, last_id=oldest[-1].id, reason=reason)
        if hangs.silent:
            self._backoff.begin("it takes rows and answers none")
        else:
            self._hub.retry_soon("one message has no answer, and others may have one")

    async def _lost(self, session: HubSession) -> None:
        if not self._is_news(session):
            return
        self.lost_sessions += 1
        losses, limit = self._suspects.losses, self._suspects.losses.size
        before = limit.too_large_bytes
        if losses.lost(session.loss, [message for message, _ in self._unanswered.values()], self._clock.monotonic()):
            self._log.warning(
                "message_limit_suspected", ceiling_bytes=limit.ceiling, passed_bytes=limit.passed_bytes,
                too_large_bytes=limit.too_large_bytes,
            )  # fmt: skip
            self._hub.retry_soon("smaller messages may pass")
        if limit.too_large_bytes != before:
            await self._keep_limit()

    async def passed(self, session: HubSession, size: int, rows: int) -> None:
        """So many rows in a message of this size were answered without an error."""
        session.useful = True
        if self._suspects.losses.passed(size, rows, self._clock.monotonic()):
            await self._keep_limit()

    async def _keep_limit(self) -> None:
        limit = self._suspects.losses.size
        try:
            await self._journal.learned_limit(self._hub_url, limit.passed_bytes, limit.too_large_bytes)
        except StorageError as error:  # it is learned again
            self._log.warning("message_limit_not_kept", error=str(error))
