import assert from 'node:assert/strict';
import {
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { derivePairingScalar } from '../../../src/trust/pairing-code.js';
import { MAX_WINDOW_TTL_MS, PairingWindow } from '../../../src/trust/pairing-window.js';
import { savePendingWindow, takePendingWindow } from '../../../src/trust/pending-window.js';
import { scratchDirectory } from './pairing-rig.js';

const FILE = 'pending-window.json';

test('a window left behind opens the next host’s, once', async () => {
  using scratch = scratchDirectory();
  const { code, expiresAt } = await savePendingWindow(scratch.path, {
    ttlMs: 60_000,
    label: 'laptop',
  });
  const file = path.join(scratch.path, FILE);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!readFileSync(file, 'utf8').includes(code));

  const window = new PairingWindow();
  assert.equal(takePendingWindow(scratch.path, window), true);
  assert.deepEqual(window.state, {
    kind: 'open',
    expiresAtMs: expiresAt.getTime(),
    label: 'laptop',
  });
  const attempt = window.admit();
  assert.ok(typeof attempt === 'object');
  assert.deepEqual(attempt.scalar, await derivePairingScalar(code));
  assert.deepEqual(readdirSync(scratch.path), []);

  assert.equal(takePendingWindow(scratch.path, new PairingWindow()), false);
  window.close();
});

test('the last one left counts', async () => {
  using scratch = scratchDirectory();
  await savePendingWindow(scratch.path, { ttlMs: 60_000, label: 'first' });
  await savePendingWindow(scratch.path, { ttlMs: 60_000, label: 'second' });
  const window = new PairingWindow();
  takePendingWindow(scratch.path, window);
  assert.equal(window.state.kind === 'open' && window.state.label, 'second');
  window.close();
});

test('one that has expired, or comes from a clock far ahead, is removed and opens nothing', async () => {
  using scratch = scratchDirectory();
  for (const distanceMs of [60_001, -MAX_WINDOW_TTL_MS]) {
    await savePendingWindow(scratch.path, { ttlMs: 60_000 });
    const window = new PairingWindow();
    const now = (): number => Date.now() + distanceMs;
    assert.equal(takePendingWindow(scratch.path, window, { now }), false);
    assert.equal(window.state.kind, 'closed');
    assert.deepEqual(readdirSync(scratch.path), []);
  }
});

test('what cannot be used is removed and said, and leaves the window that is open alone', async () => {
  using scratch = scratchDirectory();
  const file = path.join(scratch.path, FILE);
  const window = new PairingWindow();
  await window.open({ ttlMs: 60_000, label: 'kept' });
  const good = { scalar: '07'.repeat(32), expires_at: new Date(Date.now() + 60_000).toISOString() };
  const contents = [
    '',
    'null',
    '[]',
    '{}',
    JSON.stringify({ ...good, scalar: '07' }),
    JSON.stringify({ ...good, scalar: 7 }),
    JSON.stringify({ ...good, expires_at: 'tomorrow' }),
    JSON.stringify({ ...good, label: ['x'] }),
  ];
  for (const content of contents) {
    writeFileSync(file, content, { mode: 0o600 });
    const lines: string[] = [];
    assert.equal(
      takePendingWindow(scratch.path, window, { log: (line) => lines.push(line) }),
      false,
    );
    assert.equal(lines.length, 1, content);
    assert.ok(!existsSync(file));
  }
  assert.equal(window.state.kind === 'open' && window.state.label, 'kept');
  window.close();
});

test('a link is not followed', () => {
  using scratch = scratchDirectory();
  const target = path.join(scratch.path, 'elsewhere');
  writeFileSync(target, 'x');
  symlinkSync(target, path.join(scratch.path, FILE));
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  assert.equal(takePendingWindow(scratch.path, new PairingWindow(), { log }), false);
  assert.match(lines[0] ?? '', /symbolic link/);
  assert.deepEqual(readdirSync(scratch.path), ['elsewhere']);
});
