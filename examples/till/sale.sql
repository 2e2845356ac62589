-- sqlite3 /var/lib/syncd/store.db < sale.sql
CREATE TABLE IF NOT EXISTS receipts (id INTEGER PRIMARY KEY, total TEXT NOT NULL);  -- the till's own table

BEGIN IMMEDIATE;
INSERT INTO receipts (total) VALUES ('12.50');
INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority)
SELECT 'Receipt', id, 'Create', json_object('receiptId', id, 'total', total, 'currency', 'EUR'), 2
FROM receipts WHERE id = last_insert_rowid();
INSERT INTO sync_outbox (entity_type, entity_id, operation, payload)
VALUES ('Inventory', 'SKU-0007', 'Update', '{"sku":"SKU-0007","sold":1}');
COMMIT;

SELECT product_id, name, price, currency FROM active_products JOIN current_prices USING (product_id)
WHERE price_list = 'default';
