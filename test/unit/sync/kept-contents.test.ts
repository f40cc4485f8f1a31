import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import type { Digest } from '../../../src/store/digest.js';
import { KeptContents } from '../../../src/sync/kept-contents.js';

const KIB = 1024;
const digestOf = (bytes: Buffer): Digest => toDigest(hashBytes(bytes));

test('small contents are kept as they were, also when their memory is used again', () => {
  const kept = new KeptContents();
  const shared = Buffer.alloc(40 * KIB);
  const digests: Digest[] = [];
  for (let index = 0; index < 100; index++) {
    const bytes = shared.subarray(0, index === 0 ? 0 : shared.length - index).fill(index);
    digests.push(digestOf(bytes));
    kept.keep(digests[index] as Digest, bytes);
  }
  for (const digest of digests) {
    const found = kept.find(digest);
    assert.ok(found);
    assert.equal(digestOf(found), digest);
  }
});

test('neither large contents nor more than the memory allows are kept', () => {
  const kept = new KeptContents();
  const large = Buffer.alloc(64 * KIB + 1);
  kept.keep(digestOf(large), large);
  assert.equal(kept.find(digestOf(large)), undefined);
  let total = 0;
  for (let index = 0; index < 1200; index++) {
    const bytes = Buffer.alloc(64 * KIB);
    bytes.writeUInt32BE(index);
    const digest = digestOf(bytes);
    kept.keep(digest, bytes);
    total += kept.find(digest)?.length ?? 0;
  }
  assert.ok(total > 60 * KIB * KIB && total <= 64 * KIB * KIB, String(total));
});

test('a project with very many files has nothing kept', () => {
  const kept = new KeptContents();
  const digestAt = (index: number): Digest => {
    const raw = Buffer.alloc(32);
    raw.writeUInt32BE(index);
    return toDigest(raw);
  };
  const bytes = Buffer.from('x');
  for (let index = 0; index < 49_999; index++) kept.keep(digestAt(index), bytes);
  assert.deepEqual(kept.find(digestAt(0)), bytes);
  for (let index = 49_999; index < 50_010; index++) kept.keep(digestAt(index), bytes);
  for (const index of [0, 49_998, 49_999, 50_009])
    assert.equal(kept.find(digestAt(index)), undefined);
});
