"""The `SyncItem` of an outbox row, written by SQLite itself, byte for byte as `encode_item` would write it.

Reading, checking and encoding a row in Python costs several times what SQLite takes for all of it, and Python's lock is
free meanwhile. What SQL leaves to Python is the time between the two parts, since tills write it in many forms, and any
row with a column of an unusual type: it gets no parts, and is read and encoded column by column.
"""

from __future__ import annotations

import codecs

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")
_CHECKED_BYTES = 16 * 1024  # at once: texts of a larger one cost twice as much, since memory has to be fetched for each

# A row is plain where each column has the type that nearly every till writes. JavaScript binds every number as REAL:
# 5.0 is the 5 that was meant. 2^53 bounds what a REAL says exactly; a NUL within a text ends it for some of SQLite's
# functions.
PLAIN_TYPES = """
typeof(o.entity_type) = 'text' AND typeof(o.operation) = 'text' AND typeof(o.payload) = 'text' AND typeof(o.correlation_id) = 'text'
AND typeof(o.priority) = 'integer'
AND (typeof(o.entity_id) IN ('integer', 'text')
     OR (typeof(o.entity_id) = 'real' AND abs(o.entity_id) <= 9007199254740992 AND o.entity_id = CAST(o.entity_id AS INTEGER)))
"""
PLAIN = f"""
{PLAIN_TYPES}
AND NOT (instr(o.payload, char(0)) OR instr(o.entity_type, char(0)) OR instr(o.operation, char(0)) OR instr(o.correlation_id, char(0))
         OR (typeof(o.entity_id) = 'text' AND instr(o.entity_id, char(0))))
"""

HEAD = f"""
CASE WHEN {PLAIN} THEN CAST(
    '{{"entityType":' || json_quote(o.entity_type)
    || ',"entityId":' || CASE typeof(o.entity_id) WHEN 'text' THEN json_quote(o.entity_id) ELSE CAST(o.entity_id AS INTEGER) END
    || ',"operation":' || json_quote(o.operation)
    || ',"payload":' || json_quote(o.payload)
    || ',"timestamp":"' AS BLOB) END
"""
"""The item up to its time; NULL where the row is not plain."""


def tail(store_id: str, attempts: str) -> str:
    """The item from behind its time.

    Args:
        store_id: an SQL expression: the store's id as JSON text.
        attempts: an SQL expression: refusals so far, a whole number.
    """
    return f"""
CAST('","storeId":' || {store_id}
    || ',"correlationId":' || json_quote(CAST(o.correlation_id AS TEXT))
    || ',"sequence":' || o.id
    || ',"priority":' || o.priority
    || ',"attempt":' || ({attempts} + 1) || '}}' AS BLOB)
"""


ENTITY_ID = "CASE typeof(o.entity_id) WHEN 'real' THEN CAST(o.entity_id AS INTEGER) ELSE o.entity_id END"
STAMP = """
CASE length(o.created_at)
WHEN 27 THEN replace(o.created_at, ' ', 'T') || 'Z'
WHEN 19 THEN replace(o.created_at, ' ', 'T') || '.000Z'
ELSE o.created_at END
"""
"""`created_at` on the wire's form, if it is one that .NET, JavaScript or SQLite writes; else something that has another form."""


def whole(store_id: str) -> str:
    """The item of a plain row that was never refused, `STAMP` as its time.

    Args:
        store_id: an SQL expression: the store's id as JSON text.
    """
    return f"""
json_object('entityType', o.entity_type, 'entityId', {ENTITY_ID}, 'operation', o.operation, 'payload', o.payload, 'timestamp', {STAMP},
    'storeId', json({store_id}), 'correlationId', o.correlation_id, 'sequence', o.id, 'priority', o.priority, 'attempt', 1)
"""


def is_utf8(item: bytes) -> bool:
    """Whether the item may go on the wire: SQLite hands on whatever bytes a till has called text."""
    if item.isascii():
        return True
    decoder = _Utf8Decoder()
    try:
        for start in range(0, len(item), _CHECKED_BYTES):
            decoder.decode(item[start : start + _CHECKED_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
