-- An entry of the quarantine that is older than what the table has by now: `superseded`.
CREATE TABLE IF NOT EXISTS sync_rebuilt_replay (
    quarantine_id INTEGER PRIMARY KEY,
    requested_at  TEXT NOT NULL,
    outcome       TEXT CHECK (outcome IN ('applied', 'superseded', 'refused', 'gone')),
    reason        TEXT,
    decided_at    TEXT
);
