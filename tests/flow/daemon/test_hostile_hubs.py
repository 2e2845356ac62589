"""Whatever a hub sends: the daemon's loop goes on, its memory stays bounded, it stops when told to, and nothing is dropped silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hostile_hubs import HOSTILE, HostileHub, run_daemon_against

if TYPE_CHECKING:
    from pathlib import Path

MOST_HELD_SECONDS = 0.050
STOP_SECONDS = 5.0
"""A second on a machine that is not busy with other tests; what this is about took 199."""
MEMORY_BYTES = 40_000_000
"""Beside a few times what was sent, up to the bound of a message."""
TRIED = [
    "a list of 1 million numbers, 2 MB", "a list of 29 million numbers, 58 MB", "a list of 16 million numbers, 32 MB",
    "1 million empty objects, 3 MB", "nesting of 200,000", "an integer of 20 million digits", "invalid UTF-8",
    "a payload of 7 MB of numbers", "60,000 pings in one frame", "one message of 5 MB good updates",
    "one good update of 19,000 values", "8 MB of control characters", "8 MB of escaped control characters",
    "fragments without end", "fragments without end before the handshake",
]  # fmt: skip
APPLIED = {"one message of 5 MB good updates": 30_000, "one good update of 19,000 values": 1}


@pytest.mark.parametrize("hub", [hub for hub in HOSTILE if hub.name in TRIED], ids=lambda hub: hub.name)
async def test_the_loop_is_never_held_memory_stays_bounded_and_sigterm_is_answered(hub: HostileHub, tmp_path: Path) -> None:
    applied = APPLIED.get(hub.name, 0)
    kept = 0 if hub.before_handshake else 1 if applied or "pings" in hub.name else 2  # the message, and the question behind it
    outcome = await run_daemon_against(hub, tmp_path, kept, applied)
    figures = outcome.figures
    assert figures.held_seconds <= MOST_HELD_SECONDS * figures.slowness
    assert figures.peak_bytes - figures.idle_bytes <= MEMORY_BYTES + 3 * min(outcome.megabytes, 32) * 1e6
    assert outcome.stop_seconds <= STOP_SECONDS
    if applied:
        assert outcome.status["inbound"]["appliedTotal"]["price"] == applied
        assert {method for method, _, _ in outcome.quarantine} == {"IsItOver"}
    elif not hub.before_handshake and "pings" not in hub.name:
        entries = [(reason, size) for method, reason, size in outcome.quarantine if method != "IsItOver"]
        assert len(entries) == 1, entries
        assert entries[0][1] <= 64 * 1024
        assert "warning" in outcome.status["health"]
