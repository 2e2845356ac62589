"""python3 till.py /var/lib/syncd/store.db."""

import json
import sqlite3
import sys
from decimal import Decimal

db = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS receipts (id INTEGER PRIMARY KEY, total TEXT NOT NULL)")  # the till's own table

db.execute("BEGIN IMMEDIATE")
receipt = db.execute("INSERT INTO receipts (total) VALUES ('12.50')").lastrowid
db.execute(
    "INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES (?, ?, ?, ?, ?)",
    ("Receipt", receipt, "Create", json.dumps({"receiptId": receipt, "total": "12.50", "currency": "EUR"}), 2),
)
db.execute("COMMIT")

price = db.execute("SELECT price FROM current_prices WHERE product_id = 4711 AND price_list = 'default'").fetchone()
print(f"4711 costs {Decimal(price[0])}" if price else "HQ has sent no price of 4711")
