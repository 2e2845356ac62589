"""A hub whose limit nobody knows, rows that close its connection, and a line that breaks: sending must come to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.errors import ClosedByHub, ConnectionLost
from syncd.uplink.losses import Losses, Unanswered
from syncd.uplink.message_size import SizeLimit
from syncd.uplink.retry import FORGET_LIMIT_SECONDS, LIMIT_PROBE_SECONDS

if TYPE_CHECKING:
    from syncd.errors import HubError

CONFIGURED = 32_768
OVERHEAD = 60
TOO_LARGE = ClosedByHub("Connection closed with an error.", allow_reconnect=True)
CUT = ConnectionLost("the line broke", close_code=1006)
MOST_ROUNDS = 1000


@dataclass
class Sender:
    """The uplink's part: rows by size in order, several messages in flight, and what is learned from losses."""

    rows: dict[int, int]
    limit: int
    poison: set[int] = field(default_factory=set)
    cuts: list[int] = field(default_factory=list)  # rounds in which the line breaks
    configured: int = CONFIGURED
    batch_size: int = 50
    now: float = 0.0
    sent: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    closes: int = 0
    sales: int = 0
    quiet: bool = False
    largest: int = 0

    def __post_init__(self) -> None:
        self.losses = Losses(SizeLimit(self.configured))

    def _messages(self) -> list[Unanswered]:
        waiting = [n for n in self.rows if n not in self.sent | self.failed]
        for n in waiting:
            size = self.rows[n] + OVERHEAD
            if size > self.losses.size.largest or self.losses.poison.is_poison(n):
                self.failed.add(n)
        waiting = [n for n in waiting if n not in self.failed]
        self.quiet = not self.quiet and bool(waiting) and all(self.losses.poison.is_suspect(n) for n in waiting)
        if self.quiet:  # now and then there is a sale, which shows that the hub is well
            self.sales += 1
            self.rows[-self.sales] = 50
            waiting.append(-self.sales)
        waiting.sort(key=self.losses.poison.is_suspect)  # suspected rows go last
        messages: list[Unanswered] = []
        while waiting and len(messages) < (1 if self.losses.serial else 4):
            batch: list[int] = []
            size = OVERHEAD
            most = min(self.batch_size, self.losses.poison.max_rows or self.batch_size)
            while waiting and len(batch) < most and (not batch or size + self.rows[waiting[0]] <= self.losses.size.ceiling):
                if batch and (self.losses.poison.is_suspect(waiting[0]) or self.losses.poison.is_suspect(batch[0])):
                    break  # a suspected row goes alone
                size += self.rows[waiting[0]]
                batch.append(waiting.pop(0))
            if messages and self.losses.poison.is_suspect(batch[0]):
                break
            messages.append(Unanswered(size, tuple(batch)))
            if self.losses.poison.is_suspect(batch[0]):
                break
        return messages

    def run(self) -> None:
        for number in range(MOST_ROUNDS):
            messages = self._messages()
            if not messages:
                return
            self.largest = max(self.largest, *(m.size for m in messages))
            loss: HubError | None = CUT if number in self.cuts else None
            for index, message in enumerate(messages):
                if message.size > self.limit or self.poison & set(message.row_ids):
                    loss = TOO_LARGE
                if loss is not None:
                    self.closes += 1
                    self.losses.lost(loss, messages[index:], self.now)
                    break
                self.sent |= set(message.row_ids)
                self.losses.passed(message.size, len(message.row_ids), self.now)
            self.now += 1
        pytest.fail("it never comes to rest")


ROWS = st.lists(st.integers(50, 6000), min_size=1, max_size=150)


@settings(max_examples=150)
@given(sizes=ROWS, limit=st.integers(1024, 2 * CONFIGURED), cuts=st.sets(st.integers(0, 60).map(lambda n: n * 3)))
def test_an_unknown_limit_is_learned_and_every_row_that_fits_arrives(sizes: list[int], limit: int, cuts: set[int]) -> None:
    sender = Sender(dict(enumerate(sizes)), limit, cuts=list(cuts))
    sender.run()
    small = {n for n, size in sender.rows.items() if size + OVERHEAD <= min(limit, CONFIGURED)}
    assert sender.sent == small
    assert sender.failed == set(sender.rows) - small
    assert sender.largest <= CONFIGURED
    assert sender.closes <= 16 + 8 * len(sender.failed) + len(cuts)


@settings(max_examples=150)
@given(sizes=ROWS, data=st.data())
def test_rows_that_close_the_connection_are_found_and_the_others_arrive(sizes: list[int], data: st.DataObject) -> None:
    small = [n for n, size in enumerate(sizes) if size < 900]  # below any hub's limit; of those above, one cannot pass for a limit
    several = st.sets(st.sampled_from(small), max_size=3) if small else st.just(set[int]())
    poison = data.draw(several | st.integers(0, len(sizes) - 1).map(lambda n: {n}))
    sender = Sender(dict(enumerate(sizes)), CONFIGURED, poison=poison)
    sender.run()
    assert sender.failed == poison
    assert sender.sent == set(sender.rows) - poison
    assert sender.closes <= 14 * len(poison)


def test_a_row_alone_in_its_message_is_at_fault_after_two_closes_and_not_after_one() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for expected in (False, True):
        losses.lost(TOO_LARGE, [Unanswered(20_000, (5,))], 0)
        assert losses.poison.is_poison(5) is expected
        losses.passed(200, 1, 0)
    losses.poison.forget(5)
    assert not losses.poison.is_poison(5)


def test_one_odd_row_does_not_make_every_larger_one_a_failure() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(2):
        losses.passed(100, 1, 0)
        losses.lost(TOO_LARGE, [Unanswered(300, (1,))], 0)
    assert losses.poison.is_poison(1)
    assert losses.size.largest == CONFIGURED
    losses.passed(400, 1, 0)
    for _ in range(2):
        losses.lost(TOO_LARGE, [Unanswered(500, (2,))], 0)
    assert losses.size.largest == CONFIGURED, "what has passed clears the first of the suspicion"


def test_of_several_in_flight_none_is_accused() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(5):
        losses.lost(TOO_LARGE, [Unanswered(900, (1,)), Unanswered(800, (2,))], 0)
    assert not losses.poison.is_poison(1)
    assert not losses.poison.is_poison(2)
    assert losses.serial, "from now on one at a time, which tells"


def test_a_line_that_breaks_now_and_then_teaches_nothing() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(20):
        assert not losses.lost(CUT, [Unanswered(20_000, (1, 2))], 0)
        assert not losses.lost(CUT, [Unanswered(20_000, (1, 2))], 0)
        losses.passed(20_000, 2, 0)
    assert (losses.size.ceiling, losses.size.too_large_bytes, losses.serial) == (CONFIGURED, None, False)


def test_a_proxy_that_cuts_without_a_word_is_suspected_the_third_time() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    assert [losses.lost(CUT, [Unanswered(20_000, (1, 2))], 0) for _ in range(3)] == [False, False, True]
    assert losses.size.ceiling == 10_000


def test_websockets_own_code_for_too_big_is_believed_at_once() -> None:
    assert Losses(SizeLimit(CONFIGURED)).lost(ConnectionLost("closed", close_code=1009), [Unanswered(20_000, (1, 2))], 0)


def test_a_loss_with_nothing_in_flight_accuses_nobody() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    assert not losses.lost(TOO_LARGE, [], 0)
    assert not losses.serial


def test_what_was_learned_before_a_restart_holds() -> None:
    losses = Losses(SizeLimit(CONFIGURED, passed=7000, too_large=9000, now=0))
    assert losses.size.ceiling == 7000
    for _ in range(2):
        losses.passed(100, 1, 0)
        losses.lost(TOO_LARGE, [Unanswered(10_000, (1,))], 0)
    assert losses.size.largest == 8999, "one more row that is too large, and no other is tried"
    assert Losses(SizeLimit(4096, passed=7000, too_large=9000)).size.ceiling <= 4096, "what is configured is never exceeded"


def test_a_limit_that_hq_has_raised_is_noticed_in_the_end() -> None:
    losses = Losses(SizeLimit(CONFIGURED, passed=7000, too_large=9000, now=0))
    now = 0.0
    while losses.size.ceiling < CONFIGURED:
        losses.passed(losses.size.ceiling, 10, now)
        now += LIMIT_PROBE_SECONDS
        assert now < 3 * FORGET_LIMIT_SECONDS
    assert losses.size.too_large_bytes is None


def test_a_line_that_breaks_while_nothing_passes_at_all_makes_no_row_poison() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(50):
        losses.lost(CUT, [Unanswered(900, (1,))], 0)
    assert losses.poison.is_suspect(1), "others go first"
    assert not losses.poison.is_poison(1)
    assert (losses.size.too_large_bytes, losses.size.largest) == (None, CONFIGURED)


def test_a_row_with_which_the_line_breaks_while_others_pass_is_at_fault_in_the_end() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(10):
        assert not losses.poison.is_poison(1)
        for _ in range(3):
            losses.lost(CUT, [Unanswered(900, (1,))], 0)
        losses.passed(800, 1, 0)
        if losses.poison.is_poison(1):
            break
    assert losses.poison.is_poison(1)
    assert losses.size.largest == CONFIGURED, "others of its size are not to blame"


def test_a_ceiling_that_leaves_room_for_one_row_only_rises_again_all_the_same() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(40):
        losses.lost(CUT, [Unanswered(400, (1, 2))], 0)
    assert losses.size.ceiling < 1024
    for _ in range(20):
        losses.passed(min(318, losses.size.ceiling) if losses.size.ceiling < 636 else losses.size.ceiling * 6 // 10, 1, 0)
    assert losses.size.ceiling == CONFIGURED


def test_a_hub_that_closes_for_everything_makes_no_more_than_one_row_poison() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(20):
        for row in range(30):
            losses.lost(TOO_LARGE, [Unanswered(400, (row,))], 0)
    assert sum(losses.poison.is_poison(row) for row in range(30)) <= 1
    assert losses.size.largest == CONFIGURED


def test_a_hub_that_closes_for_all_that_it_is_sent_makes_no_small_row_poison_and_once_it_takes_others_it_does() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for _ in range(20):
        losses.lost(TOO_LARGE, [Unanswered(300, (1,))], 0)
    assert losses.poison.is_suspect(1)
    assert not losses.poison.is_poison(1)
    losses.passed(300, 1, 0)
    losses.lost(TOO_LARGE, [Unanswered(300, (1,))], 0)
    assert losses.poison.is_poison(1)


def test_rows_that_somebody_retries_by_hand_are_tried_whatever_was_too_large_before() -> None:
    losses = Losses(SizeLimit(CONFIGURED))
    for row_id in (1, 2):
        for _ in range(3):
            losses.passed(200, 1, 0)
            losses.lost(TOO_LARGE, [Unanswered(20_000, (row_id,))], 0)
    assert losses.size.largest < 20_000
    losses.size.forget_rows()
    assert losses.size.largest == CONFIGURED
