"""The queries that read the outbox in pages: each searches one index, by keyset, and none of them sorts.

`o` is a row of the till's file and `j` its outcome in our journal, which is attached as `journal`. A row that is
`pending` in the till's file and has an outcome in the journal is done with, or waits for its retry.
"""

from __future__ import annotations

from syncd.store import item_sql

MAX_ATTEMPTS = 2**31  # a larger number in the till's column is read as this one

_ATTEMPTS = "CASE WHEN j.id IS NULL THEN o.attempts ELSE j.attempts END"
_ATTEMPT = f"CASE typeof({_ATTEMPTS}) WHEN 'integer' THEN min(max({_ATTEMPTS}, 0), {MAX_ATTEMPTS}) ELSE 0 END"
_COLUMNS = f"""
SELECT o.id, o.entity_type, o.entity_id, o.priority, o.correlation_id, o.created_at, {_ATTEMPT},
       CASE WHEN j.id IS NULL THEN o.next_attempt_at ELSE j.next_attempt_at END,
       f.seen_at, {item_sql.HEAD}, {item_sql.tail(":store_id", _ATTEMPT)}
"""
# For a row that SQLite could not encode.
WHOLE = "SELECT operation, payload FROM [sync_outbox] WHERE id = ?"
_JOURNAL = """
LEFT JOIN journal.outcome AS j ON j.id = o.id AND j.correlation_id = o.correlation_id
LEFT JOIN journal.first_seen AS f ON f.id = o.id AND f.correlation_id = o.correlation_id
"""
_SAME_ENTITY = """
r.entity_type = o.entity_type AND r.id <= o.id
AND r.entity_id = CAST(CASE typeof(o.entity_id) WHEN 'real' THEN CAST(o.entity_id AS INTEGER) ELSE o.entity_id END AS TEXT)
"""
# Whether any entity waits is looked up once a page.
_WAITS = f"""
(EXISTS (SELECT 1 FROM journal.retry INDEXED BY retry_by_due WHERE priority > 0)
 AND EXISTS (SELECT 1 FROM journal.retry AS r WHERE {_SAME_ENTITY}))
"""  # noqa: S608 - constants
# Whether any entity waits for the retry of a row of a less urgent priority.
LESS_URGENT_WAITS = "SELECT EXISTS (SELECT 1 FROM journal.retry INDEXED BY retry_by_due WHERE priority > ?)"
# Entities that wait for such a retry, and have a row of this priority behind it.
PROMOTED = f"""
SELECT DISTINCT r.entity_type, r.entity_id, r.due_at
FROM [sync_outbox] AS o INDEXED BY [sync_outbox_by_priority] CROSS JOIN journal.retry AS r ON {_SAME_ENTITY}
WHERE o.status = 'pending' AND o.priority = :priority AND o.id > :after_id AND o.id <= :up_to AND r.priority > :priority
"""  # noqa: S608 - constants
_OF_LANE = f"""
o.status = 'pending' AND o.priority = :priority AND o.id > :after_id AND (j.id IS NULL OR j.status = 'pending') AND NOT {_WAITS}
ORDER BY o.id LIMIT :limit
"""
# The next rows of one priority, without those of entities that wait for a retry.
LANE = f"""
{_COLUMNS} FROM [sync_outbox] AS o INDEXED BY [sync_outbox_by_priority] {_JOURNAL} WHERE {_OF_LANE}
"""
# Whether an item has `:longest` bytes at most; NULL, as the item, where the row is not plain or was refused once.
_FITS = "length(CAST(item AS BLOB)) <= :longest"
# The same rows as one, their columns as JSON arrays and their items joined. Only what fits is in there, so that it is no more than
# `:limit` times `:longest` bytes, whichever of a row's columns is long. All as BLOB, since a till's text may be no UTF-8.
BLOCK = f"""
SELECT count(*), sum({_FITS}), CAST(json_group_array(id) AS BLOB),
       CAST(json_group_array(CASE WHEN {_FITS} THEN entity_type END) AS BLOB),
       CAST(json_group_array(CASE WHEN {_FITS} THEN entity_id END) AS BLOB),
       CAST(json_group_array(CASE WHEN {_FITS} THEN correlation_id END) AS BLOB),
       CAST(group_concat(CASE WHEN {_FITS} THEN stamp END, char(10)) AS BLOB),
       CAST(json_group_array(length(CAST(item AS BLOB))) AS BLOB),
       CAST(group_concat(CASE WHEN {_FITS} THEN item END) AS BLOB)
FROM (
    SELECT o.id, o.entity_type, {item_sql.ENTITY_ID} AS entity_id, o.correlation_id, {item_sql.STAMP} AS stamp,
           CASE WHEN j.id IS NULL AND o.attempts = 0 AND o.next_attempt_at IS NULL AND typeof(o.created_at) = 'text'
                     AND {item_sql.PLAIN_TYPES} AND length(CAST(o.payload AS BLOB)) <= :longest
                THEN {item_sql.whole(":store_id")} END AS item
    FROM [sync_outbox] AS o INDEXED BY [sync_outbox_by_priority]
    LEFT JOIN journal.outcome AS j ON j.id = o.id AND j.correlation_id = o.correlation_id
    WHERE {_OF_LANE}
)
"""  # noqa: S608 - constants
# An entity's rows behind an id; `ENTITY` has only those that wait for no retry.
FOLLOWING = f"""
{_COLUMNS} FROM [sync_outbox] AS o INDEXED BY [sync_outbox_by_entity] {_JOURNAL}
WHERE o.status = 'pending' AND o.entity_type = :entity_type AND o.entity_id = :entity_id AND o.id > :after_id AND o.id < :before_id
  AND o.priority <> :other_than AND (j.id IS NULL OR j.status = 'pending')
ORDER BY o.id LIMIT :limit
"""
ENTITY = FOLLOWING.replace("ORDER BY", f"AND NOT {_WAITS} ORDER BY")
# Whether any row has another priority.
OTHERS = """
SELECT EXISTS (SELECT 1 FROM [sync_outbox] INDEXED BY [sync_outbox_by_priority] WHERE status = 'pending' AND priority < :priority)
    OR EXISTS (SELECT 1 FROM [sync_outbox] INDEXED BY [sync_outbox_by_priority] WHERE status = 'pending' AND priority > :priority)
"""
# Entities of a page that have an earlier row with another priority. One till writes the id 5 and another one '5', so each is looked
# for in the other spelling, too. An entity's rows are walked once, however many of them the page has. HQ may have the earlier row
# already: this only saves looking for the earlier rows of an entity that has none.
_EARLIER = """
SELECT 1 FROM [sync_outbox] AS e INDEXED BY [sync_outbox_by_entity]
WHERE e.status = 'pending' AND e.entity_type = p.entity_type AND e.id < p.last_id AND e.priority <> :priority AND e.entity_id =
"""
WITH_EARLIER = f"""
SELECT entity_type, entity_id FROM (
    SELECT entity_type, entity_id, max(id) AS last_id,
           CASE WHEN typeof(entity_id) <> 'text' THEN CAST(CAST(entity_id AS INTEGER) AS TEXT)
                WHEN CAST(CAST(entity_id AS INTEGER) AS TEXT) = entity_id THEN CAST(entity_id AS INTEGER) END AS respelled
    FROM [sync_outbox] INDEXED BY [sync_outbox_by_priority]
    WHERE status = 'pending' AND priority = :priority AND id > :after_id AND id <= :up_to
    GROUP BY entity_type, entity_id
) AS p
WHERE EXISTS ({_EARLIER} p.entity_id) OR EXISTS ({_EARLIER} p.respelled)
"""  # noqa: S608 - constants
# Which entities' retries come next.
DUE = """
SELECT entity_type, entity_id, id, due_at FROM journal.retry INDEXED BY retry_by_due
WHERE priority = ? AND due_at > ? ORDER BY due_at LIMIT ?
"""
OLDEST_WAITING = "SELECT min(created_at) FROM journal.retry INDEXED BY retry_by_age"
# The last row of one priority.
NEWEST = """
SELECT max(o.id) FROM [sync_outbox] AS o INDEXED BY [sync_outbox_by_priority]
WHERE o.status = 'pending' AND o.priority = ? AND o.id > ?
"""
