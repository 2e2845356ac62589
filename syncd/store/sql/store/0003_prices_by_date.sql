-- A price for later lies beside the one in force: `effective_from` is part of the key, '' where HQ names none.
CREATE TABLE IF NOT EXISTS [sync_rebuilt_prices] (
    product_id     NOT NULL,
    price_list     TEXT NOT NULL DEFAULT 'default',
    price          TEXT,
    currency       TEXT,
    cost_price     TEXT,
    effective_from TEXT NOT NULL DEFAULT '',
    effective_to   TEXT,
    is_deleted     INTEGER NOT NULL DEFAULT 0,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    extra          TEXT,
    applied_at     TEXT,
    PRIMARY KEY (product_id, price_list, effective_from)
);

-- The one price in force now for each product and list: of those that have begun and not ended, the one that began last.
CREATE VIEW IF NOT EXISTS [current_prices] AS
SELECT p.* FROM [prices] AS p
WHERE p.is_deleted = 0
  AND p.effective_from <= strftime('%Y-%m-%dT%H:%M:%f0000Z', 'now')
  AND (p.effective_to IS NULL OR p.effective_to > strftime('%Y-%m-%dT%H:%M:%f0000Z', 'now'))
  AND NOT EXISTS (
    SELECT 1 FROM [prices] AS later
    WHERE later.product_id = p.product_id AND later.price_list = p.price_list
      AND later.effective_from > p.effective_from
      AND later.effective_from <= strftime('%Y-%m-%dT%H:%M:%f0000Z', 'now')
      AND (later.effective_to IS NULL OR later.effective_to > strftime('%Y-%m-%dT%H:%M:%f0000Z', 'now'))
      AND later.is_deleted = 0
  );
