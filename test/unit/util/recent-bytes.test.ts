import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RecentBytes } from '../../../src/util/recent-bytes.js';

test('holds the newest bytes of any pieces, at least as many as it may', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50_000 }), { maxLength: 20 }),
      fc.integer({ min: 1, max: 120_000 }),
      fc.integer({ min: 0, max: 2 ** 40 }),
      (pieces, maxBytes, first) => {
        const recent = new RecentBytes(maxBytes, first);
        for (const piece of pieces) recent.append(piece);
        const all = Buffer.concat(pieces);
        assert.equal(recent.end, first + all.length);
        assert.ok(recent.start >= first);
        assert.ok(recent.start <= first + Math.max(0, all.length - maxBytes));
        const { start, end } = recent;
        for (const offset of [start, Math.floor((start + end) / 2), end])
          assert.ok(recent.from(offset).equals(all.subarray(offset - first)));
      },
    ),
    { numRuns: 200 },
  );
});

test('takes little memory for little', () => {
  const recent = new RecentBytes(1024 * 1024);
  recent.append(Buffer.from('hello'));
  assert.equal(recent.from(1).toString(), 'ello');
  assert.equal(recent.start, 0);
});
