"""A hub of a few lines whose answers to `RequestBatchSync` are what a test says, for feeds with habits that no real hub here has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from tests.support.scripted_hub import ScriptedHub, Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Request = dict[str, Any]
    Answer = Callable[[Request], dict[str, object] | None]


class OddFeed:
    """`async with OddFeed(answer) as hub`: takes everything else in silence.

    Attributes:
        answer: what a request is answered, None for no answer at all; may be set anew at any time.
        requests: all of them, in order.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self._hub = ScriptedHub(self._serve)

    @property
    def url(self) -> str:
        return self._hub.url

    async def __aenter__(self) -> Self:
        await self._hub.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._hub.__aexit__(kind, error, trace)

    async def _serve(self, wire: Wire) -> None:
        while (message := await wire.listen()) is not None:
            if message.get("type") != 1 or "invocationId" not in message:
                continue
            result = None
            if message["target"] == "RequestBatchSync":
                self.requests.append(message["arguments"][0])
                answer = self.answer(message["arguments"][0])
                if answer is None:
                    continue
                result = {"success": True, "processedItems": 0, "errorMessage": None} | answer
            await wire.say({"type": 3, "invocationId": message["invocationId"], "result": result})


AT = "2026-11-23T10:00:00Z"


def prices(*amounts: int) -> list[dict[str, object]]:
    """A feed of prices, product 0 on; the amount is the version, too, so that a greater one wins."""
    return [
        {
            "entityType": "Price", "entityId": n, "operation": "Update", "timestamp": AT, "correlationId": f"p{n}-{amount}",
            "payload": json.dumps({"productId": n, "price": amount, "currency": "EUR", "version": amount, "updatedAt": AT}),
        }
        for n, amount in enumerate(amounts)
    ]  # fmt: skip
