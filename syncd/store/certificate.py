"""Is every row of the outbox at HQ? Read row by row, and summed up in a digest that HQ can work out too."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncd.store.outbox import MIN_ID, as_sent

if TYPE_CHECKING:
    from syncd.store.admin import OutboxAdmin

PAGE_ROWS = 1000  # a short read each time: a long one would keep the write-ahead log from beginning anew
_PAGE = """
SELECT o.id, o.correlation_id, o.entity_type, o.entity_id, o.operation, o.payload, coalesce(j.status, o.status), o.created_at
FROM [sync_outbox] AS o LEFT JOIN journal.outcome AS j ON j.id = o.id AND j.correlation_id = o.correlation_id AND o.status = 'pending'
WHERE o.id > :after AND o.id <= :up_to ORDER BY o.id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class RowsAtHQ:
    """What HQ has of the rows that are still in the file; older ones have left it after `sync.retention_days`.

    Attributes:
        rows: how many.
        cancelled: rows that a person has taken out of the queue; HQ may have one that was in flight then.
        sent_total: since this store began to sync, those that have left included.
        first_sequence: the lowest id of `rows`; None where there are none.
        last_sequence: the highest.
        last_written_at: when the till wrote that one, as it says.
        digest: the XOR, over `rows`, of the SHA-256 of correlation id, entity type, entity id, operation and payload, with line feeds
            between them, in UTF-8; 64 hexadecimal digits. The order does not matter.
    """

    rows: int
    cancelled: int
    sent_total: int
    first_sequence: int | None
    last_sequence: int | None
    last_written_at: str | None
    digest: str


def highest_id(admin: OutboxAdmin) -> int | None:
    """Of all rows that are in the file."""
    found: int | None = admin.read("SELECT max(id) FROM [sync_outbox]", {})[0][0]
    return found


def rows_at_hq(admin: OutboxAdmin) -> RowsAtHQ | None:
    """None where HQ lacks one: it waits, or has failed.

    Raises:
        StorageError: a file cannot be read.
    """
    up_to, after = highest_id(admin), MIN_ID
    rows = cancelled = digest = 0
    first = last = written_at = None
    while up_to is not None:
        page = admin.read(_PAGE, {"after": after, "up_to": up_to, "limit": PAGE_ROWS})
        for row_id, correlation_id, kind, identifier, operation, payload, status, created_at in page:
            if status == "cancelled":
                cancelled += 1
            elif status != "sent":
                return None
            else:
                text = "\n".join(str(part) for part in (correlation_id, kind, as_sent(identifier), operation, payload))
                digest ^= int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest())
                rows, first, last, written_at = rows + 1, row_id if first is None else first, row_id, created_at
        if len(page) < PAGE_ROWS:
            break
        after = page[-1][0]
    if up_to is not None and any(row_id <= up_to for row_id in admin.ids(["pending", "failed"])):
        return None  # written meanwhile, below what was read, by a till that gives ids itself
    ((total,),) = admin.read("SELECT value FROM journal.total WHERE name = 'sent'", {})
    return RowsAtHQ(rows, cancelled, total, first, last, None if written_at is None else str(written_at), f"{digest:064x}")
