"""Either hub at the level of the wire: its HTTP requests, its control, and what it answers."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.raw_client import invocation, raw_client
from tests.support.store import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED_WITH_ERROR = [{"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}, "closed 1000"]
ABORTED = [{"type": 7}, "closed 1000"]
HEARTBEAT_RESPONSE = {"type": 1, "target": "HeartbeatResponse", "arguments": []}


@dataclass
class HubHandle:
    """Either hub, seen from outside."""

    url: str

    async def control(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of a control call; a text is sent as it stands."""
        status, text = await self.control_text(method, path, body if isinstance(body, str) else json.dumps(body))
        return status, json.loads(text) if text.startswith(("{", "[", '"')) or text[:1].isdecimal() or text == "null" else text

    async def control_text(self, method: str, path: str, body: str) -> tuple[int, str]:
        address = self.url.removesuffix("/hubs/sync") + f"/control/{path}"
        headers = {"Content-Type": "application/json"}
        data = None if method == "GET" else body.encode()
        async with aiohttp.ClientSession() as http, http.request(method, address, data=data, headers=headers) as answer:
            return answer.status, await answer.text()

    async def state(self) -> dict[str, Any]:
        status, state = await self.control("GET", "state")
        assert status == 200
        assert isinstance(state, dict)
        return state

    async def state_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(state := await self.state()):
            assert time.monotonic() < deadline, state
            await asyncio.sleep(0.01)
        return state

    async def faults(self, **faults: object) -> None:
        status, _ = await self.control("PUT", "faults", faults)
        assert status == 200

    async def negotiate(self, query: str = "?negotiateVersion=1", method: str = "POST") -> tuple[int, Any, str | None]:
        """Status, answer and Retry-After."""
        async with aiohttp.ClientSession() as http, http.request(method, f"{self.url}/negotiate{query}") as answer:
            body = await answer.json() if answer.content_type == "application/json" else await answer.text()
            return answer.status, body, answer.headers.get("Retry-After")

    async def refusal(self, query: str) -> tuple[int, str | None]:
        """Status and Retry-After of a WebSocket upgrade that is refused."""
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with raw_client(self.url + query, None):
                pass
        return refused.value.status, refused.value.headers.get("Retry-After") if refused.value.headers else None


def sync_item(entity_id: object = 1, **more: object) -> dict[str, Any]:
    return {
        "entityType": "Receipt", "entityId": entity_id, "operation": "Create", "payload": '{"total":12.50,"näme":"€"}',
        "timestamp": "2026-11-23T10:00:00.123Z", "storeId": 7, "correlationId": str(uuid.uuid4()), "sequence": 1, "priority": 2,
        "attempt": 0, **more,
    }  # fmt: skip


def sized(length: int) -> str:
    """A heartbeat of so many bytes, its separator included."""
    return invocation("Heartbeat", {"x": "y" * (length - len(invocation("Heartbeat", {"x": ""})))})


def error_of(method: str, rest: str) -> dict[str, object]:
    return {"type": 3, "invocationId": "1", "error": rest.replace("{}", f"'{method}'")}


NOT_CALLED = "Failed to invoke {} due to an error on the server."
MISSING = NOT_CALLED + " HubException: Method does not exist."
THROWN = "An unexpected error occurred invoking {} on the server."
