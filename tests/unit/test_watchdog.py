from __future__ import annotations

from syncd.watchdog import Pulse

PATIENCE_SECONDS = 180.0


class Loop:
    """What a pulse asks of a loop."""

    def __init__(self) -> None:
        self.busy = True
        self.beats = 0
        self.pulse = Pulse("uplink", lambda: self.busy, lambda: self.beats)

    def stalled_at(self, *moments: float) -> list[bool]:
        return [self.pulse.stalled(now, PATIENCE_SECONDS) for now in moments]


def test_a_loop_that_has_work_and_does_none_is_stalled_once_the_patience_is_over() -> None:
    assert Loop().stalled_at(1000, 1180, 1180.1) == [False, False, True]


def test_any_progress_begins_the_patience_anew() -> None:
    loop = Loop()
    assert loop.stalled_at(1000, 1200) == [False, True]
    loop.beats += 1
    assert loop.stalled_at(1201, 1381) == [False, False]


def test_a_loop_without_work_is_never_stalled() -> None:
    loop = Loop()
    loop.busy = False
    assert loop.stalled_at(1000, 5000) == [False, False]
    loop.busy = True
    assert loop.stalled_at(5100) == [False]
