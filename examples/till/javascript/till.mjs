// npm install better-sqlite3; node till.mjs /var/lib/syncd/store.db
import Database from 'better-sqlite3';

const db = new Database(process.argv[2], { timeout: 5000 });
db.exec('CREATE TABLE IF NOT EXISTS receipts (id INTEGER PRIMARY KEY, total TEXT NOT NULL)'); // the till's own table

const insertReceipt = db.prepare('INSERT INTO receipts (total) VALUES (?)');
const insertOutbox = db.prepare(
  'INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES (?, ?, ?, ?, ?)');

const sell = db.transaction((total) => {
  const id = insertReceipt.run(total).lastInsertRowid;
  const payload = JSON.stringify({ receiptId: Number(id), total, currency: 'EUR' });
  insertOutbox.run('Receipt', BigInt(id), 'Create', payload, 2);
});

sell.immediate('12.50');

const found = db.prepare("SELECT price FROM current_prices WHERE product_id = ? AND price_list = 'default'").get(4711);
console.log(found ? `4711 costs ${found.price}` : 'HQ has sent no price of 4711'); // text: for a decimal library
