-- What HQ's messages have that no release before knew, a number for every change, and what a till looks things up by.
-- Rows that are there already get their numbers later, a few at a time (store/fill.py): 0 is "not yet".
ALTER TABLE [products] ADD COLUMN barcodes TEXT;  -- JSON: every barcode beside `barcode`, with unit and quantity
ALTER TABLE [products] ADD COLUMN change_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE [prices] ADD COLUMN change_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE [inventory] ADD COLUMN change_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE [transactions] ADD COLUMN change_seq INTEGER NOT NULL DEFAULT 0;

CREATE INDEX IF NOT EXISTS [sync_products_by_change] ON [products] (change_seq);
CREATE INDEX IF NOT EXISTS [sync_prices_by_change] ON [prices] (change_seq);
CREATE INDEX IF NOT EXISTS [sync_inventory_by_change] ON [inventory] (change_seq);
CREATE INDEX IF NOT EXISTS [sync_transactions_by_change] ON [transactions] (change_seq);
CREATE INDEX IF NOT EXISTS [sync_products_by_barcode] ON [products] (barcode);
CREATE INDEX IF NOT EXISTS [sync_products_by_sku] ON [products] (sku);
CREATE INDEX IF NOT EXISTS [sync_inventory_by_location_id] ON [inventory] (location_id);

-- The last number that was given.
CREATE TABLE IF NOT EXISTS [sync_change] (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    last_seq INTEGER NOT NULL
);
INSERT OR IGNORE INTO [sync_change] (only_row, last_seq) VALUES (1, 0);

-- Rows of kinds that nobody has declared; they move into their own table once somebody does.
CREATE TABLE IF NOT EXISTS [entities] (
    entity_type    TEXT NOT NULL,
    entity_id      NOT NULL,
    payload        TEXT,
    is_deleted     INTEGER NOT NULL DEFAULT 0,
    version,
    updated_at     TEXT,
    correlation_id TEXT,
    extra          TEXT,
    applied_at     TEXT,
    change_seq     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (entity_type, entity_id)
);
CREATE INDEX IF NOT EXISTS [sync_entities_by_change] ON [entities] (change_seq);

-- What each kind's table has been declared as: fields that were ever declared, and those still to be filled from `extra`.
CREATE TABLE IF NOT EXISTS [sync_entity_types] (
    entity_type TEXT PRIMARY KEY COLLATE NOCASE,
    table_name  TEXT NOT NULL,
    key_columns TEXT NOT NULL,
    columns     TEXT NOT NULL,
    indexes     TEXT NOT NULL,
    unfilled    TEXT NOT NULL
);

-- Every barcode of every product that is not deleted, kept by the triggers below.
CREATE TABLE IF NOT EXISTS [barcodes] (
    barcode    TEXT NOT NULL,
    product_id NOT NULL,
    unit       TEXT,
    quantity   TEXT,
    PRIMARY KEY (barcode, product_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS [sync_barcodes_by_product_id] ON [barcodes] (product_id);

-- No INSERT OR IGNORE: within an upsert it would not be heeded. What is twice in the list was left out when it was read.
CREATE TRIGGER IF NOT EXISTS [sync_barcode_of_new_product] AFTER INSERT ON [products]
WHEN NEW.is_deleted = 0 AND NEW.barcodes IS NULL AND NEW.barcode <> ''
BEGIN
    DELETE FROM [barcodes] WHERE product_id = NEW.product_id;
    INSERT INTO [barcodes] (barcode, product_id) VALUES (NEW.barcode, NEW.product_id);
END;

CREATE TRIGGER IF NOT EXISTS [sync_barcodes_of_new_product] AFTER INSERT ON [products]
WHEN NEW.is_deleted = 0 AND NEW.barcodes IS NOT NULL
BEGIN
    DELETE FROM [barcodes] WHERE product_id = NEW.product_id;
    INSERT INTO [barcodes] (barcode, product_id, unit, quantity)
    SELECT json_extract(value, '$.barcode'), NEW.product_id, json_extract(value, '$.unit'), json_extract(value, '$.quantity')
    FROM json_each(NEW.barcodes);
    INSERT INTO [barcodes] (barcode, product_id)
    SELECT NEW.barcode, NEW.product_id
    WHERE NEW.barcode <> '' AND NOT EXISTS (SELECT 1 FROM [barcodes] WHERE barcode = NEW.barcode AND product_id = NEW.product_id);
END;

-- A row without its number is one that was there before this table was. An update that leaves what is looked up as it was does not
-- name these columns, and costs nothing here.
CREATE TRIGGER IF NOT EXISTS [sync_barcodes_of_changed_product] AFTER UPDATE OF product_id, barcode, barcodes, is_deleted ON [products]
WHEN OLD.change_seq = 0 OR OLD.barcode IS NOT NEW.barcode OR OLD.barcodes IS NOT NEW.barcodes OR OLD.is_deleted IS NOT NEW.is_deleted
BEGIN
    DELETE FROM [barcodes] WHERE product_id IN (OLD.product_id, NEW.product_id);
    INSERT INTO [barcodes] (barcode, product_id, unit, quantity)
    SELECT json_extract(value, '$.barcode'), NEW.product_id, json_extract(value, '$.unit'), json_extract(value, '$.quantity')
    FROM json_each(coalesce(NEW.barcodes, '[]')) WHERE NEW.is_deleted = 0;
    INSERT INTO [barcodes] (barcode, product_id)
    SELECT NEW.barcode, NEW.product_id
    WHERE NEW.is_deleted = 0 AND NEW.barcode <> ''
      AND NOT EXISTS (SELECT 1 FROM [barcodes] WHERE barcode = NEW.barcode AND product_id = NEW.product_id);
END;

CREATE TRIGGER IF NOT EXISTS [sync_barcodes_of_gone_product] AFTER DELETE ON [products]
BEGIN
    DELETE FROM [barcodes] WHERE product_id = OLD.product_id;
END;

-- Kinds that no release before could keep are in its quarantine at best: what HQ has is fetched once more, and they with it.
INSERT INTO [sync_resync] (entity_type, requested_at)
SELECT '', strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE EXISTS (SELECT 1 FROM [sync_quarantine] WHERE reason LIKE 'unknown entityType%');
