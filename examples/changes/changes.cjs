// A till that hears of changes: run it with the database's path. It prints what is there, and then whatever changes.
const Database = require('better-sqlite3');

const db = new Database(process.argv[2], { timeout: 5000 });
const changed = db.prepare('SELECT product_id, name, is_deleted, change_seq FROM products WHERE change_seq > ? ORDER BY change_seq');
let seen = 0;
let bell = null;

function look() {
  const rung = db.pragma('data_version', { simple: true });
  if (rung === bell) return;                        // nobody has committed anything
  bell = rung;                                      // noted before we ask: a later commit rings again
  for (const row of changed.all(seen)) {
    console.log(`${row.product_id} ${row.name} ${row.is_deleted ? 'gone' : 'changed'}`);
    seen = row.change_seq;
  }
}

look();
setInterval(look, 200);
