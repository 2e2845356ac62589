"""Client results: the server invokes a method of the client and waits for its completion."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from syncd.devhub.protocol import Type

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_invocation_numbers = itertools.count(1)


class ClientResultError(Exception):
    """A client asked for a result gave none; the message has the .NET exception's name before the reason."""


class ClientResults:
    """The invocations of one connection that its client has not completed."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[object]] = {}

    async def invoke(
        self,
        send: Callable[[dict[str, Any]], Coroutine[Any, Any, None]],
        method: str,
        arguments: list[object],
        timeout_seconds: float,
    ) -> object:
        """Sends an invocation and waits for its result.

        Raises:
            ClientResultError: the client answered with an error, not in time, or left.
        """
        number = f"s{next(_invocation_numbers)}"
        self._waiting[number] = result = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_seconds):
                await send({"type": Type.INVOCATION.value, "invocationId": number, "target": method, "arguments": arguments})
                return await result
        except TimeoutError:
            raise ClientResultError("HubException: Invocation canceled by the server.") from None
        finally:
            del self._waiting[number]

    def complete(self, message: dict[str, Any]) -> None:
        """The client's completion has come; one that nobody waits for is ignored."""
        waiting = self._waiting.get(message["invocationId"])
        if waiting is None or waiting.done():
            return
        if "result" in message:
            waiting.set_result(message["result"])
        else:
            waiting.set_exception(ClientResultError(f"HubException: {message.get('error', 'the client gave no result')}"))

    def fail_all(self, connection_id: str) -> None:
        """The client has left."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ClientResultError(f"IOException: Connection '{connection_id}' disconnected."))
