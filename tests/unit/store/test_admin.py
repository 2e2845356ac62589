"""What a person does to the outbox, with no daemon; beside a running one see tests/process."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncd.clock import SystemClock, iso_ms
from syncd.errors import ConfigurationError, StorageError
from syncd.store.admin import OutboxAdmin
from syncd.store.check import inspect
from tests.support.clock import FakeClock
from tests.support.first_schema import restore
from tests.support.settings import clean_environment, make_settings
from tests.support.storefiles import AT, a_journal, a_reader, execute, opened, outcome, paths, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from syncd.store.admin import EffectiveRow

pytestmark = pytest.mark.usefixtures(clean_environment.__name__)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """Nine rows: each status as either file may know it, and one whose id another row had before."""
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        write_rows(path, *[("R", n, 1 + n % 4) for n in range(9)])
        for row_id, status in ((1, "sent"), (2, "failed"), (3, "cancelled")):
            execute(path, "UPDATE sync_outbox SET status = ?, last_error = 'till', attempts = 5 WHERE id = ?", status, row_id)
        await a_journal(files, FakeClock())._write(
            [
                outcome(path, 4),
                outcome(path, 5, "failed", attempts=5, last_error="journal"),
                outcome(path, 6, "pending", attempts=2, next_attempt_at="2026-11-23T10:02:00.000Z", last_error="busy"),
                outcome(path, 7, "failed", correlation_id="another row's"),
            ]
        )
    return tmp_path


def ids(rows: list[EffectiveRow]) -> list[int]:
    return [row.id for row in rows]


def test_every_row_is_listed_under_what_is_known_of_it_by_either_file(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert ids(outbox.rows("pending", 10)) == [9, 6, 7, 8], "what goes out next"
        assert ids(outbox.rows("failed", 10)) == [2, 5]
        assert ids(outbox.rows("sent", 10)) == [4, 1]
        assert ids(outbox.rows("cancelled", 10)) == [3]
        assert ids(outbox.rows("pending", 1)) == [9]
        (_, failed) = outbox.rows("failed", 10)
        assert (failed.status, failed.attempts, failed.last_error, failed.sent_at) == ("failed", 5, "journal", None)
        assert outbox.rows("sent", 1)[0].sent_at == AT
        assert next(row for row in outbox.rows("pending", 10) if row.id == 6).next_attempt_at == "2026-11-23T10:02:00.000Z"


async def test_failed_rows_come_back_with_a_clean_slate(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.retry(None) == 2
        assert outbox.rows("failed", 10) == []
        assert {2, 5} <= set(ids(outbox.rows("pending", 10)))
        assert outbox.retry(None) == 0
    assert execute(store / "store.db", "SELECT DISTINCT attempts, last_error FROM sync_outbox WHERE id IN (2, 5)") == [(0, None)]
    assert execute(store / "store.db", "SELECT generation > 0 FROM sync_outbox_generation") == [(1,)]
    async with opened(store) as files:
        assert (await a_reader(files, FakeClock()).count(None)).failed == 0


async def test_a_row_that_waits_for_its_retry_goes_at_once_when_it_is_asked_for(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.retry([6]) == 1
    async with opened(store) as files:
        (row,) = [r for r in (await a_reader(files, FakeClock()).entity_page(("R", "5"), 0, 10)).rows if r.id == 6]
        assert (row.retry_at, row.attempts) == (None, 0)


@pytest.mark.parametrize("change", ["retry", "cancel"])
async def test_who_takes_a_refused_row_in_hand_ends_its_entitys_waiting(tmp_path: Path, change: str) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path) as files:
        reader = a_reader(files, SystemClock())
        write_rows(path, ("R", 1, 3), ("R", 1, 3))
        (row, _) = (await reader.page(3, 0, 10, lambda _: 0)).rows
        later = iso_ms(SystemClock().now() + timedelta(minutes=2))
        await a_journal(files, FakeClock())._write([outcome(path, 1, "pending", next_attempt_at=later, row=row)])
        with OutboxAdmin(paths(tmp_path)) as outbox:
            assert getattr(outbox, change)([1]) == 1
        now = iso_ms(SystemClock().now())
        assert (await reader.count(None)).next_due[3] <= now
        assert [(r.id, r.retry_at) for r in (await reader.due_page(3, now, later, 10)).rows] == (
            [(1, None), (2, None)] if change == "retry" else [(2, None)]
        )


class Killed(BaseException):
    """The command is gone."""


class Killing:
    """A connection on which the command is killed before a statement; an attentive daemon looks after each one.

    Attributes:
        known: ids that the daemon knows to go, or to wait for their retry.
    """

    def __init__(self, store: Path, connection: sqlite3.Connection, statements: int) -> None:
        self._store = store
        self._connection = connection
        self._left = statements
        self._generation: list[tuple[int]] = []
        self.known: set[int] = set()
        self.look()

    def look(self) -> None:
        generation = execute(self._store / "store.db", "SELECT generation FROM sync_outbox_generation")
        if generation != self._generation:
            self._generation, self.known = generation, waiting(self._store)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if self._left == 0:
            raise Killed
        self._left -= 1
        cursor = self._connection.execute(*arguments)
        self.look()
        return cursor

    def close(self) -> None:
        self._connection.close()


def waiting(store: Path) -> set[int]:
    with OutboxAdmin(paths(store)) as outbox:
        return set(ids(outbox.rows("pending", 10)))


@pytest.mark.parametrize("change", ["retry", "cancel"])
@pytest.mark.parametrize("statements", range(1, 9))
async def test_a_change_that_is_killed_leaves_no_row_behind_that_the_daemon_does_not_know_of(
    store: Path, change: str, statements: int
) -> None:
    async with opened(store) as files:
        (row,) = [r for r in (await a_reader(files, FakeClock()).entity_page(("R", "5"), 0, 10)).rows if r.id == 6]
        await a_journal(files, FakeClock())._write(
            [outcome(store / "store.db", 6, "pending", next_attempt_at="2099-01-01T00:00:00.000Z", row=row)]
        )
    before = waiting(store)
    with OutboxAdmin(paths(store)) as outbox:
        killing = Killing(store, outbox._connection, statements)
        outbox._connection = killing  # type: ignore[assignment]
        with suppress(Killed):
            outbox._change([2, 5, 6], "status = 'pending', attempts = 0" if change == "retry" else "status = 'cancelled'")
    killing.look()
    assert waiting(store) <= killing.known
    if killing.known == before:
        with OutboxAdmin(paths(store)) as outbox:
            assert [(row.id, row.last_error) for row in outbox.rows("failed", 10)] == [(2, "till"), (5, "journal")]
        assert execute(paths(store).state_path, "SELECT id FROM retry") == [(6,)]


def test_what_hq_has_is_neither_sent_again_nor_cancelled(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.retry([1, 3, 4]) == 0
        assert outbox.cancel([1, 4]) == 0
        assert ids(outbox.rows("sent", 10)) == [4, 1]


def test_cancelled_rows_leave_the_queue_for_good(store: Path) -> None:
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.cancel([2, 5, 6, 8, 4, 999]) == 4
        assert ids(outbox.rows("cancelled", 10)) == [8, 6, 5, 3, 2]
        assert ids(outbox.rows("pending", 10)) == [9, 7]


def test_many_rows_are_changed_in_chunks(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "store.db"
    write_rows(path, *[("R", n, 3) for n in range(250)])
    execute(path, "UPDATE sync_outbox SET status = 'failed' WHERE id > 9")
    with OutboxAdmin(paths(store)) as outbox:
        assert outbox.retry(None) == 252


def test_a_row_with_text_that_is_no_utf8_does_not_hide_the_others(store: Path) -> None:
    execute(store / "store.db", "UPDATE sync_outbox SET entity_id = CAST(x'80FF' AS TEXT), last_error = CAST(x'FE' AS TEXT) WHERE id = 2")
    with OutboxAdmin(paths(store)) as outbox:
        rows = outbox.rows("failed", 10)
        assert ids(rows) == [2, 5]
        for row in rows:
            str(row.entity_id).encode()
        assert outbox.retry(None) == 2


def test_a_till_that_holds_its_file_too_long_is_an_error_that_names_the_file_and_harms_nothing(store: Path) -> None:
    with closing(sqlite3.connect(store / "store.db", isolation_level=None)) as till, OutboxAdmin(paths(store)) as outbox:
        outbox._connection.execute("PRAGMA busy_timeout = 1")
        till.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"store\.db: the database is locked"):
            outbox.retry([2])
        till.execute("ROLLBACK")
        assert outbox.retry([2]) == 1


def test_where_there_is_no_store_it_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such database; `syncd run` makes it"):
        OutboxAdmin(paths(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_a_look_changes_nothing_and_says_what_there_is(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    assert "is not there yet: `syncd run` makes it" in inspect(settings)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - quick; async code may call it
    (tmp_path / "store.db").touch()
    assert "can be used; `syncd run` adds its tables" in inspect(settings)
    assert (tmp_path / "store.db").stat().st_size == 0
    async with opened(tmp_path):
        write_rows(tmp_path / "store.db", ("R", 1, 3))
        assert "1 rows marked pending in it" in inspect(settings)
    (tmp_path / "store.db.syncd").write_bytes(b"no database, " * 1000)
    with pytest.raises(StorageError, match="not a database"):
        inspect(settings)


async def test_a_look_at_a_damaged_or_a_newer_file_says_which(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(tmp_path):
        write_rows(path, *[("R", f"row {n}" * 50, 3) for n in range(500)])
    execute(path, "INSERT INTO sync_schema VALUES ('outbox', 99, 'future', '')")
    with pytest.raises(ConfigurationError, match="version 99"):
        inspect(make_settings(tmp_path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20_000] = b"\xaa" * 20_000
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"store\.db"):
        inspect(make_settings(tmp_path))


def test_a_store_that_was_not_upgraded_yet_is_left_alone_with_words(tmp_path: Path) -> None:
    restore(tmp_path / "store.db")
    before = execute(tmp_path / "store.db.syncd", "SELECT * FROM outcome")
    with (
        pytest.raises(ConfigurationError, match="are older than this program: `syncd run` brings them up to date"),
        OutboxAdmin(paths(tmp_path)) as admin,
    ):
        admin.retry([29, 30])
    assert execute(tmp_path / "store.db.syncd", "SELECT * FROM outcome") == before


def test_the_till_does_not_wait_while_the_daemon_writes_its_journal(store: Path) -> None:
    with closing(sqlite3.connect(paths(store).state_path, isolation_level=None)) as daemon, OutboxAdmin(paths(store)) as outbox:
        outbox._connection.execute("PRAGMA busy_timeout = 0")

        def lock_the_journal(statement: str) -> None:
            if statement.startswith("BEGIN"):
                daemon.execute("BEGIN IMMEDIATE")

        outbox._connection.set_trace_callback(lock_the_journal)
        assert outbox.cancel([8]) == 1
        assert daemon.in_transaction


def test_a_change_that_the_tills_lock_refuses_leaves_the_journal_as_it_was(store: Path) -> None:
    before = execute(paths(store).state_path, "SELECT * FROM outcome ORDER BY id")
    with closing(sqlite3.connect(paths(store).outbox_path, isolation_level=None)) as till, OutboxAdmin(paths(store)) as outbox:
        outbox._connection.execute("PRAGMA busy_timeout = 0")
        till.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            outbox.retry([5])
    assert before != []
    assert execute(paths(store).state_path, "SELECT * FROM outcome ORDER BY id") == before
