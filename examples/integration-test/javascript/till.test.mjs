// A till against a small HQ: npm install better-sqlite3, then node --test. The program syncd must be on the PATH.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import Database from 'better-sqlite3';

const folder = mkdtempSync(join(tmpdir(), 'till-'));
const path = join(folder, 'store.db');
let devhub, daemon, control, till;

before(async () => {
  devhub = spawn('syncd', ['devhub', '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: devhub.stdout }), 'line'); // {"event":"ready","url":"http://127.0.0.1:…/hubs/sync",…}
  const url = JSON.parse(line).url;
  control = url.replace('/hubs/sync', '/control');
  daemon = spawn('syncd', ['run'], {
    stdio: 'ignore',
    env: { ...process.env, SYNCD_STORE__ID: '7', SYNCD_DATABASE__PATH: path, SYNCD_HUB__URL: url, SYNCD_STATUS__PATH: join(folder, 'status.json') },
  });
  await until(async () => (await call('GET', 'state')).connections === 1, 'syncd is connected');
  till = new Database(path, { timeout: 5000 });
});

after(async () => {
  till?.close();
  for (const child of [daemon, devhub]) {
    child.kill();
    await once(child, 'exit');
  }
});

test('a sale reaches HQ', async () => {
  till.prepare(`INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority) VALUES ('Receipt', ?, 'Create', ?, 2)`)
    .run(1042n, JSON.stringify({ receiptId: 1042, total: '12.50' }));
  const item = await until(async () => (await call('GET', 'items')).find((item) => item.entityId === 1042), 'HQ has the receipt');
  assert.equal(item.payload, '{"receiptId":1042,"total":"12.50"}');
});

test("a price of HQ's is in the till's table", async () => {
  const price = { productId: 7, price: '12.50', currency: 'EUR', updatedAt: '2026-11-23T10:00:00Z' };
  assert.equal(await call('POST', 'push', { method: 'ReceivePriceUpdate', args: [price] }), 1);
  const row = await until(() => till.prepare('SELECT price FROM current_prices WHERE product_id = 7').get(), 'the till has the price');
  assert.equal(row.price, '12.50');
});

async function call(method, path, body) {
  const answer = await fetch(`${control}/${path}`, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, text);
  return text && JSON.parse(text);
}

async function until(condition, what) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const found = await condition();
    if (found) return found;
  }
  assert.fail(`in vain: ${what}`);
}
