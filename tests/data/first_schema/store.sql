BEGIN TRANSACTION;
CREATE TABLE inventory (
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
INSERT INTO "inventory" VALUES(1,'default','3.500',NULL,0,NULL,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
INSERT INTO "inventory" VALUES(2,'default','3.500',NULL,0,NULL,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
INSERT INTO "inventory" VALUES(3,'default','3.500',NULL,0,NULL,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
CREATE TABLE prices (
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
INSERT INTO "prices" VALUES(1,'default','12.50','EUR',NULL,NULL,NULL,0,1,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
INSERT INTO "prices" VALUES(2,'default','12.50','EUR',NULL,'2026-11-01T00:00:00.0000000Z',NULL,0,2,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
INSERT INTO "prices" VALUES(3,'staff','12.50','EUR',NULL,NULL,NULL,0,3,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
INSERT INTO "prices" VALUES(4,'default','12.50','EUR',NULL,NULL,NULL,0,4,'2026-11-22T10:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
INSERT INTO "prices" VALUES(5,'default','12.50','EUR',NULL,NULL,NULL,1,9,'2026-11-22T11:00:00.0000000Z',NULL,NULL,'2026-11-23T10:00:00.000Z');
CREATE TABLE products (
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
INSERT INTO "products" VALUES(1,'SKU-1','Produkt 1',NULL,NULL,NULL,NULL,'19.0',1,0,1,'2026-11-22T10:00:00.0000000Z',NULL,'{"new":1}','2026-11-23T10:00:00.000Z');
INSERT INTO "products" VALUES(2,'SKU-2','Produkt 2',NULL,NULL,NULL,NULL,'19.0',1,0,2,'2026-11-22T10:00:00.0000000Z',NULL,'{"new":1}','2026-11-23T10:00:00.000Z');
INSERT INTO "products" VALUES(3,'SKU-3','Produkt 3',NULL,NULL,NULL,NULL,'19.0',1,0,3,'2026-11-22T10:00:00.0000000Z',NULL,'{"new":1}','2026-11-23T10:00:00.000Z');
INSERT INTO "products" VALUES(4,'SKU-4','Produkt 4',NULL,NULL,NULL,NULL,'19.0',1,0,4,'2026-11-22T10:00:00.0000000Z',NULL,'{"new":1}','2026-11-23T10:00:00.000Z');
INSERT INTO "products" VALUES(5,'SKU-5','Produkt 5',NULL,NULL,NULL,NULL,'19.0',1,0,5,'2026-11-22T10:00:00.0000000Z',NULL,'{"new":1}','2026-11-23T10:00:00.000Z');
CREATE TABLE receipts (id INTEGER PRIMARY KEY, total TEXT NOT NULL);
INSERT INTO "receipts" VALUES(1,'12.50');
INSERT INTO "receipts" VALUES(2,'12.50');
INSERT INTO "receipts" VALUES(3,'12.50');
INSERT INTO "receipts" VALUES(4,'12.50');
INSERT INTO "receipts" VALUES(5,'12.50');
INSERT INTO "receipts" VALUES(6,'12.50');
INSERT INTO "receipts" VALUES(7,'12.50');
INSERT INTO "receipts" VALUES(8,'12.50');
INSERT INTO "receipts" VALUES(9,'12.50');
INSERT INTO "receipts" VALUES(10,'12.50');
INSERT INTO "receipts" VALUES(11,'12.50');
INSERT INTO "receipts" VALUES(12,'12.50');
INSERT INTO "receipts" VALUES(13,'12.50');
INSERT INTO "receipts" VALUES(14,'12.50');
INSERT INTO "receipts" VALUES(15,'12.50');
INSERT INTO "receipts" VALUES(16,'12.50');
INSERT INTO "receipts" VALUES(17,'12.50');
INSERT INTO "receipts" VALUES(18,'12.50');
INSERT INTO "receipts" VALUES(19,'12.50');
INSERT INTO "receipts" VALUES(20,'12.50');
INSERT INTO "receipts" VALUES(21,'12.50');
INSERT INTO "receipts" VALUES(22,'12.50');
INSERT INTO "receipts" VALUES(23,'12.50');
INSERT INTO "receipts" VALUES(24,'12.50');
INSERT INTO "receipts" VALUES(25,'12.50');
INSERT INTO "receipts" VALUES(26,'12.50');
INSERT INTO "receipts" VALUES(27,'12.50');
INSERT INTO "receipts" VALUES(28,'12.50');
INSERT INTO "receipts" VALUES(29,'12.50');
INSERT INTO "receipts" VALUES(30,'12.50');
INSERT INTO "receipts" VALUES(31,'12.50');
INSERT INTO "receipts" VALUES(32,'12.50');
INSERT INTO "receipts" VALUES(33,'12.50');
INSERT INTO "receipts" VALUES(34,'12.50');
INSERT INTO "receipts" VALUES(35,'12.50');
INSERT INTO "receipts" VALUES(36,'12.50');
INSERT INTO "receipts" VALUES(37,'12.50');
INSERT INTO "receipts" VALUES(38,'12.50');
INSERT INTO "receipts" VALUES(39,'12.50');
INSERT INTO "receipts" VALUES(40,'12.50');
INSERT INTO "receipts" VALUES(41,'12.50');
INSERT INTO "receipts" VALUES(42,'12.50');
INSERT INTO "receipts" VALUES(43,'12.50');
INSERT INTO "receipts" VALUES(44,'12.50');
INSERT INTO "receipts" VALUES(45,'12.50');
INSERT INTO "receipts" VALUES(46,'12.50');
INSERT INTO "receipts" VALUES(47,'12.50');
INSERT INTO "receipts" VALUES(48,'12.50');
INSERT INTO "receipts" VALUES(49,'12.50');
INSERT INTO "receipts" VALUES(50,'12.50');
INSERT INTO "receipts" VALUES(51,'12.50');
INSERT INTO "receipts" VALUES(52,'12.50');
INSERT INTO "receipts" VALUES(53,'12.50');
INSERT INTO "receipts" VALUES(54,'12.50');
INSERT INTO "receipts" VALUES(55,'12.50');
INSERT INTO "receipts" VALUES(56,'12.50');
INSERT INTO "receipts" VALUES(57,'12.50');
INSERT INTO "receipts" VALUES(58,'12.50');
INSERT INTO "receipts" VALUES(59,'12.50');
INSERT INTO "receipts" VALUES(60,'12.50');
CREATE TABLE sync_cursor (
    name       TEXT PRIMARY KEY,
    cursor     TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
INSERT INTO "sync_cursor" VALUES('hq','cursor-17','2026-11-23T10:00:00.000Z');
CREATE TABLE sync_inbox (
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
INSERT INTO "sync_inbox" VALUES(1,'Product','1','Update',1,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(2,'Product','2','Update',2,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(3,'Product','3','Update',3,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(4,'Product','4','Update',4,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(5,'Product','5','Update',5,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(6,'Price','1/default','Update',1,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(7,'Price','2/default','Update',2,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(8,'Price','3/staff','Update',3,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(9,'Price','4/default','Update',4,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(10,'Price','5/default','Update',5,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(11,'Price','5/default','Delete',9,'2026-11-22T11:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(12,'Inventory','1/default','Update',NULL,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(13,'Inventory','2/default','Update',NULL,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_inbox" VALUES(14,'Inventory','3/default','Update',NULL,'2026-11-22T10:00:00.0000000Z',NULL,'catchup','2026-11-23T10:00:00.000Z');
CREATE TABLE sync_outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type     TEXT NOT NULL
                    CONSTRAINT "sync_outbox.entity_type must not be empty" CHECK (entity_type <> ''),
    entity_id       NOT NULL
                    CONSTRAINT "sync_outbox.entity_id must be INTEGER or TEXT"
                    CHECK (typeof(entity_id) IN ('integer', 'text') OR (typeof(entity_id) = 'real' AND entity_id = CAST(entity_id AS INTEGER))),
    operation       TEXT NOT NULL
                    CONSTRAINT "sync_outbox.operation must be Create, Update or Delete" CHECK (operation IN ('Create', 'Update', 'Delete')),
    payload         TEXT NOT NULL
                    CONSTRAINT "sync_outbox.payload must be TEXT" CHECK (typeof(payload) = 'text'),
    priority        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 3
                    CONSTRAINT "sync_outbox.priority must be 1, 2, 3 or 4" CHECK (priority IN (1, 2, 3, 4)),
    correlation_id  TEXT NOT NULL ON CONFLICT REPLACE UNIQUE
                    DEFAULT (lower(
                        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
                        || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))
                    CONSTRAINT "sync_outbox.correlation_id must not be empty" CHECK (correlation_id <> ''),
    created_at      TEXT NOT NULL ON CONFLICT REPLACE DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    status          TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'pending'
                    CONSTRAINT "sync_outbox.status must be pending, sent, failed or cancelled"
                    CHECK (status IN ('pending', 'sent', 'failed', 'cancelled')),
    attempts        INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0,
    next_attempt_at TEXT,
    last_error      TEXT,
    sent_at         TEXT
);
INSERT INTO "sync_outbox" VALUES(4,'Receipt',4,'Create','{"n": 4, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000004','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(5,'Receipt','R-5','Create','{"n": 5, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000005','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(6,'Payment',6,'Create','{"n": 6, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000006','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(7,'Receipt',7,'Create','{"n": 7, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000007','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(8,'Receipt',8,'Create','{"n": 8, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000008','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(9,'Payment',9,'Create','{"n": 9, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000009','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(10,'Receipt','R-10','Create','{"n": 10, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000010','2026-11-23 09:00:00.1234567','sent',0,NULL,NULL,'2026-11-23T09:30:00.000Z');
INSERT INTO "sync_outbox" VALUES(11,'Receipt',11,'Create','{"n": 11, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000011','2026-11-23 09:00:00.1234567','failed',5,NULL,'refused',NULL);
INSERT INTO "sync_outbox" VALUES(12,'Payment',12,'Create','{"n": 12, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000012','2026-11-23 09:00:00.1234567','cancelled',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(13,'Receipt',13,'Create','{"n": 13, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000013','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(14,'Receipt',14,'Create','{"n": 14, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000014','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(15,'Payment','R-15','Create','{"n": 15, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000015','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(16,'Receipt',16,'Create','{"n": 16, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000016','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(17,'Receipt',17,'Create','{"n": 17, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000017','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(18,'Payment',18,'Create','{"n": 18, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000018','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(19,'Receipt',19,'Create','{"n": 19, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000019','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(20,'Receipt','R-20','Create','{"n": 20, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000020','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(21,'Payment',21,'Create','{"n": 21, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000021','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(22,'Receipt',22,'Create','{"n": 22, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000022','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(23,'Receipt',23,'Create','{"n": 23, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000023','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(24,'Payment',24,'Create','{"n": 24, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000024','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(25,'Receipt','R-25','Create','{"n": 25, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000025','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(26,'Receipt',26,'Create','{"n": 26, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000026','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(27,'Payment',27,'Create','{"n": 27, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000027','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(28,'Receipt',28,'Create','{"n": 28, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000028','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(29,'Receipt',29,'Create','{"n": 29, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000029','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(30,'Payment','R-30','Create','{"n": 30, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000030','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(31,'Receipt',31,'Create','{"n": 31, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000031','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(32,'Receipt',32,'Create','{"n": 32, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000032','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(33,'Payment',33,'Create','{"n": 33, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000033','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(34,'Receipt',34,'Create','{"n": 34, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000034','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(35,'Receipt','R-35','Create','{"n": 35, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000035','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(36,'Payment',36,'Create','{"n": 36, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000036','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(37,'Receipt',37,'Create','{"n": 37, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000037','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(38,'Receipt',38,'Create','{"n": 38, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000038','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(39,'Payment',39,'Create','{"n": 39, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000039','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(40,'Receipt','R-40','Create','{"n": 40, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000040','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(41,'Receipt',41,'Create','{"n": 41, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000041','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(42,'Payment',42,'Create','{"n": 42, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000042','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(43,'Receipt',43,'Create','{"n": 43, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000043','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(44,'Receipt',44,'Create','{"n": 44, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000044','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(45,'Payment','R-45','Create','{"n": 45, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000045','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(46,'Receipt',46,'Create','{"n": 46, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000046','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(47,'Receipt',47,'Create','{"n": 47, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000047','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(48,'Payment',48,'Create','{"n": 48, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000048','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(49,'Receipt',49,'Create','{"n": 49, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000049','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(50,'Receipt','R-50','Create','{"n": 50, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000050','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(51,'Payment',51,'Create','{"n": 51, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000051','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(52,'Receipt',52,'Create','{"n": 52, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000052','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(53,'Receipt',53,'Create','{"n": 53, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000053','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(54,'Payment',54,'Create','{"n": 54, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000054','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(55,'Receipt','R-55','Create','{"n": 55, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000055','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(56,'Receipt',56,'Create','{"n": 56, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000056','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(57,'Payment',57,'Create','{"n": 57, "total": "12.50", "note": "ü"}',2,'00000000-0000-4000-8000-000000000057','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(58,'Receipt',58,'Create','{"n": 58, "total": "12.50", "note": "ü"}',3,'00000000-0000-4000-8000-000000000058','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(59,'Receipt',59,'Create','{"n": 59, "total": "12.50", "note": "ü"}',4,'00000000-0000-4000-8000-000000000059','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
INSERT INTO "sync_outbox" VALUES(60,'Payment','R-60','Create','{"n": 60, "total": "12.50", "note": "ü"}',1,'00000000-0000-4000-8000-000000000060','2026-11-23 09:00:00.1234567','pending',0,NULL,NULL,NULL);
CREATE TABLE sync_outbox_generation (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    generation INTEGER NOT NULL
);
INSERT INTO "sync_outbox_generation" VALUES(1,0);
CREATE TABLE sync_quarantine (
    id             INTEGER PRIMARY KEY,
    method         TEXT NOT NULL,
    correlation_id TEXT,
    reason         TEXT NOT NULL,
    raw            TEXT NOT NULL,
    received_at    TEXT NOT NULL
);
INSERT INTO "sync_quarantine" VALUES(1,'ReceivePriceUpdate','c-1','Price: price is missing','{"productId":9}','2026-11-23T10:00:00.000Z');
CREATE TABLE sync_schema (
    component  TEXT NOT NULL,
    version    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    PRIMARY KEY (component, version)
);
INSERT INTO "sync_schema" VALUES('outbox',1,'outbox','2026-11-23T10:00:00.000Z');
INSERT INTO "sync_schema" VALUES('store',1,'store','2026-11-23T10:00:00.000Z');
CREATE TABLE transactions (
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
CREATE INDEX sync_outbox_by_priority ON sync_outbox (priority, id) WHERE status = 'pending';
CREATE INDEX sync_outbox_by_entity ON sync_outbox (entity_type, entity_id, id, priority) WHERE status = 'pending';
CREATE INDEX sync_outbox_failed ON sync_outbox (id) WHERE status = 'failed';
CREATE VIEW active_products AS SELECT * FROM products WHERE is_deleted = 0 AND is_active = 1;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sync_outbox',60);
COMMIT;
