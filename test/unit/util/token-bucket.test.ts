import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedBuckets, TokenBucket } from '../../../src/util/token-bucket.js';

function takeAll(take: () => boolean): number {
  let count = 0;
  while (take()) count += 1;
  return count;
}

test('gives the burst at once and then so many a second', () => {
  let nowMs = 0;
  const bucket = new TokenBucket({ burst: 5, perSecond: 10, now: () => nowMs });
  assert.equal(
    takeAll(() => bucket.take()),
    5,
  );
  nowMs += 250;
  assert.equal(
    takeAll(() => bucket.take()),
    2,
  );
  nowMs += 3_600_000;
  assert.equal(
    takeAll(() => bucket.take()),
    5,
  );
});

test('no key takes more than its own share, all together no more than there is', () => {
  const now = (): number => 0;
  const buckets = new KeyedBuckets({
    all: { burst: 10, perSecond: 1, now },
    each: { burst: 4, perSecond: 1, now },
    maxKeys: 100,
  });
  assert.equal(
    takeAll(() => buckets.take('a')),
    4,
  );
  assert.ok(buckets.hasToken);
  let taken = 0;
  for (let key = 0; key < 1000; key++) if (buckets.take(`key ${key}`)) taken += 1;
  assert.equal(taken, 6);
  assert.equal(buckets.hasToken, false);
});

test('the table of keys does not grow with the keys', () => {
  const buckets = new KeyedBuckets({
    all: { burst: Infinity, perSecond: 0 },
    each: { burst: 1, perSecond: 0 },
    maxKeys: 16,
  });
  for (let key = 0; key < 10_000; key++) buckets.take(`key ${key}`);
  assert.equal(buckets.keyCount, 16);
});
