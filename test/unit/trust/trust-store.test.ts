import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fingerprintId, parseFingerprint } from '../../../src/trust/fingerprint.js';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';
import { TrustStore } from '../../../src/trust/trust-store.js';
import type { TrustedClient } from '../../../src/trust/trust-store.js';
import { randomFingerprint, scratchDirectory } from './pairing-rig.js';

class Rig implements Disposable {
  readonly #scratch = scratchDirectory();
  readonly directory = path.join(this.#scratch.path, 'clients');
  readonly lines: string[] = [];
  readonly store = this.openAgain();

  openAgain(): TrustStore {
    return new TrustStore(this.directory, { log: (line) => this.lines.push(line) });
  }

  add(label: string, fingerprint: Fingerprint = randomFingerprint()): TrustedClient {
    return this.store.add({ fingerprint, label, role: 'exec', pairedFrom: '10.0.0.7' });
  }

  file(client: TrustedClient): string {
    return path.join(this.directory, `${client.id}.json`);
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}

test('a client is trusted from add to revoke, by any process', () => {
  using rig = new Rig();
  assert.deepEqual(rig.store.list(), []);
  const client = rig.add('laptop');
  assert.equal(client.lastSeen, undefined);
  const other = rig.openAgain();
  assert.deepEqual(other.get(client.fingerprint), client);
  assert.deepEqual(other.list(), [client]);
  assert.equal(other.get(randomFingerprint()), undefined);
  assert.equal(statSync(rig.directory).mode & 0o777, 0o700);
  assert.equal(statSync(rig.file(client)).mode & 0o777, 0o600);

  assert.deepEqual(other.revoke(client.id), client);
  assert.equal(rig.store.get(client.fingerprint), undefined);
  assert.deepEqual(readdirSync(rig.directory), []);
  assert.throws(() => rig.store.revoke(client.id), { code: 'ERR_RMTX_CLIENT_NOT_FOUND' });
});

test('the file is what the documentation says', () => {
  using rig = new Rig();
  const client = rig.add('laptop');
  assert.deepEqual(JSON.parse(readFileSync(rig.file(client), 'utf8')), {
    version: 1,
    id: client.id,
    fingerprint: client.fingerprint,
    label: 'laptop',
    role: 'exec',
    paired_at: client.pairedAt,
    paired_from: '10.0.0.7',
  });
});

test('a client that pairs again is one client, with its new label', () => {
  using rig = new Rig();
  const first = rig.add('laptop');
  const second = rig.add('notebook', first.fingerprint);
  assert.equal(second.id, first.id);
  assert.deepEqual(rig.store.list(), [second]);
});

test('a key with the same id as another client’s does not take its place', () => {
  using rig = new Rig();
  const client = rig.add('laptop');
  const twin = parseFingerprint(client.id + '0'.repeat(48));
  assert.equal(fingerprintId(twin), client.id);
  assert.throws(() => rig.add('twin', twin), { code: 'ERR_RMTX_PAIRING_FAILED' });
  assert.equal(rig.store.get(twin), undefined);
  assert.deepEqual(rig.store.get(client.fingerprint), client);
});

test('people name clients by id, fingerprint or label; an id goes before a label', () => {
  using rig = new Rig();
  const laptop = rig.add('laptop');
  const impostor = rig.add(laptop.id);
  assert.deepEqual(rig.store.find(laptop.id), laptop);
  assert.deepEqual(rig.store.find(impostor.fingerprint), impostor);
  assert.deepEqual(rig.store.find('laptop'), laptop);
  assert.equal(rig.store.find('desk'), undefined);
  const second = rig.add('laptop');
  assert.throws(
    () => rig.store.find('laptop'),
    (error: { code?: string; hint?: string }) =>
      error.code === 'ERR_RMTX_BAD_ARGUMENT' &&
      [laptop, second].every(({ id }) => error.hint?.includes(id)),
  );
});

test('renaming keeps the rest', () => {
  using rig = new Rig();
  const client = rig.add('laptop');
  assert.deepEqual(rig.store.rename(client.id, 'a\nb'), { ...client, label: 'a\\x0ab' });
  assert.deepEqual(rig.store.list(), [{ ...client, label: 'a\\x0ab' }]);
  assert.throws(() => rig.store.rename(fingerprintId(randomFingerprint()), 'x'), {
    code: 'ERR_RMTX_CLIENT_NOT_FOUND',
  });
});

test('a sighting is noted at most once a minute for an address, and never brings a client back', () => {
  using rig = new Rig();
  const client = rig.add('laptop');
  rig.store.touch(client.id, '10.0.0.7');
  const seen = rig.store.get(client.fingerprint)?.lastSeen;
  assert.ok(seen);
  const seenFile = path.join(rig.directory, `${client.id}.seen`);
  utimesSync(seenFile, 1, 1);
  rig.store.touch(client.id, '10.0.0.7');
  assert.equal(statSync(seenFile).mtimeMs, 1000, 'not written again');
  rig.store.touch(client.id, '10.0.0.8');
  assert.notEqual(statSync(seenFile).mtimeMs, 1000);

  rig.store.revoke(client.id);
  rig.store.touch(client.id, '10.0.0.7');
  assert.deepEqual(readdirSync(rig.directory), []);
  assert.equal(rig.store.get(client.fingerprint), undefined);
});

test('a corrupt file is set aside alone and said once; the others go on', () => {
  using rig = new Rig();
  const kept = rig.add('kept');
  const other = rig.add('other');
  const good = readFileSync(rig.file(kept), 'utf8');
  const record = JSON.parse(good) as Record<string, unknown>;
  const damages = [
    '',
    '{',
    'null',
    '[]',
    good.slice(0, 40),
    '\xff',
    JSON.stringify({ ...record, role: 'root' }),
    JSON.stringify({ ...record, label: 7 }),
    JSON.stringify({ ...record, paired_at: 'yesterday' }),
    JSON.stringify({ ...record, fingerprint: other.fingerprint }),
    JSON.stringify({ __proto__: record }),
    'x'.repeat(100_000),
  ];
  for (const damage of damages) {
    const broken = rig.add('broken');
    writeFileSync(rig.file(broken), damage, 'latin1');
    rig.lines.length = 0;
    const store = rig.openAgain();
    assert.equal(store.get(broken.fingerprint), undefined);
    assert.deepEqual(
      store
        .list()
        .map(({ id }) => id)
        .sort(),
      [kept.id, other.id].sort(),
    );
    assert.equal(rig.lines.length, 1, damage.slice(0, 50));
    assert.match(rig.lines[0] ?? '', new RegExp(`${broken.id}\\.json.* set aside as .*corrupt`));
    assert.equal(readFileSync(`${rig.file(broken)}.corrupt`, 'latin1'), damage);
    assert.ok(!existsSync(rig.file(broken)));
  }
});

test('a file that others can write, or a link, is not believed and left where it is', () => {
  using rig = new Rig();
  const client = rig.add('laptop');
  chmodSync(rig.file(client), 0o666);
  assert.equal(rig.store.get(client.fingerprint), undefined);
  assert.match(rig.lines[0] ?? '', /can be written by other users; it is not used/);
  chmodSync(rig.file(client), 0o600);
  assert.deepEqual(rig.store.get(client.fingerprint), client);

  const elsewhere = path.join(rig.directory, 'elsewhere');
  renameSync(rig.file(client), elsewhere);
  symlinkSync(elsewhere, rig.file(client));
  assert.deepEqual(rig.store.list(), []);
  assert.ok(existsSync(rig.file(client)));
});

test('a client copied to another’s file name is nobody', () => {
  using rig = new Rig();
  const client = rig.add('laptop');
  const stranger = randomFingerprint();
  writeFileSync(
    path.join(rig.directory, `${fingerprintId(stranger)}.json`),
    readFileSync(rig.file(client)),
    { mode: 0o600 },
  );
  assert.equal(rig.store.get(stranger), undefined);
  assert.deepEqual(rig.store.list(), [client]);
});
