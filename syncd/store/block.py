"""Plain rows of the outbox as columns: they move as one through the uplink, and become `OutboxRow`s where one of them needs a look."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, overload

from syncd.store.outbox import OutboxRow
from syncd.store.times import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from syncd.store.outbox import Entity


class Block(Sequence[OutboxRow]):
    """Rows of one priority, in the order they were written, that were never refused and can be sent at once.

    Attributes:
        priority: of all of them.
        ids: ascending.
        entities: theirs, one a row.
        correlation_ids: plain text.
        timestamps: on the wire's form.
        items: as JSON, ready for the wire.
    """

    def __init__(
        self,
        priority: int,
        *,
        ids: Sequence[int],
        kinds: Sequence[str],
        entity_ids: Sequence[int | str],
        correlation_ids: Sequence[str],
        timestamps: Sequence[str],
        items: Sequence[bytes],
        entities: Sequence[Entity] | None = None,
    ) -> None:
        self.priority = priority
        self.ids = ids
        self.entities = list(zip(kinds, map(str, entity_ids), strict=True)) if entities is None else entities
        self.correlation_ids = correlation_ids
        self.timestamps = timestamps
        self.items = items
        self._kinds = kinds
        self._entity_ids = entity_ids

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> OutboxRow: ...
    @overload
    def __getitem__(self, index: slice) -> Block: ...
    def __getitem__(self, index: int | slice) -> OutboxRow | Block:
        if not isinstance(index, slice):
            return self._rows[index]
        return Block(
            self.priority, ids=self.ids[index], kinds=self._kinds[index], entity_ids=self._entity_ids[index],
            correlation_ids=self.correlation_ids[index], timestamps=self.timestamps[index], items=self.items[index],
            entities=self.entities[index],
        )  # fmt: skip

    def pick(self, indices: Sequence[int]) -> Block:
        """Only these rows of it, by position, ascending."""
        return Block(
            self.priority, ids=[self.ids[i] for i in indices], kinds=[self._kinds[i] for i in indices],
            entity_ids=[self._entity_ids[i] for i in indices], correlation_ids=[self.correlation_ids[i] for i in indices],
            timestamps=[self.timestamps[i] for i in indices], items=[self.items[i] for i in indices],
            entities=[self.entities[i] for i in indices],
        )  # fmt: skip

    def joined(self, later: Block) -> Block:
        """These rows, and behind them the later ones."""
        return Block(
            self.priority, ids=[*self.ids, *later.ids], kinds=[*self._kinds, *later._kinds],
            entity_ids=[*self._entity_ids, *later._entity_ids], correlation_ids=[*self.correlation_ids, *later.correlation_ids],
            timestamps=[*self.timestamps, *later.timestamps], items=[*self.items, *later.items],
            entities=[*self.entities, *later.entities],
        )  # fmt: skip

    @cached_property
    def _rows(self) -> list[OutboxRow]:
        columns = zip(self.ids, self._kinds, self._entity_ids, self.correlation_ids, self.timestamps, self.items, strict=True)
        return [
            OutboxRow(
                id=row_id, entity_type=kind, entity_id=entity_id, priority=self.priority, correlation_id=correlation_id,
                timestamp=timestamp, created=_moment(timestamp), attempts=0, retry_at=None, encoded=item,
            )
            for row_id, kind, entity_id, correlation_id, timestamp, item in columns
        ]  # fmt: skip

    def fitting(self, limit: int, budget_bytes: int) -> int:
        """How many of the first `limit` rows go into so many bytes, a separator for each included."""
        sizes = accumulate(len(item) + 1 for item in self.items[:limit])
        return sum(size <= budget_bytes for size in sizes)

    @property
    def size(self) -> int:
        """Bytes of its items."""
        return sum(map(len, self.items))

    def oldest(self) -> datetime:
        """When the oldest row was written."""
        return _moment(min(self.timestamps))

    def current_item(self) -> str:
        """The last row's entity, for people."""
        return f"{self._kinds[-1]} {self._entity_ids[-1]}"


def _moment(timestamp: str) -> datetime:
    parsed = parse_time(timestamp)
    assert parsed is not None, "what is on the wire's form can be read"
    return parsed[0]
