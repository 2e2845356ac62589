-- The last updates that HQ sent and what became of each, for people. It is in syncd's own file, so that it costs nothing inside the
-- till's lock; the till's tables hold all that "newer wins, twice is once" needs.
CREATE TABLE IF NOT EXISTS inbox (
    id             INTEGER PRIMARY KEY,
    entity_type    TEXT NOT NULL,
    entity_id      TEXT NOT NULL,
    operation      TEXT NOT NULL,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    source         TEXT NOT NULL CHECK (source IN ('live', 'catchup')),
    outcome        TEXT NOT NULL CHECK (outcome IN ('applied', 'stale', 'refused')),
    reason         TEXT,
    at             TEXT NOT NULL
);
