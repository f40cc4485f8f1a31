import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  MAX_CHUNKED_BYTES,
  chunkCountFor,
  chunkDigest,
  chunkLength,
  chunkSizeFor,
  hashFile,
  createChunkList,
  listChunks,
} from '../../../src/store/chunk-list.js';
import { hashBytes } from '../../../src/store/digest.js';
import { runAtOnce } from '../../../src/util/slices.js';

const MIB = 1024 * 1024;
const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-chunks-'));
after(() => rmSync(directory, { recursive: true }));

function withFile<T>(bytes: Buffer, use: (fd: number) => T): T {
  const file = path.join(directory, 'file');
  writeFileSync(file, bytes);
  const fd = openSync(file, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

const sizes: [size: number, chunkSize: number, count: number][] = [
  [0, MIB, 0],
  [1, MIB, 1],
  [MIB, MIB, 1],
  [MIB + 1, MIB, 2],
  [2 ** 36, MIB, 65_536],
  [2 ** 36 + 1, 2 * MIB, 32_769],
  [2 ** 40, 16 * MIB, 65_536],
  [MAX_CHUNKED_BYTES, 16 * MIB, 2 ** 20],
];

for (const [size, chunkSize, count] of sizes) {
  test(`a blob of ${size} bytes has ${count} chunks of ${chunkSize}`, () => {
    assert.equal(chunkSizeFor(size), chunkSize);
    assert.equal(chunkCountFor(size), count);
  });
}

test('lists the digest of each chunk and of the whole', () => {
  const bytes = Buffer.alloc(2 * MIB + 5, 'list');
  withFile(bytes, (fd) => {
    const list = createChunkList(bytes.length);
    const listing = listChunks(fd, list);
    for (const count of [1, 2, 3]) {
      assert.deepEqual(listing.next(), { done: false, value: count });
      assert.ok(!chunkDigest(list, count - 1).equals(Buffer.alloc(32)));
    }
    assert.deepEqual(listing.next(), { done: true, value: hashBytes(bytes) });
    assert.equal(list.digests.length, 3 * 32);
    for (let index = 0; index < 3; index++) {
      const start = index * MIB;
      const chunk = bytes.subarray(start, start + chunkLength(list, index));
      assert.deepEqual(chunkDigest(list, index), hashBytes(chunk));
    }
    assert.equal(chunkLength(list, 2), 5);
  });
});

test('refuses a file that has become shorter or longer', () => {
  const bytes = Buffer.alloc(3 * MIB, 1);
  withFile(bytes, (fd) => {
    for (const size of [bytes.length - 1, bytes.length + 1, 2 * MIB, 4 * MIB]) {
      assert.equal(resultOf(listChunks(fd, createChunkList(size))), undefined);
      assert.equal(runAtOnce(hashFile(fd, size)), undefined);
    }
    assert.deepEqual(runAtOnce(hashFile(fd, bytes.length)), hashBytes(bytes));
  });
  withFile(Buffer.alloc(0), (fd) => {
    assert.deepEqual(runAtOnce(hashFile(fd, 0)), hashBytes(Buffer.alloc(0)));
    assert.equal(runAtOnce(hashFile(fd, 1)), undefined);
  });
});

function resultOf<T>(steps: Generator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
