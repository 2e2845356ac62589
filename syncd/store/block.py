"""Plain rows of the outbox as columns: they move as one through the uplink, and become `OutboxRow`s where one of them needs a look."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import sub
from typing import TYPE_CHECKING, TypeVar, overload

from syncd.store.outbox import OutboxRow
from syncd.store.times import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from syncd.store.outbox import Entity

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What was read together: one value a row in each.

    Attributes:
        ids: ascending.
        timestamps: on the wire's form.
        items: all of them as JSON, ready for the wire, a comma behind each but the last.
        ends: where in `items` each row's ends, the comma counted for the last one, too.
    """

    ids: Sequence[int]
    kinds: Sequence[str]
    entity_ids: Sequence[int | str]
    entities: Sequence[Entity]
    correlation_ids: Sequence[str]
    timestamps: Sequence[str]
    items: bytes
    ends: Sequence[int]

    @classmethod
    def of(
        cls,
        *,
        ids: Sequence[int],
        kinds: Sequence[str],
        entity_ids: Sequence[int | str],
        correlation_ids: Sequence[str],
        timestamps: Sequence[str],
        items: bytes,
        lengths: Sequence[int],
    ) -> Columns:
        """Derive the rest; `lengths` of the items in bytes, without the commas."""
        entities = list(zip(kinds, map(str, entity_ids), strict=True))
        ends = list(accumulate([length + 1 for length in lengths]))
        return cls(ids, kinds, entity_ids, entities, correlation_ids, timestamps, items, ends)


class Block(Sequence[OutboxRow]):
    """Rows of one priority, in the order they were written, that were never refused and can be sent at once: a stretch of some columns.

    Attributes:
        priority: of all of them.
        ids: ascending.
        entities: theirs, one a row.
        correlation_ids: plain text.
    """

    def __init__(self, priority: int, columns: Columns, start: int = 0, stop: int | None = None) -> None:
        self.priority = priority
        self._columns = columns
        self._start = start
        self._stop = len(columns.ids) if stop is None else stop
        self._first_byte = columns.ends[start - 1] if start else 0

    @property
    def ids(self) -> Sequence[int]:
        """See the class."""
        return self._columns.ids[self._start : self._stop]

    @property
    def entities(self) -> Sequence[Entity]:
        """See the class."""
        return self._columns.entities[self._start : self._stop]

    @property
    def correlation_ids(self) -> Sequence[str]:
        """See the class."""
        return self._columns.correlation_ids[self._start : self._stop]

    @classmethod
    def of(cls, rows: Sequence[OutboxRow]) -> Block:
        """The same rows as columns: one or more, all plain and of one priority, in the order they were written."""
        columns = Columns(
            [row.id for row in rows], [row.entity_type for row in rows], [row.entity_id for row in rows], [row.entity for row in rows],
            [row.correlation_id for row in rows], [row.timestamp for row in rows],
            items=b",".join(row.encoded for row in rows), ends=list(accumulate([len(row.encoded) + 1 for row in rows])),
        )  # fmt: skip
        return cls(rows[0].priority, columns)

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, index: int) -> OutboxRow: ...
    @overload
    def __getitem__(self, index: slice) -> Block: ...
    def __getitem__(self, index: int | slice) -> OutboxRow | Block:
        if not isinstance(index, slice):
            return self._rows[index]
        start, stop, _ = index.indices(len(self))
        return Block(self.priority, self._columns, self._start + start, self._start + max(start, stop))

    def pick(self, indices: Sequence[int]) -> Block:
        """Only these rows of it, by position, ascending."""
        own, places = self._columns, [self._start + index for index in indices]

        def of(column: Sequence[T]) -> list[T]:
            return [column[place] for place in places]

        items = [self._item(place) for place in places]
        columns = Columns(
            of(own.ids), of(own.kinds), of(own.entity_ids), of(own.entities), of(own.correlation_ids), of(own.timestamps),
            items=b",".join(items), ends=list(accumulate([len(item) + 1 for item in items])),
        )  # fmt: skip
        return Block(self.priority, columns)

    def joined(self, later: Block) -> Block:
        """These rows, and behind them the later ones."""
        here, there = self._columns, later._columns
        mine, others = slice(self._start, self._stop), slice(later._start, later._stop)

        def of(column: Sequence[T], more: Sequence[T]) -> list[T]:
            return [*column[mine], *more[others]]

        shift = self._bytes - later._first_byte
        columns = Columns(
            of(here.ids, there.ids), of(here.kinds, there.kinds), of(here.entity_ids, there.entity_ids), of(here.entities, there.entities),
            of(here.correlation_ids, there.correlation_ids), of(here.timestamps, there.timestamps),
            items=self.items + b"," + later.items,
            ends=[*[end - self._first_byte for end in here.ends[mine]], *[end + shift for end in there.ends[others]]],
        )  # fmt: skip
        return Block(self.priority, columns)

    @property
    def _bytes(self) -> int:
        """Of its items, a comma for each included."""
        return self._columns.ends[self._stop - 1] - self._first_byte if self else 0

    @property
    def items(self) -> bytes:
        """As JSON, ready for the wire, with commas between them."""
        return self._columns.items[self._first_byte : self._first_byte + self._bytes - 1] if self else b""

    @property
    def argument(self) -> bytes:
        """Its items as a JSON array."""
        return b"".join((b"[", memoryview(self._columns.items)[self._first_byte : self._first_byte + self._bytes - 1], b"]"))

    def _item(self, place: int) -> bytes:
        ends = self._columns.ends
        return self._columns.items[ends[place - 1] if place else 0 : ends[place] - 1]

    @cached_property
    def _rows(self) -> list[OutboxRow]:
        columns = self._columns
        return [
            OutboxRow(
                id=columns.ids[place], entity_type=columns.kinds[place], entity_id=columns.entity_ids[place], priority=self.priority,
                correlation_id=columns.correlation_ids[place], timestamp=columns.timestamps[place],
                created=_moment(columns.timestamps[place]), attempts=0, retry_at=None, encoded=self._item(place), plain=True,
            )
            for place in range(self._start, self._stop)
        ]  # fmt: skip

    def fitting(self, limit: int, budget_bytes: int) -> int:
        """How many of the first `limit` rows go into so many bytes, a separator for each included."""
        ends, last = self._columns.ends, min(self._start + limit, self._stop)
        return bisect_right(ends, self._first_byte + budget_bytes, self._start, last) - self._start

    def longest(self) -> int:
        """Bytes of its longest item."""
        ends = [self._first_byte, *self._columns.ends[self._start : self._stop]]
        longest: int = max(map(sub, ends[1:], ends))
        return longest - 1

    @property
    def size(self) -> int:
        """Bytes of its items."""
        return self._bytes - len(self)

    def oldest(self) -> datetime:
        """When the oldest row was written."""
        return _moment(min(self._columns.timestamps[self._start : self._stop]))

    def first_written(self) -> datetime:
        """When the first row was written, by its own word."""
        return _moment(self._columns.timestamps[self._start])

    def current_item(self) -> str:
        """The last row's entity, for people."""
        return f"{self._columns.kinds[self._stop - 1]} {self._columns.entity_ids[self._stop - 1]}"


def _moment(timestamp: str) -> datetime:
    parsed = parse_time(timestamp)
    assert parsed is not None, "what is on the wire's form can be read"
    return parsed[0]
