"""What the wire and the hub take: the same rows, encoded beforehand, over the same connection, without any database on our side."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import structlog

from syncd.clock import SystemClock
from syncd.config.settings import HubSettings
from syncd.hub.supervisor import Hub
from syncd.wire.messages import encode_item
from tests.bench.backlog import payload

if TYPE_CHECKING:
    from syncd.hub.session import HubSession
    from tests.support.refhub import RefHub


def encoded(number: int) -> bytes:
    """A row as `store_with` writes it, as it is sent."""
    return encode_item(
        entity_type="Receipt", entity_id=number, operation="Create", payload=payload(number), priority=3,
        correlation_id=f"limit-{number:030}", timestamp="2026-11-24T00:00:00.000Z", store_id=7, sequence=number + 1, attempt=1,
    )  # fmt: skip


async def wire_rows_per_second(hub: RefHub, rows: int, *, batch_rows: int, in_flight: int) -> float:
    """Rows a second; nothing but sending and waiting for the answer is measured."""
    items = [encoded(number) for number in range(rows)]
    batches = iter([b"[" + b",".join(items[start : start + batch_rows]) + b"]" for start in range(0, rows, batch_rows)])
    log = structlog.wrap_logger(structlog.ReturnLogger())
    connection = Hub(HubSettings(url=hub.url()), store_id=99, clock=SystemClock(), random=random.Random(1), log=log)
    running = asyncio.create_task(connection.run())
    session = await connection.session()

    async def sender(session: HubSession) -> None:
        for batch in batches:
            await session.invoke_encoded("SendSyncBatch", batch)

    began = time.perf_counter()
    try:
        await asyncio.gather(*(sender(session) for _ in range(in_flight)))
        return rows / (time.perf_counter() - began)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
