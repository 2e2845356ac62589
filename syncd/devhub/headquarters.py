"""What HQ remembers: everything received, in order, and the feed of changes for the stores."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from syncd.devhub import exact
from syncd.devhub.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterable

Item = dict[str, Any]
KEPT_ITEMS = 1000  # of the last ones, to be looked at
SHOWN = 20  # order violations and failed acknowledgements in the state


class Headquarters:
    """A memory that counts. Nothing of it outlives the process.

    Attributes:
        faults: those in force.
        connections: how many stores are connected now.
    """

    def __init__(self, faults: Faults | None = None) -> None:
        self.connections = 0
        self.reset()
        self.faults = faults or Faults()

    def reset(self) -> None:
        """Forgets all, faults too; connections stay."""
        self.faults = Faults()
        self._counts: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._last_sequence: dict[str, int] = {}
        self._arrivals: list[str] = []
        self._arrival_priorities: list[int] = []
        self._last_items: deque[Item] = deque(maxlen=KEPT_ITEMS)
        self._order_violations: list[str] = []
        self._feed: list[Item] = []
        self._feed_epoch = secrets.token_hex(8)  # the feed's name: where it begins anew, no cursor of before means anything
        self._failed_acks: list[Any] = []
        self._acked: set[str] = set()
        self._heartbeats_by_store: Counter[str] = Counter()
        self._last_heartbeat: object = None
        self._negotiated_at: list[int] = []
        self._connected_at: list[int] = []
        self._digest = 0
        self._max_batch_items = 0
        self._max_connections = self.connections

    def negotiated(self) -> None:
        """A client has asked for a connection id, whatever it was told."""
        self._negotiated_at.append(_now_ms())

    def upgraded(self, *, accepted: bool) -> None:
        """A client has asked for its WebSocket."""
        self._counts["upgrades" if accepted else "upgradesRefused"] += 1

    def connected(self) -> None:
        """A client has shaken hands."""
        self.connections += 1
        self._max_connections = max(self._max_connections, self.connections)
        self._connected_at.append(_now_ms())

    def disconnected(self) -> None:
        """A client has left."""
        self.connections -= 1

    def next_batch(self, items: int) -> int:
        """The number of the batch that begins, from 1."""
        self._max_batch_items = max(self._max_batch_items, items)
        self._counts["batches"] += 1
        return self._counts["batches"]

    def receive(self, item: Item, refused_entities: set[str]) -> dict[str, object]:
        """Takes one item in; the SyncAck. After a refusal the entity's later items of the batch are refused too."""
        self._counts["received"] += 1
        entity = f"{item['entityType']}/{exact.text(item['entityId'])}"
        if entity in refused_entities:
            return self._refuse(item, "an earlier item of this entity was refused", retryable=True)
        every = self.faults.refuse_every
        turn = every > 0 and self._counts["received"] % every == 0
        if turn or exact.text(item["entityId"]) in self.faults.refuse_entity_ids:
            refused_entities.add(entity)
            return self._refuse(item, "refused by fault", retryable=self.faults.refuse_retryable)
        if not self._remember(item, entity):
            self._counts["duplicates"] += 1
        return _ack(item, success=True)

    def beat(self, heartbeat: object, store: str | None) -> None:
        """A heartbeat has come."""
        self._counts["heartbeats"] += 1
        self._heartbeats_by_store[store or ""] += 1
        self._last_heartbeat = heartbeat

    def acknowledged(self, ack: Any) -> None:
        """A store says what became of something it was sent."""
        if isinstance(ack, dict) and ack.get("success") is True:
            self._counts["acksOk"] += 1
            if "correlationId" in ack:
                self._acked.add(exact.text(ack["correlationId"]))
        else:
            self._counts["acksFailed"] += 1
            self._failed_acks.append(ack)

    def publish(self, items: Iterable[Item]) -> None:
        """Adds to the feed that stores catch up from."""
        self._feed.extend(items)

    def page(self, request: dict[str, Any]) -> dict[str, object]:
        """The BatchSyncResponse to a BatchSyncRequest. The cursor is the number of items already passed; one beyond the feed is unknown."""
        self._counts["batchRequests"] += 1
        try:
            at = int(request["cursor"] or 0)
        except ValueError:
            at = 0
        at = max(0, at)
        unknown = at > len(self._feed)
        types: list[str] | None = request["entityTypes"]
        items: list[Item] = []
        while at < len(self._feed) and len(items) < request["batchSize"]:
            if not types or self._feed[at]["entityType"] in types:
                items.append(self._feed[at])
            at += 1
        return {
            "success": True,
            "totalItems": len(self._feed),
            "processedItems": 0 if unknown else at,
            "items": items,
            "hasMore": at < len(self._feed),
            "nextCursor": None if unknown else str(at),
            "errorMessage": None,
            "feedEpoch": self._feed_epoch,
        } | ({"cursorUnknown": True} if unknown else {})

    def arrivals(self, offset: int, count: int) -> list[str]:
        """Correlation ids in the order of their first arrival."""
        return self._arrivals[max(0, offset) :][: max(0, count)]

    def last_items(self) -> list[Item]:
        """The newest first arrivals, oldest first."""
        return list(self._last_items)

    def times(self) -> dict[str, list[int]]:
        """Every negotiate and connect, Unix milliseconds."""
        return {"negotiatedAt": list(self._negotiated_at), "connectedAt": list(self._connected_at)}

    def state(self) -> dict[str, object]:
        """Everything counted."""
        counts = self._counts
        return {
            "connections": self.connections,
            "maxConnections": self._max_connections,
            "negotiates": len(self._negotiated_at),
            "connects": len(self._connected_at),
            "upgrades": counts["upgrades"],
            "upgradesRefused": counts["upgradesRefused"],
            "received": counts["received"],
            "unique": len(self._arrivals),
            "duplicates": counts["duplicates"],
            "refused": counts["refused"],
            "batches": counts["batches"],
            "maxBatchItems": self._max_batch_items,
            "orderViolationCount": len(self._order_violations),
            "orderViolations": self._order_violations[:SHOWN],
            "priorityInversions": self._inversions(),
            "heartbeats": counts["heartbeats"],
            "heartbeatsByStore": dict(self._heartbeats_by_store),
            "lastHeartbeat": self._last_heartbeat,
            "acksOk": counts["acksOk"],
            "acksOkDistinct": len(self._acked),
            "acksFailed": counts["acksFailed"],
            "failedAcks": self._failed_acks[:SHOWN],
            "feed": len(self._feed),
            "batchRequests": counts["batchRequests"],
            "digest": f"{self._digest:064x}",
        }

    def _remember(self, item: Item, entity: str) -> bool:
        """False if the item was known already."""
        store, correlation_id = exact.text(item["storeId"]), exact.text(item["correlationId"])
        if (store, correlation_id) in self._seen:
            return False
        self._seen.add((store, correlation_id))
        self._arrivals.append(correlation_id)
        self._arrival_priorities.append(item["priority"] or 0)
        self._last_items.append(item)
        parts = (item["correlationId"], item["entityType"], item["entityId"], item["operation"], item["payload"])
        self._digest ^= int.from_bytes(hashlib.sha256("\n".join(map(exact.text, parts)).encode()).digest())
        if (sequence := item["sequence"]) is not None:
            key = f"{store}|{entity}"
            last = self._last_sequence.get(key)
            if last is not None and sequence < last:
                self._order_violations.append(f"{key}: {sequence} after {last}")
            self._last_sequence[key] = sequence if last is None else max(last, sequence)
        return True

    def _refuse(self, item: Item, why: str, *, retryable: bool) -> dict[str, object]:
        self._counts["refused"] += 1
        return _ack(item, success=False, error_message=why, retryable=retryable)

    def _inversions(self) -> int:
        """How many items arrived after one of a less urgent priority; 0 for a backlog drained in priority order."""
        worst = inversions = 0
        for priority in self._arrival_priorities:
            inversions += priority < worst
            worst = max(worst, priority)
        return inversions


def _ack(item: Item, *, success: bool, error_message: str | None = None, retryable: bool | None = None) -> dict[str, object]:
    return {
        "correlationId": item["correlationId"],
        "success": success,
        "errorMessage": error_message,
        "processedAt": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "retryable": retryable,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
