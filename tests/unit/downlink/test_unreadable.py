from __future__ import annotations

from syncd.downlink import unreadable
from syncd.downlink.unreadable import UnreadableMessages
from syncd.hub.incoming import Unreadable
from syncd.status.report import InboundStatus
from syncd.store.quarantine import Quarantined
from tests.support.clock import FakeClock


class Kept:
    """A quarantine in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.entries: list[Quarantined] = []
        self.status = InboundStatus()
        self.messages = UnreadableMessages(self.clock, self._keep, self.status)

    def _keep(self, entry: Quarantined) -> None:
        self.entries.append(entry)
        self.status.quarantined = len(self.entries)

    def take(self, method: str | None, count: int = 1) -> None:
        for _ in range(count):
            self.messages.take(Unreadable(1, None, method, "NaN is not JSON", b'{"x":"\xff"}'))


def test_it_is_kept_as_it_came_with_method_and_reason_and_counted() -> None:
    kept = Kept()
    kept.take("ReceivePriceUpdate")
    kept.take(None)
    assert kept.entries == [
        Quarantined("ReceivePriceUpdate", None, "NaN is not JSON", '{"x":"\\xff"}'),
        Quarantined("(unknown)", None, "NaN is not JSON", '{"x":"\\xff"}'),
    ]
    assert kept.status.unreadable == 2
    assert kept.messages.reason() == "HQ sends what cannot be read (2 since the start), the last: (unknown): NaN is not JSON"


def test_a_flood_of_them_is_counted_and_a_few_of_each_method_are_kept_a_day() -> None:
    kept = Kept()
    kept.take("A", 1_000)
    kept.take("B", 3)
    assert [entry.method for entry in kept.entries] == ["A"] * 10 + ["B"] * 3
    assert kept.status.unreadable == 1_003
    kept.clock.seconds += unreadable.DAY_SECONDS + 1
    kept.take("A", 1_000)
    assert len(kept.entries) == 23


def test_neither_invented_methods_nor_many_days_fill_the_disk() -> None:
    kept = Kept()
    for number in range(5_000):
        kept.take(f"M{number}", 2)
    assert len(kept.entries) == 2 * unreadable.MAX_METHODS + unreadable.KEPT_A_DAY
    for _ in range(30):
        kept.clock.seconds += unreadable.DAY_SECONDS + 1
        for number in range(20):
            kept.take(f"M{number}", 20)
    assert len(kept.entries) == unreadable.MAX_QUARANTINED


def test_the_reason_goes_when_they_have_stopped() -> None:
    kept = Kept()
    assert kept.messages.reason() is None
    kept.take("A")
    kept.clock.seconds += unreadable.RECENT_SECONDS
    assert kept.messages.reason() is not None
    kept.clock.seconds += 1
    assert kept.messages.reason() is None
