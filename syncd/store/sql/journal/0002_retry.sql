-- Entities that wait: a row of theirs was refused, and that row and those behind it are on disk only, until the retry is
-- due. The entry leaves when they are read again. entity_id is text here, whatever it is in the outbox.
CREATE TABLE IF NOT EXISTS retry (
    entity_type TEXT NOT NULL,
    entity_id   TEXT NOT NULL,
    id          INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    due_at      TEXT NOT NULL,
    PRIMARY KEY (entity_type, entity_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS retry_by_due ON retry (priority, due_at);
CREATE INDEX IF NOT EXISTS retry_by_age ON retry (created_at);
CREATE INDEX IF NOT EXISTS retry_by_id ON retry (id);
