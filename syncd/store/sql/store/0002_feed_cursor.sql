-- Where the catch-up stands in the feed of one hub. A cursor without its hub and its kinds says nothing, so that those of the first
-- version are dropped: the next catch-up starts at the beginning, and what the store has already is a no-op.
DROP TABLE IF EXISTS [sync_cursor];

CREATE TABLE IF NOT EXISTS [sync_cursor] (
    hub              TEXT NOT NULL,  -- hub.url, without what its query says
    store_id         TEXT NOT NULL,  -- as whom the hub was asked
    entity_types     TEXT NOT NULL,  -- that the cursor is for: JSON, [] for all
    cursor           TEXT,           -- HQ's cursor verbatim; NULL at the beginning
    feed_epoch       TEXT,           -- the feed that the cursor belongs to, in HQ's words
    total_items      INTEGER,        -- how many HQ had when it was last asked
    ignored_hints    TEXT NOT NULL,  -- signs of another feed that have proved wrong at this hub: JSON
    full_pull_types  TEXT,           -- what is being fetched from the beginning: JSON, [] for all; NULL for nothing
    full_pull_cursor TEXT,           -- how far that is
    fully_pulled_at  TEXT,           -- when everything was last fetched from beginning to end
    requests_taken   INTEGER NOT NULL DEFAULT 0,
    updated_at       TEXT NOT NULL,
    PRIMARY KEY (hub, store_id)
);

-- What somebody wants to have fetched from the beginning; '' is everything. The daemon deletes what it has taken in.
CREATE TABLE IF NOT EXISTS [sync_resync] (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type  TEXT NOT NULL DEFAULT '',
    requested_at TEXT NOT NULL
);
