// What a JavaScript team would build with Microsoft's SignalR client and better-sqlite3, to measure against:
//   node peer.mjs DATABASE URL --mode=window --batch=46 --window=4      drain an outbox
//   node peer.mjs DATABASE URL --mode=receive --rows=N                  apply ReceiveProductUpdate until N have come
// A row is marked sent only after HQ's verdict; WAL, synchronous=FULL, one transaction a batch. The last line printed is JSON.
import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import Database from "better-sqlite3";

const [path, url] = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const options = Object.fromEntries(process.argv.filter((argument) => argument.startsWith("--")).map((argument) => argument.slice(2).split("=")));
const database = new Database(path);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
const hub = new HubConnectionBuilder().withUrl(url).withAutomaticReconnect().configureLogging(LogLevel.Error).build();

let rows = 0;
const began = () => [process.hrtime.bigint(), process.cpuUsage()];
let start = began();

async function receive(wanted) {
  database.exec("CREATE TABLE IF NOT EXISTS peer_products (id INTEGER PRIMARY KEY, doc TEXT, updated_at TEXT)");
  const upsert = database.prepare(
    "INSERT INTO peer_products VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, updated_at = excluded.updated_at " +
      "WHERE excluded.updated_at > updated_at",
  );
  const apply = database.transaction((products) => products.forEach((p) => upsert.run(p.productId, JSON.stringify(p), p.updatedAt)));
  await new Promise((resolve, reject) => {
    hub.on("ReceiveProductUpdate", (argument) => {
      const products = Array.isArray(argument) ? argument : [argument];
      apply(products);
      const processedAt = new Date().toISOString();
      const acks = products.map((p) => hub.send("Acknowledge", { correlationId: p.correlationId, success: true, processedAt }));
      rows += products.length;
      Promise.all(acks).then(() => rows >= wanted && resolve(), reject);
    });
    hub.start().catch(reject);
  });
}

async function drain(size, window) {
  const next = database.prepare(
    "SELECT id, entity_type, entity_id, operation, payload, priority, correlation_id, created_at, attempts FROM sync_outbox " +
      "WHERE status = 'pending' AND (priority, id) > (?, ?) ORDER BY priority, id LIMIT ?",
  );
  const mark = database.prepare("UPDATE sync_outbox SET status = 'sent', sent_at = ? WHERE id = ?");
  const markAll = database.transaction((ids) => ids.forEach((id) => mark.run(new Date().toISOString(), id)));
  let [priority, id] = [-1, -1];
  await hub.start();
  start = began();
  async function sender() {
    for (;;) {
      const found = next.all(priority, id, size);
      if (!found.length) return;
      ({ priority, id } = found.at(-1));
      const items = found.map((row) => ({
        entityType: row.entity_type, entityId: row.entity_id, operation: row.operation, payload: row.payload, timestamp: row.created_at,
        storeId: 1, correlationId: row.correlation_id, sequence: row.id, priority: row.priority, attempt: row.attempts + 1,
      }));
      const verdicts = (await hub.invoke("SendSyncBatch", items)) ?? items.map((item) => ({ correlationId: item.correlationId, success: true }));
      const taken = new Set(verdicts.filter((verdict) => verdict.success).map((verdict) => verdict.correlationId));
      const ids = found.filter((row) => taken.has(row.correlation_id)).map((row) => row.id);
      markAll(ids);
      rows += ids.length;
    }
  }
  await Promise.all(Array.from({ length: window }, sender));
}

if (options.mode === "receive") await receive(Number(options.rows));
else await drain(Number(options.batch ?? 46), Number(options.window ?? 4));
const seconds = Number(process.hrtime.bigint() - start[0]) / 1e9;
const { user, system } = process.cpuUsage();
const figures = { rows, seconds, rowsPerSecond: rows / seconds, cpuSeconds: (user + system) / 1e6, rssMiB: process.memoryUsage.rss() / 2 ** 20 };
await hub.stop();
console.log(JSON.stringify(figures));
