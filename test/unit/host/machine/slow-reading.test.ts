import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlowReading } from '../../../../src/host/machine/slow-reading.js';
import { createDeferred } from '../../../../src/util/deferred.js';
import type { Deferred } from '../../../../src/util/deferred.js';

/** A reading whose ends the test holds. */
function held(options: { readonly keepMs: number; readonly waitMs: number }) {
  const reads: Deferred<number>[] = [];
  const reading = new SlowReading({
    ...options,
    read: () => {
      const next = createDeferred<number>();
      reads.push(next);
      return next.promise;
    },
  });
  return { reading, reads };
}

test('whoever asks waits no longer than the limit, and has what was read last', async () => {
  const { reading, reads } = held({ keepMs: 0, waitMs: 1 });
  assert.equal(await reading.latest(), undefined);
  assert.equal(await reading.latest(), undefined);
  assert.equal(reads.length, 1, 'one at a time');
  reads[0]?.resolve(7);
  assert.equal(await reading.latest(), 7);
  assert.equal(await reading.latest(), 7, 'the second reading is going on');
  assert.equal(reads.length, 2);
});

test('a value counts for a while, for all who ask; one that cannot be read, too', async () => {
  const { reading, reads } = held({ keepMs: 3_600_000, waitMs: 60_000 });
  const asked = Array.from({ length: 100 }, () => reading.latest());
  reads[0]?.resolve(1);
  assert.deepEqual(new Set(await Promise.all(asked)), new Set([1]));
  await reading.latest();
  assert.equal(reads.length, 1);

  const failing = held({ keepMs: 3_600_000, waitMs: 60_000 });
  const first = failing.reading.latest();
  failing.reads[0]?.reject(new Error('no such program'));
  assert.equal(await first, undefined);
  assert.equal(await failing.reading.latest(), undefined);
  assert.equal(failing.reads.length, 1);
});
