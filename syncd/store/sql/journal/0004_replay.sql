-- Entries of the quarantine that a person wants to have applied once more, and what became of that. `syncd quarantine replay`
-- writes a request, the daemon its outcome: it alone writes HQ's tables.
CREATE TABLE IF NOT EXISTS replay (
    quarantine_id INTEGER PRIMARY KEY,
    requested_at  TEXT NOT NULL,
    outcome       TEXT CHECK (outcome IN ('applied', 'refused', 'gone')),
    reason        TEXT,
    decided_at    TEXT
);
