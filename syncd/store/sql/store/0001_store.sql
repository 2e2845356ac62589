-- What HQ sends down, and the till reads. Identifiers have no declared type: a number stays a number, text stays text.
-- Money and quantities are TEXT, exact to the digit as they stood on the wire. Times are ISO 8601 UTC of one width, so that they sort.
CREATE TABLE IF NOT EXISTS [products] (
    product_id     NOT NULL,
    sku            TEXT,
    name           TEXT,
    barcode        TEXT,
    description    TEXT,
    category       TEXT,
    unit           TEXT,
    tax_rate       TEXT,
    is_active      INTEGER NOT NULL DEFAULT 1,
    is_deleted     INTEGER NOT NULL DEFAULT 0,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    extra          TEXT,
    applied_at     TEXT,
    PRIMARY KEY (product_id)
);

CREATE TABLE IF NOT EXISTS [prices] (
    product_id     NOT NULL,
    price_list     TEXT NOT NULL DEFAULT 'default',
    price          TEXT,
    currency       TEXT,
    cost_price     TEXT,
    effective_from TEXT,
    effective_to   TEXT,
    is_deleted     INTEGER NOT NULL DEFAULT 0,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    extra          TEXT,
    applied_at     TEXT,
    PRIMARY KEY (product_id, price_list)
);

CREATE TABLE IF NOT EXISTS [inventory] (
    product_id       NOT NULL,
    location_id      NOT NULL DEFAULT 'default',
    quantity_on_hand TEXT,
    reorder_level    TEXT,
    is_deleted       INTEGER NOT NULL DEFAULT 0,
    version,
    updated_at       TEXT,
    correlation_id   TEXT,
    extra            TEXT,
    applied_at       TEXT,
    PRIMARY KEY (product_id, location_id)
);

CREATE TABLE IF NOT EXISTS [transactions] (
    transaction_id NOT NULL,
    store_id,
    type           TEXT,
    total          TEXT,
    currency       TEXT,
    occurred_at    TEXT,
    payload        TEXT,
    is_deleted     INTEGER NOT NULL DEFAULT 0,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    extra          TEXT,
    applied_at     TEXT,
    PRIMARY KEY (transaction_id)
);

CREATE VIEW IF NOT EXISTS [active_products] AS SELECT * FROM [products] WHERE is_deleted = 0 AND is_active = 1;

-- One record an applied update, in the update's own transaction.
CREATE TABLE IF NOT EXISTS [sync_inbox] (
    id             INTEGER PRIMARY KEY,
    entity_type    TEXT NOT NULL,
    entity_key     TEXT NOT NULL,
    operation      TEXT NOT NULL,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    source         TEXT NOT NULL CHECK (source IN ('live', 'catchup')),
    applied_at     TEXT NOT NULL
);

-- Where the catch-up stands; HQ's cursor verbatim.
CREATE TABLE IF NOT EXISTS [sync_cursor] (
    name       TEXT PRIMARY KEY,
    cursor     TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- What could not be applied, with its raw text and the reason.
CREATE TABLE IF NOT EXISTS [sync_quarantine] (
    id             INTEGER PRIMARY KEY,
    method         TEXT NOT NULL,
    correlation_id TEXT,
    reason         TEXT NOT NULL,
    raw            TEXT NOT NULL,
    received_at    TEXT NOT NULL
);
