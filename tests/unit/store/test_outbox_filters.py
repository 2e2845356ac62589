"""Which rows a person can name, and what purging leaves alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncd.store.admin import STATUSES, OutboxAdmin
from syncd.store.row_filter import RowFilter
from syncd.store.till_turns import LONGEST_PAUSE_SECONDS, TillTurns, seconds_since_written
from syncd.store.write_budget import BUSY_SHARE, QUIET_SHARE
from tests.support.clock import FakeClock
from tests.support.flow import close_files
from tests.support.settings import clean_environment
from tests.support.storefiles import a_journal, execute, opened, outcome, paths, write_rows

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures(clean_environment.__name__)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """Rows of every status in either file; ids 1 to 4 are marked sent, 5 is sent in the journal only."""
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        write_rows(path, *[("Receipt" if n % 2 else "Payment", n // 4, 3) for n in range(1, 11)])
        execute(path, "UPDATE sync_outbox SET status = 'sent', sent_at = created_at WHERE id <= 4")
        execute(path, "UPDATE sync_outbox SET status = 'failed' WHERE id = 6")
        execute(path, "UPDATE sync_outbox SET status = 'cancelled' WHERE id = 7")
        for number, written in enumerate(["2026-11-20 08:00:00.1234567", "2026-11-21T08:00:00Z", "no time", "2026-11-23T08:00:00.000Z"], 1):
            execute(path, "UPDATE sync_outbox SET created_at = ? WHERE id = ?", written, number)
        await a_journal(files, FakeClock())._write([outcome(path, 5), outcome(path, 8, "failed"), outcome(path, 9, "pending")])
    return tmp_path


def left(store: Path) -> list[int]:
    return [row[0] for row in execute(store / "store.db", "SELECT id FROM sync_outbox ORDER BY id")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RowFilter(), [1, 2, 3, 4, 5]),
        (RowFilter.of("Receipt", None, None), [1, 3, 5]),
        (RowFilter.of("Receipt/0", None, None), [1, 3]),
        (RowFilter.of("Receipt/", None, None), []),
        (RowFilter.of(None, "2026-11-21T00:00:00.000Z", None), [2, 4, 5]),
        (RowFilter.of(None, None, "2026-11-21T00:00:00.000Z"), [1]),
        (RowFilter.of("Payment", "2026-11-20T00:00:00.000Z", "2026-11-22T00:00:00.000Z"), [2]),
    ],
)
def test_rows_are_named_by_entity_and_by_when_they_were_written_however_the_till_writes_times(
    store: Path, wanted: RowFilter, expected: list[int]
) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.ids(["sent"], wanted) == expected
        assert [row.id for row in outbox.rows("sent", 10, wanted)] == expected[::-1]


def test_an_entity_is_found_whether_its_id_is_a_number_a_text_or_javascripts_float(store: Path) -> None:
    write_rows(store / "store.db", ("Cart", 5, 3), ("Cart", "5", 3), ("Cart", 5.0, 3), ("Cart", 55, 3))
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.ids(["pending"], RowFilter.of("Cart/5", None, None)) == [11, 12, 13]


def test_a_row_is_shown_whole_as_either_file_knows_it(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        found = outbox.row(5)
        assert found is not None
        assert (found.status, found.entity_type, found.entity_id, found.payload) == ("sent", "Receipt", 1, "{}")
        assert outbox.row(99) is None


def test_purging_never_touches_what_hq_has_not_got_whatever_it_is_told(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.marked_sent() == [1, 2, 3, 4]
        assert outbox.marked_sent(RowFilter.of(None, None, "2026-11-22T00:00:00.000Z")) == [1, 2]
        assert outbox.purge([*range(1, 11), 99]) == 4
        assert {row.id for status in STATUSES for row in outbox.rows(status, 99)} == {5, 6, 7, 8, 9, 10}
    assert left(store) == [5, 6, 7, 8, 9, 10]


def test_a_till_that_sells_leaves_a_command_no_more_of_the_lock_than_the_daemon(store: Path) -> None:
    path, pauses = store / "store.db", list[float]()
    close_files(store)
    idle = seconds_since_written(path)
    with closing(sqlite3.connect(path)) as connection:
        turns = TillTurns(connection, idle, pauses.append)
        turns.held(20, 0.001, more=True)
        write_rows(path, ("R", 1, 3))
        turns.held(20, 0.001, more=True)
        turns.held(20, 60.0, more=True)
        turns.held(20, 0.001, more=False)
    assert pauses == [pytest.approx(0.001 / QUIET_SHARE), pytest.approx(0.001 / BUSY_SHARE * 2), LONGEST_PAUSE_SECONDS]


def test_pieces_are_as_large_as_the_last_one_was_quick(store: Path) -> None:
    path = store / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        turns = TillTurns(connection, 0.0, lambda _: None)
        sizes = []
        for chunk in turns.chunks(range(1000)):
            sizes.append(len(chunk))
            turns.held(len(chunk), len(chunk) * 0.0001, more=True)
        assert sum(sizes) == 1000
        assert sizes[:2] == [20, 20]  # 2 ms at 0.1 ms a row
