"""What a test needs from the machine. Where a machine promises to have it, its absence is a failure, not a skip."""

from __future__ import annotations

import os

import pytest

PROMISED = "SYNCD_REQUIRE"
"""The environment variable with the promised things, commas between them: `buildah,refhub`."""


def need(thing: str, present: bool, reason: str) -> None:
    """Skip the test, with the reason, where the thing is not present; fail it where the thing was promised."""
    if present:
        return
    if thing in os.environ.get(PROMISED, "").split(","):
        pytest.fail(f"{PROMISED} promises {thing}, but {reason}")
    pytest.skip(reason)
