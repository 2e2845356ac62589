"""syncd's own file: what HQ has said is durable here at once, and is deleted once it is durable in the till's file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from syncd.clock import iso_ms
from syncd.errors import StorageError
from syncd.store.day_count import DayCount
from syncd.store.retry_delays import JOURNAL_RETRY_SECONDS
from syncd.store.text import as_bytes, is_text, storable
from syncd.store.unmarked import Again

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from syncd.clock import Clock
    from syncd.store.block import Block
    from syncd.store.database import Database
    from syncd.store.outbox import Entity, OutboxRow


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row.

    Attributes:
        status: `sent`, `failed`, or `pending` for one that was refused and waits for its retry.
        attempts: refusals so far.
        next_attempt_at: ISO 8601 UTC, with `pending` only.
        decided_at: ISO 8601 UTC.
        row: what was refused, with `pending` only: its entity waits on disk until then.
        urgency: the priority at which it is tried again; None for the row's own.
    """

    id: int
    correlation_id: str
    status: str
    attempts: int
    next_attempt_at: str | None
    last_error: str | None
    decided_at: str
    row: OutboxRow | None = None
    urgency: int | None = None


@dataclass(frozen=True, slots=True)
class MessageLimit:
    """What is known of a hub's limit, in bytes a message: the largest that passed, the smallest that did not."""

    passed: int
    too_large: int | None
    learned_at: str


_RECORD = """
INSERT INTO outcome (id, correlation_id, status, attempts, next_attempt_at, last_error, decided_at) VALUES (?, {key}, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET correlation_id = excluded.correlation_id, status = excluded.status, attempts = excluded.attempts,
    next_attempt_at = excluded.next_attempt_at, last_error = excluded.last_error, decided_at = excluded.decided_at
"""
# Plain acceptances, as a JSON array of ids and correlation ids.
_ACCEPT = """
INSERT OR REPLACE INTO outcome (id, correlation_id, status, attempts, decided_at)
SELECT value ->> 0, value ->> 1, 'sent', 0, ?2 FROM json_each(?1)
"""
# The same for ids without a gap, as a JSON array of correlation ids, and the first id.
_ACCEPT_RANGE = """
INSERT OR REPLACE INTO outcome (id, correlation_id, status, attempts, decided_at)
SELECT ?3 + key, value, 'sent', 0, ?2 FROM json_each(?1)
"""
_WAIT = """
INSERT INTO retry (entity_type, entity_id, id, priority, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (entity_type, entity_id) DO UPDATE SET
    id = excluded.id, priority = excluded.priority, created_at = excluded.created_at, due_at = excluded.due_at
WHERE excluded.id <= retry.id
"""
_FIRST_SAW = "INSERT OR REPLACE INTO first_seen (id, correlation_id, seen_at) VALUES (?, {key}, ?)"


class Journal:
    """Records outcomes: one transaction, one disk sync for all that have come meanwhile.

    Args:
        on_trouble: told of the error while the disk refuses, and None once it does not.

    Attributes:
        recorded: set whenever there is something to mark in the till's file.
        still: a lock; nothing is recorded while somebody holds it.
        again: told of all that is recorded.
        sent_total: rows that HQ has, since this file was made.
    """

    def __init__(self, database: Database, clock: Clock, on_trouble: Callable[[StorageError | None], None]) -> None:
        self.database = database
        self._clock = clock
        self._on_trouble = on_trouble
        self._queue: list[tuple[Sequence[Outcome], asyncio.Future[None]]] = []
        self._accepted: list[tuple[Block, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self.recorded = asyncio.Event()
        self.still = asyncio.Lock()
        self.again = Again()
        self.sent_total = 0
        self.sent_today = DayCount("sent", clock)

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        """Return once these are durable; while the disk is full or read-only, that is not before it can be written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((outcomes, done))
        self._work.set()
        await done

    async def record_accepted(self, block: Block) -> None:
        """The same for plain rows that HQ has accepted, all of them."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._accepted.append((block, done))
        self._work.set()
        await done

    async def run(self) -> None:
        """Write what is recorded; for ever."""
        self.sent_total = await self.database.run(lambda c: int(c.execute("SELECT value FROM total WHERE name = 'sent'").fetchone()[0]))
        await self.database.run(self.sent_today.read)
        if await self.unmarked():
            self.recorded.set()
        troubled = False
        while True:
            await self._work.wait()
            self._work.clear()
            group, self._queue = self._queue, []
            accepted, self._accepted = self._accepted, []
            outcomes = [outcome for some, _ in group for outcome in some]
            while True:
                try:
                    async with self.still:
                        await self._write(outcomes, [block for block, _ in accepted])
                    break
                except StorageError as error:
                    troubled = True
                    self._on_trouble(error)
                    await self._clock.sleep(JOURNAL_RETRY_SECONDS)
            if troubled:
                troubled = False
                self._on_trouble(None)
            for _, done in (*group, *accepted):
                if not done.done():
                    done.set_result(None)
            self.recorded.set()

    async def _write(self, outcomes: Sequence[Outcome], accepted: Sequence[Block] = ()) -> None:
        sent, day = sum(outcome.status == "sent" for outcome in outcomes) + sum(map(len, accepted)), self.sent_today.today()
        stamp = iso_ms(self._clock.now())
        rows = [
            (o.id, o.correlation_id, o.status, o.attempts, o.next_attempt_at, o.last_error and storable(o.last_error), o.decided_at)
            for o in outcomes
        ]

        waits = [
            (*o.row.entity, o.id, o.urgency or o.row.priority, iso_ms(o.row.created), o.next_attempt_at)
            for o in outcomes
            if o.row and o.next_attempt_at
        ]

        def work(connection: sqlite3.Connection) -> None:
            for block in accepted:
                _accept(connection, block, stamp)
                self.again.recorded(block.ids)
            if outcomes:
                _execute(connection, _RECORD, rows)
                self.again.recorded([outcome.id for outcome in outcomes])
                connection.executemany(_WAIT, waits)
            connection.execute("UPDATE total SET value = value + ? WHERE name = 'sent'", (sent,))
            self.sent_today.write(connection, day, sent)

        await self.database.write(work)
        self.sent_total += sent
        self.sent_today.counted(day, sent)

    async def unmarked(self) -> int:
        """How many outcomes the till's file does not know yet."""
        return await self.database.run(lambda c: int(c.execute("SELECT count(*) FROM outcome").fetchone()[0]))

    async def retry_is_due(self, entities: dict[Entity, int]) -> None:
        """These entities no longer wait, as far as it is still this row that they wait for: it has been read."""
        rows = [(*entity, first_id) for entity, first_id in entities.items()]
        await self.database.write(lambda c: c.executemany("DELETE FROM retry WHERE entity_type = ? AND entity_id = ? AND id = ?", rows))

    async def promote(self, entities: Iterable[Entity], priority: int) -> None:
        """These entities have a row of this priority behind the less urgent one whose retry they wait for."""
        rows = [(priority, *entity, priority) for entity in entities]
        sql = "UPDATE retry SET priority = ? WHERE entity_type = ? AND entity_id = ? AND priority > ?"
        await self.database.write(lambda c: c.executemany(sql, rows))

    async def first_saw(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Remember when rows whose `created_at` nobody can read were first seen: id, correlation id, moment."""
        await self.database.write(lambda connection: _execute(connection, _FIRST_SAW, rows))

    async def message_limit(self, hub_url: str) -> MessageLimit | None:
        """What is known of this hub's limit from earlier runs."""

        def read(connection: sqlite3.Connection) -> MessageLimit | None:
            row = connection.execute("SELECT passed, too_large, learned_at FROM message_limit WHERE hub_url = ?", (hub_url,)).fetchone()
            return MessageLimit(*row) if row else None

        return await self.database.run(read)

    async def learned_limit(self, hub_url: str, passed: int, too_large: int | None) -> None:
        """Keep what was learned of this hub's limit for the next run."""
        values = (hub_url, passed, too_large, iso_ms(self._clock.now()))
        await self.database.write(lambda c: c.execute("INSERT OR REPLACE INTO message_limit VALUES (?, ?, ?, ?)", values))


def _accept(connection: sqlite3.Connection, block: Block, stamp: str) -> None:
    if isinstance(block.ids, range):
        connection.execute(_ACCEPT_RANGE, (orjson.dumps(block.correlation_ids).decode(), stamp, block.ids[0]))
    else:
        keys = orjson.dumps(list(zip(block.ids, block.correlation_ids, strict=True)))
        connection.execute(_ACCEPT, (keys.decode(), stamp))


def _execute(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run it for each row; the second value is a correlation id, and is given as bytes where it is no UTF-8."""
    connection.executemany(sql.format(key="?"), [row for row in rows if is_text(row[1])])
    odd = [(row[0], as_bytes(row[1]), *row[2:]) for row in rows if not is_text(row[1])]
    connection.executemany(sql.format(key="CAST(? AS TEXT)"), odd)
