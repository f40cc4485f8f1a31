import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import { AheadFiles, wantedAhead } from '../../../src/host/ahead-files.js';
import { AheadFileSender } from '../../../src/protocol/ahead-file-sender.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import type { Digest } from '../../../src/store/digest.js';
import { EntryTable } from '../../../src/sync/entry-table.js';
import type { Entry } from '../../../src/sync/entry.js';
import { recordOf as record } from '../../support/lying-client.js';
import { file } from '../../support/lying-entries.js';
import { tableOf } from '../../support/entries.js';

const MIB = 1024 * 1024;

interface Place extends Disposable {
  readonly store: BlobStore;
  partials(): string[];
  /** What a sender says of a file of these bytes, `size` of which it was asked for. */
  sent(index: number, bytes: Buffer, size?: number): Promise<Sent>;
}

interface Sent {
  readonly data: Buffer;
  readonly digest: Digest | undefined;
}

function place(): Place {
  const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-ahead-'));
  const store = new BlobStore(path.join(root, 'store'));
  return {
    store,
    partials: () => store.partials.names(),
    sent: async (index, bytes, size = bytes.length) => {
      const file = path.join(root, 'file');
      writeFileSync(file, bytes);
      const pieces: Buffer[] = [];
      const sender = new AheadFileSender((piece) => {
        pieces.push(Buffer.from(piece));
        return Promise.resolve();
      });
      const fd = openSync(file, 'r');
      const digest = await sender.send(index, { fd, size });
      closeSync(fd);
      return { data: Buffer.concat(pieces), digest };
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

const digestOf = (bytes: Buffer): Digest => toDigest(hashBytes(bytes));

test('what came is there under the digest of its bytes, and what nobody names is removed', async () => {
  using at = place();
  const [one, other] = [randomBytes(5 * MIB + 3), randomBytes(4 * MIB)];
  const sizes = [one.length, other.length];
  const files = new AheadFiles(at.store, new Map(sizes.entries()));
  for (const [index, bytes] of [one, other].entries()) {
    const { data, digest } = await at.sent(index, bytes);
    assert.equal(digest, digestOf(bytes));
    // Cut anywhere.
    for (let start = 0; start < data.length; start += 100_003)
      files.push(data.subarray(start, start + 100_003));
  }
  const file = files.take(digestOf(one));
  assert.ok(file !== undefined && readFileSync(file).equals(one));
  assert.equal(files.take(digestOf(one)), undefined);
  files.discard();
  assert.deepEqual(
    at.partials().map((name) => path.join(at.store.partials.directory, name)),
    [file],
  );
});

test('a file that became shorter is nothing that anybody asks for', async () => {
  using at = place();
  const bytes = randomBytes(4 * MIB);
  const { data, digest } = await at.sent(0, bytes, 5 * MIB);
  assert.equal(digest, undefined);
  const sizes = new Map([5 * MIB, MIB].entries());
  const files = new AheadFiles(at.store, sizes);
  files.push(data);
  // The next one comes all the same.
  const next = randomBytes(MIB);
  files.push((await at.sent(1, next)).data);
  assert.notEqual(files.take(digestOf(next)), undefined);
  files.discard();
  assert.equal(at.partials().length, 1);
});

test('a transfer that is cut leaves what it had to whoever wants a file of that size', async () => {
  using at = place();
  const bytes = randomBytes(6 * MIB);
  const { data } = await at.sent(0, bytes);
  {
    using files = new AheadFiles(at.store, new Map([[0, bytes.length]]));
    files.push(data.subarray(0, 3 * MIB));
  }
  assert.deepEqual(at.partials(), [`size-${bytes.length}`]);
  const { partials } = at.store;
  assert.equal(partials.open(digestOf(bytes), bytes.length - 1), undefined);
  assert.equal(partials.open(digestOf(bytes)), undefined);
  const claimed = partials.claim(digestOf(bytes), bytes.length);
  closeSync(claimed.fd);
  const left = readFileSync(claimed.path);
  assert.ok(left.length > 2 * MIB && bytes.subarray(0, left.length).equals(left));
  partials.release(digestOf(bytes), claimed.path);
  assert.deepEqual(at.partials(), [digestOf(bytes).slice(-64)]);
});

test('a cut after the last byte leaves the whole file under its digest', async () => {
  using at = place();
  const bytes = randomBytes(4 * MIB);
  {
    using files = new AheadFiles(at.store, new Map([[0, bytes.length]]));
    files.push((await at.sent(0, bytes)).data);
  }
  assert.deepEqual(at.partials(), [digestOf(bytes).slice(-64)]);
});

test('what was not asked for is refused', async () => {
  using at = place();
  const bytes = randomBytes(4 * MIB);
  const { data } = await at.sent(3, bytes);
  const start = record({ type: 'ahead', index: 3 });
  const piece = record({ type: 'stream-data', length: MIB }, randomBytes(MIB));
  const end = record({ type: 'stream-end' });
  const lies: Record<string, readonly Buffer[]> = {
    'another one': [record({ type: 'ahead', index: 2 })],
    'one twice': [data, data],
    'more than was offered': [start, piece, piece, piece, piece, piece],
    'one within another': [start, start],
    'a piece of nothing': [piece],
    'an end of nothing': [end],
    'a blob': [record({ type: 'blob', digest: hashBytes(bytes), size: 1 }, Buffer.alloc(1))],
    'an end of a round': [record({ type: 'round-end' })],
  };
  for (const [name, records] of Object.entries(lies)) {
    using files = new AheadFiles(at.store, new Map([[3, bytes.length]]));
    assert.throws(
      () => files.push(Buffer.concat(records)),
      (error) => isRmtxError(error) && error.code === 'ERR_RMTX_BAD_MESSAGE',
      name,
    );
  }
});

test('only what cannot be here already is wanted ahead', () => {
  using at = place();
  const wanted = (sizes: readonly number[], table = EntryTable.empty): number[] => [
    ...wantedAhead(sizes, { store: at.store, table }).keys(),
  ];
  const [a, b, c] = [4 * MIB, 5 * MIB, 6 * MIB];
  assert.deepEqual(wanted([a, b, c]), [0, 1, 2]);
  // Perhaps the same content twice.
  assert.deepEqual(wanted([a, b, a]), [0, 1]);
  // Perhaps renamed, or back again.
  const table = tableOf([{ ...file('x', 'x'), size: b } as Entry]);
  assert.deepEqual(wanted([a, b, c], table), [0, 2]);
  const stored = randomBytes(c);
  at.store.putBytes(digestOf(stored), stored);
  assert.deepEqual(wanted([a, b, c], table), [0]);
  // More than fits.
  assert.deepEqual(wanted([2 ** 52, a]), [1]);
  // Perhaps in part.
  const unfinished = at.store.partials.claim(digestOf(stored));
  closeSync(unfinished.fd);
  assert.deepEqual(wanted([a, b]), []);
  assert.equal(readdirSync(at.store.partials.directory).length, 1);
});
