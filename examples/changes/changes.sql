-- The bell: another number than before means that another program has committed something. About a microsecond.
PRAGMA data_version;

-- When it has rung: what is above the highest number that this till has seen. Begin with 0.
SELECT product_id, name, is_deleted, change_seq FROM products WHERE change_seq > :seen ORDER BY change_seq LIMIT 500;
SELECT product_id, price_list, price, is_deleted, change_seq FROM prices WHERE change_seq > :seen ORDER BY change_seq LIMIT 500;
