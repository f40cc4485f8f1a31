import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import type { Digest } from '../../../src/store/digest.js';
import { digestOf, leftovers, pathOf, place, read } from '../../support/blob-places.js';

const HOUR_MS = 3600 * 1000;

test('keeps what was put, privately, and leaves nothing beside it', () => {
  using at = place();
  const digest = digestOf('hello');
  assert.equal(at.store.has(digest), false);
  assert.equal(read(at.store, digest), undefined);
  at.store.putBytes(digest, Buffer.from('hello'));
  at.store.putBytes(digest, Buffer.from('hello'));
  assert.equal(at.store.has(digest), true);
  assert.equal(at.store.has(digest, 5), true);
  assert.equal(at.store.has(digest, 6), false);
  assert.equal(read(at.store, digest), 'hello');
  assert.deepEqual(leftovers(at.directory), []);
  const file = pathOf(at.directory, digest);
  assert.equal(lstatSync(file).mode & 0o777, 0o600);
  assert.equal(lstatSync(path.dirname(file)).mode & 0o777, 0o700);
  assert.equal(lstatSync(at.directory).mode & 0o777, 0o700);
});

test('refuses bytes that are not the digest’s', () => {
  using at = place();
  const digest = digestOf('hello');
  assert.throws(
    () => at.store.putBytes(digest, Buffer.from('hellO')),
    (error) => isRmtxError(error) && error.code === 'ERR_RMTX_DIGEST_MISMATCH',
  );
  assert.equal(at.store.has(digest), false);
  assert.deepEqual(leftovers(at.directory), []);
});

test('keeps the empty blob', () => {
  using at = place();
  at.store.putBytes(digestOf(''), Buffer.alloc(0));
  assert.equal(read(at.store, digestOf('')), '');
});

test('stores what an open file holds, small and large', () => {
  using at = place();
  for (const length of [0, 5, 1024 * 1024, 1024 * 1024 + 1, 5_000_000]) {
    const bytes = Buffer.alloc(length, 'abc');
    const fd = openSync(at.file('source', bytes), 'r');
    const stored = at.store.putFromFd(fd, length);
    assert.deepEqual(at.store.putFromFd(fd, length), stored);
    closeSync(fd);
    assert.deepEqual(stored, { digest: digestOf(bytes), size: length });
    assert.equal(read(at.store, stored.digest), bytes.toString('utf8'));
  }
  assert.deepEqual(leftovers(at.directory), []);
});

test('stores a file whose size is not what was expected as it is', () => {
  using at = place();
  const fd = openSync(at.file('source', 'longer than that'), 'r');
  assert.deepEqual(at.store.putFromFd(fd, 3), { digest: digestOf('longer than that'), size: 16 });
  closeSync(fd);
});

test('moves a file in, whatever its mode and age', () => {
  using at = place();
  const file = at.file('old', 'content');
  utimesSync(file, 1, 1);
  chmodSync(file, 0o444);
  assert.equal(at.store.adopt(digestOf('content'), file), true);
  assert.equal(existsSync(file), false);
  assert.equal(read(at.store, digestOf('content')), 'content');
  const stats = lstatSync(pathOf(at.directory, digestOf('content')));
  assert.equal(stats.mode & 0o777, 0o600);
  assert.ok(Date.now() - stats.mtimeMs < HOUR_MS, 'it would be collected at once');
  const again = at.file('again', 'content');
  assert.equal(at.store.adopt(digestOf('content'), again), true);
  assert.equal(existsSync(again), false);
});

test('moves in only regular files', () => {
  using at = place();
  const link = path.join(at.root, 'link');
  symlinkSync(at.file('target', 'content'), link);
  assert.equal(at.store.adopt(digestOf('content'), link), false);
  assert.equal(at.store.adopt(digestOf('content'), at.root), false);
  assert.equal(at.store.adopt(digestOf('content'), path.join(at.root, 'missing')), false);
  assert.equal(lstatSync(link).isSymbolicLink(), true);
  assert.equal(at.store.has(digestOf('content')), false);
});

test('copies a file that has other names, so that they cannot change the blob', () => {
  using at = place();
  const file = at.file('one', 'content');
  linkSync(file, path.join(at.root, 'two'));
  assert.equal(at.store.adopt(digestOf('content'), file), true);
  assert.equal(existsSync(file), false);
  writeFileSync(path.join(at.root, 'two'), 'CONTENT');
  assert.equal(read(at.store, digestOf('content')), 'content');
});

test('finds out at first use that a file moved in is not what it was said to be', () => {
  using at = place();
  assert.equal(at.store.adopt(digestOf('right'), at.file('wrong', 'wrong')), true);
  assert.equal(read(at.store, digestOf('right')), undefined);
  assert.equal(at.store.has(digestOf('right')), false);
  assert.equal(leftovers(at.directory).length, 1);
  at.store.putBytes(digestOf('right'), Buffer.from('right'));
  assert.equal(read(at.store, digestOf('right')), 'right');
});

const damages: [title: string, damage: (file: string) => void][] = [
  ['a truncated blob', (file) => truncateSync(file, 3)],
  ['an emptied blob', (file) => truncateSync(file, 0)],
  ['a blob changed in one byte', (file) => writeFileSync(file, 'hellO world')],
  ['a blob that grew', (file) => writeFileSync(file, 'hello world!')],
];

for (const [title, damage] of damages) {
  test(`puts ${title} aside, in a new process and in one that knew it`, () => {
    using at = place();
    const digest = digestOf('hello world');
    const file = pathOf(at.directory, digest);
    for (const isKnown of [true, false]) {
      at.store.putBytes(digest, Buffer.from('hello world'));
      assert.equal(read(at.store, digest), 'hello world');
      damage(file);
      const store = isKnown ? at.store : new BlobStore(at.directory);
      assert.equal(read(store, digest), undefined);
      assert.equal(existsSync(file), false);
    }
    assert.equal(
      leftovers(at.directory).filter((name) => name.startsWith('quarantine/')).length,
      2,
    );
  });

  test(`puts a good blob over ${title}`, () => {
    using at = place();
    const digest = digestOf('hello world');
    at.store.putBytes(digest, Buffer.from('hello world'));
    damage(pathOf(at.directory, digest));
    new BlobStore(at.directory).putBytes(digest, Buffer.from('hello world'));
    assert.equal(read(at.store, digest), 'hello world');
    damage(pathOf(at.directory, digest));
    const fd = openSync(at.file('source', 'hello world'), 'r');
    at.store.putFromFd(fd, 11);
    closeSync(fd);
    assert.equal(read(at.store, digest), 'hello world');
  });
}

test('takes no link or directory under a blob’s name for the blob', () => {
  using at = place();
  const digest = digestOf('hello');
  const file = pathOf(at.directory, digest);
  mkdirSync(path.dirname(file), { recursive: true });
  symlinkSync(at.file('elsewhere', 'hello'), file);
  assert.equal(at.store.has(digest), false);
  assert.equal(read(at.store, digest), undefined);
  at.store.putBytes(digest, Buffer.from('hello'));
  assert.equal(lstatSync(file).isFile(), true);
  assert.equal(readFileSync(path.join(at.root, 'elsewhere'), 'utf8'), 'hello');
});

test('lets a reader verify by itself and say so', () => {
  using at = place();
  const digest = digestOf('hello');
  at.store.putBytes(digest, Buffer.from('hello'));
  writeFileSync(pathOf(at.directory, digest), 'HELLO');
  const fd = at.store.openUnverified(digest);
  assert.ok(fd !== undefined);
  assert.equal(readFileSync(fd, 'utf8'), 'HELLO');
  closeSync(fd);
  at.store.quarantineDamaged(digest);
  assert.equal(at.store.has(digest), false);
  at.store.putBytes(digest, Buffer.from('hello'));
  at.store.quarantineDamaged(digest);
  assert.equal(read(at.store, digest), 'hello');
});

test('closes a directory that others could enter, and refuses a file in its place', () => {
  using at = place();
  chmodSync(at.directory, 0o755);
  new BlobStore(at.directory);
  assert.equal(lstatSync(at.directory).mode & 0o777, 0o700);
  assert.throws(() => new BlobStore(at.file('file', '')));
});

test('lists and removes blobs', () => {
  using at = place();
  const contents = ['a', 'bb', 'ccc'];
  for (const content of contents) at.store.putBytes(digestOf(content), Buffer.from(content));
  writeFileSync(path.join(at.directory, 'blobs', 'stray'), '');
  const listed = [...at.store.list()];
  assert.deepEqual(
    listed.map(({ digest, size }) => `${digest} ${size}`).sort(),
    contents.map((content) => `${digestOf(content)} ${content.length}`).sort(),
  );
  at.store.remove(digestOf('bb'));
  at.store.remove(digestOf('bb'));
  assert.deepEqual([...at.store.list()].map(({ size }) => size).sort(), [1, 3]);
  assert.equal(read(at.store, digestOf('bb')), undefined);
});

test('collects what is old and not referred to, and what crashes left', async () => {
  using at = place();
  for (const content of ['kept', 'young', 'old', 'put again'])
    at.store.putBytes(digestOf(content), Buffer.from(content));
  for (const content of ['kept', 'old', 'put again'])
    utimesSync(pathOf(at.directory, digestOf(content)), 1, 1);
  at.store.putBytes(digestOf('put again'), Buffer.from('put again'));
  const unfinished = at.store.partials.claim(digestOf('large'));
  writeFileSync(unfinished.fd, 'lar');
  closeSync(unfinished.fd);
  utimesSync(unfinished.path, 1, 1);
  at.store.partials.release(digestOf('large'), unfinished.path);
  for (const name of ['dead', 'alive']) writeFileSync(path.join(at.directory, 'tmp', name), 'tm');
  utimesSync(path.join(at.directory, 'tmp', 'dead'), 1, 1);

  const isReferenced = (digest: Digest): boolean => digest === digestOf('kept');
  const first = await at.store.collect({ isReferenced, olderThanMs: HOUR_MS });
  assert.deepEqual(first, { removed: 1, bytes: 'old'.length + 'lar'.length + 'tm'.length });
  assert.deepEqual(
    ['kept', 'young', 'old', 'put again'].map((content) => at.store.has(digestOf(content))),
    [true, true, false, true],
  );
  assert.deepEqual(leftovers(at.directory), ['tmp/alive']);
});

test('an unfinished blob is resumed by one, also when its writer was killed', () => {
  using at = place();
  const { partials } = at.store;
  const digest = digestOf('large');
  assert.equal(partials.open(digest), undefined);
  const one = partials.claim(digest);
  writeFileSync(one.fd, 'half');
  closeSync(one.fd);
  const meanwhile = partials.claim(digest);
  closeSync(meanwhile.fd);
  assert.notEqual(meanwhile.path, one.path);
  assert.equal(lstatSync(meanwhile.path).size, 0);
  rmSync(meanwhile.path);

  partials.release(digest, one.path);
  const peek = partials.open(digest);
  assert.ok(peek !== undefined);
  closeSync(peek);
  const next = partials.claim(digest);
  closeSync(next.fd);
  assert.equal(readFileSync(next.path, 'utf8'), 'half');

  // A process that no longer exists: the highest pid there can be is never given out.
  const killed = `${next.path.slice(0, next.path.lastIndexOf('store'))}store/partial/${digest.slice(7)}.4194305.abc`;
  writeFileSync(killed, readFileSync(next.path));
  rmSync(next.path);
  const resumed = partials.claim(digest);
  closeSync(resumed.fd);
  assert.equal(readFileSync(resumed.path, 'utf8'), 'half');
  assert.equal(existsSync(killed), false);
});
