import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WantedBlobs } from '../../../src/protocol/wanted-blobs.js';
import { hashBytes } from '../../../src/store/digest.js';

const COUNT = 40_000;
const digestOf = (index: number): Buffer => {
  const digest = Buffer.alloc(32);
  digest.writeUInt32BE(index);
  return digest;
};

test('asks for many blobs a part at a time, each once and in order', () => {
  const wanted = new WantedBlobs();
  for (let index = 0; index < COUNT; index++) wanted.add(digestOf(index), index);
  const asked: number[] = [];
  let most = 0;
  while (wanted.outstanding > 0) {
    const part = [...wanted.ask()].map(({ digest, size }) => {
      assert.equal(digest.readUInt32BE(), size);
      return size;
    });
    assert.ok(part.length > 0);
    most = Math.max(most, part.length);
    for (const index of part) wanted.answered(digestOf(index));
    asked.push(...part);
  }
  assert.deepEqual(
    asked,
    Array.from({ length: COUNT }, (_, index) => index),
  );
  assert.ok(most < COUNT / 2);
  assert.equal(wanted.hasUnasked, false);
});

test('what was not asked for is not awaited, but is wanted', () => {
  const wanted = new WantedBlobs();
  const digest = hashBytes(Buffer.from('x'));
  wanted.add(digest, 0);
  assert.equal(wanted.awaitedSize(digest), undefined);
  assert.equal(wanted.isWanted(digest), true);
  wanted.answered(digest);
  assert.equal(wanted.outstanding, 1);
  assert.deepEqual([...wanted.ask()], [{ digest, size: 0 }]);
  assert.equal(wanted.awaitedSize(digest), 0);
  wanted.answered(digest);
  assert.equal(wanted.isWanted(digest), false);
  assert.equal(wanted.outstanding, 0);
});

test('a blob that is wanted again is asked for again', () => {
  const wanted = new WantedBlobs();
  const digest = hashBytes(Buffer.from('x'));
  wanted.add(digest, 1);
  assert.equal([...wanted.ask()].length, 1);
  wanted.answered(digest);
  wanted.add(digest, 1);
  assert.deepEqual([...wanted.ask()], [{ digest, size: 1 }]);
  assert.equal(wanted.outstanding, 1);
});
