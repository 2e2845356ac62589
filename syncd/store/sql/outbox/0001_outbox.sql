-- What the till writes beside its sale. The first four columns are all that a plain INSERT must name;
-- an explicit NULL in a column with a default (as ORMs write it) takes the default too.
CREATE TABLE IF NOT EXISTS [sync_outbox] (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type     TEXT NOT NULL
                    CONSTRAINT "[sync_outbox].entity_type must not be empty" CHECK (entity_type <> ''),
    entity_id       NOT NULL
                    CONSTRAINT "[sync_outbox].entity_id must be INTEGER or TEXT"
                    CHECK (typeof(entity_id) IN ('integer', 'text') OR (typeof(entity_id) = 'real' AND entity_id = CAST(entity_id AS INTEGER))),
    operation       TEXT NOT NULL
                    CONSTRAINT "[sync_outbox].operation must be Create, Update or Delete" CHECK (operation IN ('Create', 'Update', 'Delete')),
    payload         TEXT NOT NULL
                    CONSTRAINT "[sync_outbox].payload must be TEXT" CHECK (typeof(payload) = 'text'),
    priority        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 3
                    CONSTRAINT "[sync_outbox].priority must be 1, 2, 3 or 4" CHECK (priority IN (1, 2, 3, 4)),
    correlation_id  TEXT NOT NULL ON CONFLICT REPLACE UNIQUE
                    DEFAULT (lower(
                        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
                        || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))
                    CONSTRAINT "[sync_outbox].correlation_id must not be empty" CHECK (correlation_id <> ''),
    created_at      TEXT NOT NULL ON CONFLICT REPLACE DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    status          TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'pending'
                    CONSTRAINT "[sync_outbox].status must be pending, sent, failed or cancelled"
                    CHECK (status IN ('pending', 'sent', 'failed', 'cancelled')),
    attempts        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    next_attempt_at TEXT,
    last_error      TEXT,
    sent_at         TEXT
);

-- Both indexes are partial, so that they stay as small as the backlog: what a till pays for them does not grow with the years.
CREATE INDEX IF NOT EXISTS [sync_outbox_by_priority] ON [sync_outbox] (priority, id) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS [sync_outbox_by_entity] ON [sync_outbox] (entity_type, entity_id, id, priority) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS [sync_outbox_failed] ON [sync_outbox] (id) WHERE status = 'failed';

-- Bumped by whoever changes a row's status other than the daemon, which then reads its backlog afresh.
CREATE TABLE IF NOT EXISTS [sync_outbox_generation] (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    generation INTEGER NOT NULL
);
INSERT OR IGNORE INTO [sync_outbox_generation] (only_row, generation) VALUES (1, 0);
