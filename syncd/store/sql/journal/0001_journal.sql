-- syncd's own file: what HQ said of an outbox row, durable before the row counts as sent. An entry leaves once the
-- till's file says the same, durably. `id` alone is not enough: a restored or replaced store database gives the same
-- numbers to other rows.
CREATE TABLE outcome (
    id              INTEGER PRIMARY KEY,
    correlation_id  TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('sent', 'failed', 'pending')),  -- pending: refused, waits for its retry
    attempts        INTEGER NOT NULL,
    next_attempt_at TEXT,
    last_error      TEXT,
    decided_at      TEXT NOT NULL
);

-- When a row whose created_at nobody can read was first seen: what goes on the wire in its place.
CREATE TABLE first_seen (
    id             INTEGER PRIMARY KEY,
    correlation_id TEXT NOT NULL,
    seen_at        TEXT NOT NULL
);

-- What was learned of a hub's message limit, in bytes.
CREATE TABLE message_limit (
    hub_url    TEXT PRIMARY KEY,
    passed     INTEGER NOT NULL,
    too_large  INTEGER,
    learned_at TEXT NOT NULL
);

CREATE TABLE total (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO total (name, value) VALUES ('sent', 0);
