"""Answers the hub's calls: runs the handler of each, and sends its result where the hub waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pysignalr.messages import CompletionMessage, Message

from syncd.errors import ConnectionLost, MessageTooLarge
from syncd.hub.incoming import KEPT_BYTES, Call, Unreadable
from syncd.redaction import foreign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

Handler: TypeAlias = Callable[[list[Any], bool], Awaitable[object]]
"""`(arguments, wants_result)` to the result, which is sent where the hub wants one; a long list among the arguments is
a `LargeList`."""
BurstHandler: TypeAlias = Callable[[list[Any]], Awaitable[None]]
"""Neighbouring calls at once: the object that each brings; none of them wants a result."""
NO_HANDLER = "Client didn't provide a result."
"""Word for word what Microsoft's clients answer."""
BUSY = "syncd has too many calls waiting: this one was not taken"
UNREADABLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ClientMethod:
    """Who handles a method.

    Attributes:
        handler: a call.
        burst: neighbouring calls, where that costs less than one by one.
    """

    handler: Handler
    burst: BurstHandler | None = None


class CallHandlers:
    """The client methods of one connection; whatever happens in a handler, the connection goes on.

    Args:
        methods: by name, in lower case.
        send: see `HubConnection.send`.
        on_unreadable: told of every message that could not be read, and every call of a method that nobody handles.
    """

    def __init__(
        self,
        methods: Mapping[str, ClientMethod],
        send: Callable[[Message], Awaitable[None]],
        on_unreadable: Callable[[Unreadable], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._methods = methods
        self._send = send
        self._on_unreadable = on_unreadable
        self._log = log

    async def answer(self, call: Call | Unreadable) -> None:
        """Run a handler; its failure is told to the hub where it waits for a result, and never ends the connection."""
        wanted = call.invocation_id is not None
        result: object = None
        error: str | None = None
        if isinstance(call, Unreadable):
            error = call.reason
            self._report_unreadable(call)
            wanted = wanted and call.kind == 1
        elif (method := self._methods.get(call.target.lower())) is None:
            name = foreign(call.target[:UNREADABLE_CHARACTERS])
            error = f"{NO_HANDLER} syncd has no method {name!r}"
            self._report_unreadable(Unreadable(1, call.invocation_id, call.target, "an unknown method", call.record[:KEPT_BYTES]))
        else:
            try:
                result = await method.handler(call.arguments, wanted)
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                error = "cancelled"
            except Exception as failure:  # noqa: BLE001 - whatever a hub's message does to a handler must not cost the connection
                error = f"{type(failure).__name__}: {failure}"
                self._log.warning("hub_handler_failed", subject=call.target[:100], error=foreign(error))
        if wanted and call.invocation_id is not None:
            await self._send_result(call.invocation_id, result, error)

    def burst(self, call: Call) -> BurstHandler | None:
        """Who handles it together with its neighbours; None where it is to be answered alone."""
        if call.invocation_id is not None or len(call.arguments) != 1 or type(call.arguments[0]) is not dict:
            return None
        method = self._methods.get(call.target.lower())
        return None if method is None else method.burst

    async def answer_burst(self, handler: BurstHandler, calls: Sequence[Call]) -> None:
        """Run it; where it fails each call is answered alone, so that one costs no other."""
        try:
            await handler([call.arguments[0] for call in calls])
        except Exception as failure:  # noqa: BLE001 - as above
            self._log.warning("hub_handler_failed", subject=calls[0].target[:100], calls=len(calls), error=foreign(str(failure)))
            for call in calls:
                await self.answer(call)

    def _report_unreadable(self, message: Unreadable) -> None:
        method = (message.target or "")[:100]
        self._log.warning(
            "hub_message_unreadable", subject=method, reason=foreign(message.reason), wants_result=message.invocation_id is not None
        )
        self._on_unreadable(message)

    async def refuse(self, identity: str) -> None:
        """Tell the caller of a call that there was no room for."""
        await self._send_result(identity, None, BUSY)

    async def _send_result(self, identity: str, result: object, error: str | None) -> None:
        try:
            try:
                await self._send(CompletionMessage(identity, result, error))
            except (MessageTooLarge, TypeError, ValueError) as unsendable:
                reason = f"the result cannot be sent: {unsendable}".encode(errors="replace").decode()[:1000]
                await self._send(CompletionMessage(identity, None, reason))
        except ConnectionLost:
            return  # nobody waits any more
