"""One live connection as the rest of syncd sees it: invoke, be invoked, and learn at once when it is over."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, NoReturn

from pysignalr.messages import CloseMessage, CompletionMessage, InvocationMessage, Message

from syncd.errors import ClosedByHub, ConnectionLost, HubError, InvocationError, InvocationTimeout, MethodMissing, UnreadableAnswer
from syncd.hub.calls import CallHandlers
from syncd.hub.connection import HubConnection, root_cause
from syncd.hub.dispatcher import Dispatcher
from syncd.hub.incoming import Call, Unreadable, UnreadCall
from syncd.hub.protocol import Encoded, HubProtocol, invocation_size
from syncd.redaction import foreign

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from syncd.clock import Clock
    from syncd.config.settings import HubSettings
    from syncd.hub.calls import ClientMethod
    from syncd.hub.negotiate import Endpoint


class HubSession:
    """A connection from its opening to its loss; never reused.

    Attributes:
        connection_id: its public name; None where nothing was negotiated.
        lost: set when it is over; nothing is sent or received any more.
        loss: why it is over; None as long as it is not.
        useful: it got work done, which whoever did that notes here; a heartbeat does not count.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        settings: HubSettings,
        tls: ssl.SSLContext,
        clock: Clock,
        methods: Mapping[str, ClientMethod],
        on_unreadable: Callable[[Unreadable], None],
        on_shed: Callable[[], None],
        on_room: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.connection_id = endpoint.connection_id
        self.lost = asyncio.Event()
        self.loss: HubError | None = None
        self.useful = False
        self._over = asyncio.Event()  # set when nothing is left to be read or sent, a moment after the loss
        self._clock = clock
        self._timeout_seconds = settings.invocation_timeout_seconds
        self._ids = itertools.count(1)
        self._pending: dict[str, tuple[str, asyncio.Future[CompletionMessage | HubError]]] = {}
        self._missing: set[str] = set()
        self._connection = HubConnection(
            endpoint, HubProtocol(settings.max_message_bytes), self._on_message, settings=settings, tls=tls, clock=clock
        )
        calls = CallHandlers(methods, self._connection.send, on_unreadable, log)
        self._dispatcher = Dispatcher(calls, shed=on_shed, has_room=on_room)

    async def run(self, opened: Callable[[], Awaitable[None]]) -> NoReturn:
        """Open the connection and serve it; `opened` runs as soon as invocations may be made, while messages are read.

        Raises:
            ConnectionFailed: it did not come to be.
            ConnectionLost: it is over.
        """
        is_open = asyncio.Event()

        async def announce() -> None:
            is_open.set()

        async def call_back() -> None:
            await is_open.wait()
            await opened()

        self._connection.on_open(announce)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._serve(), name="hub: connection")
                group.create_task(self._dispatcher.run(group), name="hub: dispatcher")
                group.create_task(self._dispatcher.run_refusals(), name="hub: refusals")
                group.create_task(call_back(), name="hub: opened")
                await self._until_over()
        except BaseExceptionGroup as errors:
            self._end(ConnectionLost("the connection was given up"))
            raise root_cause(errors) from None
        raise AssertionError("a connection only ends with an error")

    async def invoke(self, method: str, *arguments: object, timeout_seconds: float | None = None) -> Any:
        """Invoke a hub method; its result, numbers with a fraction as `wire.Number`.

        Args:
            method: in whatever case.
            arguments: what orjson can encode, `orjson.Fragment` and `wire.Number` included, or a single `Encoded`.
            timeout_seconds: instead of `hub.invocation_timeout_seconds`.

        Raises:
            MethodMissing: the hub has no such method.
            InvocationTimeout: no answer in time, so this connection was dropped; the outcome is unknown.
            UnreadableAnswer: the hub's answer is too large, or cannot be read.
            InvocationError: the hub answered with an error.
            ConnectionLost: the connection is over; the outcome is unknown.
            MessageTooLarge: nothing was sent.
            TypeError, ValueError: an argument is not JSON; nothing was sent.
        """
        if self.loss is not None:
            raise self._loss()
        identity = str(next(self._ids))
        answer: asyncio.Future[CompletionMessage | HubError] = asyncio.get_running_loop().create_future()
        self._pending[identity] = method, answer
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            async with self._clock.timeout(seconds):
                try:
                    await self._connection.send(InvocationMessage(identity, method, list(arguments)))
                except ConnectionLost:
                    await self.lost.wait()  # the reader knows the reason
                outcome = await answer
        except TimeoutError:
            # The hub may still be at work on it, and by default takes no other call meanwhile: only a new connection helps.
            unanswered = InvocationTimeout(f"{method}: no answer within {seconds:g} s")
            self.drop(str(unanswered))
            raise unanswered from None
        finally:
            self._pending.pop(identity, None)
        if isinstance(outcome, UnreadableAnswer):
            raise outcome
        if isinstance(outcome, HubError):
            raise self._loss()
        if outcome.error is not None:
            raise self._refused(method, outcome.error)
        return outcome.result

    async def invoke_encoded(self, method: str, argument_json: bytes, *, timeout_seconds: float | None = None) -> Any:
        """Invoke a hub method with a single argument that is JSON already; see `invoke`."""
        return await self.invoke(method, Encoded(argument_json), timeout_seconds=timeout_seconds)

    def encoded_size(self, method: str, argument_bytes: int) -> int:
        """Bytes on the wire of an invocation with one argument of so many bytes, as the hub counts them.

        At most 11 too many.
        """
        return invocation_size(method, argument_bytes)

    def lacks(self, method: str) -> bool:
        """Whether this hub has said, on this connection, that it has no such method."""
        return method.lower() in self._missing

    def drop(self, reason: str) -> None:
        """Give this connection up; another one will come."""
        self._end(ConnectionLost(reason))
        self._over.set()

    async def _serve(self) -> None:
        try:
            await self._connection.run()
        except HubError as loss:
            self._end(loss)
            self._over.set()

    async def _until_over(self) -> NoReturn:
        try:
            await self._over.wait()
        except asyncio.CancelledError:
            self._end(ConnectionLost("syncd closes the connection"))
            raise
        raise self._loss()

    def _end(self, loss: HubError) -> None:
        """The connection is over: every invocation that waits for an answer fails now."""
        if self.loss is not None:
            return
        self.loss = loss
        self.lost.set()
        for _, answer in self._pending.values():
            if not answer.done():
                answer.set_result(loss)

    def _loss(self) -> HubError:
        """The loss, to be raised in one more task: without the traceback of the last."""
        assert self.loss is not None
        return self.loss.with_traceback(None)

    def _refused(self, method: str, text: str) -> InvocationError:
        if text.startswith("Unknown hub method") or (
            "Method does not exist" in text and not text.startswith("An unexpected error occurred invoking")
        ):
            self._missing.add(method.lower())
            return MethodMissing(foreign(text))
        return InvocationError(foreign(text))

    async def _on_message(self, message: Message) -> None:
        """Called by the reader, one message at a time; nothing here waits for anybody."""
        match message:
            case CompletionMessage():
                self._complete(message)
            case Call() | UnreadCall():
                self._dispatcher.put(message)
            case CloseMessage():
                self._end(
                    ClosedByHub(None if message.error is None else foreign(message.error), allow_reconnect=message.allow_reconnect is True)
                )
                raise self._loss()
            case Unreadable():
                self._take_unreadable(message)
            case _:
                pass

    def _complete(self, message: CompletionMessage) -> None:
        _, answer = self._pending.get(message.invocation_id, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _take_unreadable(self, message: Unreadable) -> None:
        """Whoever waits for it is told why nothing comes of it."""
        if message.kind == 3 and message.invocation_id is not None:
            message.target, answer = self._pending.get(message.invocation_id, (None, None))
            if answer is not None and not answer.done():
                answer.set_result(UnreadableAnswer(foreign(message.reason)))
        self._dispatcher.put(message)
