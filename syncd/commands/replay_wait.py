"""Asks the daemon to apply entries of the quarantine once more, and waits for what becomes of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from syncd.clock import SystemClock
from syncd.store.lock import StoreLock
from syncd.store.replay import ReplayClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncd.config.settings import Settings
    from syncd.store.replay import Replayed

LOOK_SECONDS = 0.2


def replayed(settings: Settings, ids: Sequence[int], seconds: float) -> list[Replayed]:
    """What became of each; those that are not decided stay asked for. Where no daemon runs, nothing is waited for."""
    client = ReplayClient(settings.database.state_path)
    client.request(ids, SystemClock().now())
    until = time.monotonic() + seconds
    while True:
        outcomes = client.look(ids)
        done = [outcome.quarantine_id for outcome in outcomes if outcome.outcome is not None]
        runs = StoreLock(settings.database.outbox_path).running_pid() is not None
        if len(done) == len(outcomes) or not runs or time.monotonic() >= until:
            client.forget(done)
            return outcomes
        time.sleep(LOOK_SECONDS)
