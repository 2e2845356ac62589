from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from structlog.testing import LogCapture

from syncd.uplink.sent_log import INTERVAL_SECONDS, SentLog
from tests.support.clock import HandClock, settle


async def test_a_backlog_makes_one_line_of_sums_every_few_seconds_and_the_last_ones_are_not_lost() -> None:
    capture = LogCapture()
    log = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(20))
    clock = HandClock()
    sent = SentLog(clock, log)
    task = asyncio.create_task(sent.run())
    await settle()
    for n in range(1000):
        sent.add(first_id=n, last_id=n, rows=50, bytes=100, accepted=49, refused=1, milliseconds=0.25)
    assert not capture.entries
    await clock.advance(INTERVAL_SECONDS)
    await clock.advance(INTERVAL_SECONDS)
    assert capture.entries == [
        {"event": "batches_sent", "log_level": "info", "batches": 1000, "rows": 50_000, "bytes": 100_000, "accepted": 49_000,
         "refused": 1000, "milliseconds": 250.0},
    ]  # fmt: skip
    sent.add(first_id=1, last_id=1, rows=1, bytes=2, accepted=1, refused=0, milliseconds=3.0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert capture.entries[-1]["rows"] == 1
