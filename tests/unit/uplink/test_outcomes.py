from __future__ import annotations

import random

import structlog
from structlog.testing import LogCapture

from syncd.config.settings import SyncSettings
from syncd.status.report import OutboxStatus
from syncd.store.outbox import OutboxRow
from syncd.uplink.deferrals import MAX_ROWS, Deferrals
from syncd.uplink.outcomes import Batch, OutcomePolicy
from syncd.uplink.send_backoff import SendBackoff
from tests.support.clock import BEGINNING, FakeClock


def test_one_batch_and_all_that_were_in_flight_with_it_are_one_step_of_the_backoff() -> None:
    capture, clock = LogCapture(), FakeClock()
    log = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0))
    chance = random.Random(1)
    status = OutboxStatus()
    backoff = SendBackoff(clock, log, status)
    policy = OutcomePolicy(SyncSettings(), Deferrals(SyncSettings(), clock, chance), backoff, clock, chance, log, status)
    for _ in range(3):
        for _ in range(4):
            batch = Batch([])
            for _ in range(50):  # a hub for single items: as many answers
                policy.take_answer([], "OK", batch)
            policy.take_errors(batch)
        clock.seconds = backoff.not_before
    assert [entry["retry_in_seconds"] for entry in capture.entries] == [5.0, 10.0, 20.0]
    assert status.undecided is not None
    assert "text" in status.undecided[0]


def a_row(number: int) -> OutboxRow:
    return OutboxRow(number, "Receipt", number, 3, f"c-{number}", "", BEGINNING, 0, None)


def test_of_more_rows_without_a_verdict_than_are_remembered_each_waits_and_the_others_do_not_wait() -> None:
    clock, chance = FakeClock(), random.Random(1)
    log = structlog.wrap_logger(None, processors=[LogCapture()], wrapper_class=structlog.make_filtering_bound_logger(0))
    deferrals = Deferrals(SyncSettings(), clock, chance)
    for number in range(MAX_ROWS):
        deferrals.defer(a_row(number), "null")
    status = OutboxStatus()
    backoff = SendBackoff(clock, log, status)
    policy = OutcomePolicy(SyncSettings(), deferrals, backoff, clock, chance, log, status)
    for number in range(MAX_ROWS, MAX_ROWS + 10):
        row = a_row(number)
        batch = Batch([row])
        policy.take_answer([row], [], batch)
        policy.take_errors(batch)
        assert batch.waits[row.id] >= SyncSettings().retry_base_seconds
    assert backoff.not_before == 0.0
    assert status.undecided is None
