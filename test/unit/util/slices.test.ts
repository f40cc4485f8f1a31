import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runAtOnce, runInSlices } from '../../../src/util/slices.js';

/** Work that takes about as long as said, in steps of a millisecond. */
function* work(milliseconds: number, ended?: () => void): Generator<undefined, string> {
  try {
    for (let step = 0; step < milliseconds; step++) {
      const end = performance.now() + 1;
      while (performance.now() < end);
      yield;
    }
    return 'done';
  } finally {
    ended?.();
  }
}

test('returns the result, and lets other work run between slices', async () => {
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    immediate = setImmediate(turn);
  };
  let immediate = setImmediate(turn);
  let slices = 0;
  assert.equal(await runInSlices(work(40), { onSlice: () => (slices += 1) }), 'done');
  clearImmediate(immediate);
  assert.ok(slices >= 2, `${slices} slices`);
  assert.ok(turns >= slices);
});

test('ends at the next slice when aborted, after the clean-up', async () => {
  let hasEnded = false;
  const abort = new AbortController();
  const reason = new Error('enough');
  const running = runInSlices(
    work(1000, () => (hasEnded = true)),
    { abortSignal: abort.signal },
  );
  abort.abort(reason);
  await assert.rejects(running, reason);
  assert.equal(hasEnded, true);
});

test('does not begin when aborted before', async () => {
  const reason = new Error('enough');
  let isBegun = false;

  function* steps(): Generator<undefined, number> {
    isBegun = true;
    return 1;
  }
  await assert.rejects(runInSlices(steps(), { abortSignal: AbortSignal.abort(reason) }), reason);
  assert.equal(isBegun, false);
});

test('passes on what the work throws', async () => {
  function* broken(): Generator<undefined, number> {
    yield;
    throw new Error('broken');
  }
  await assert.rejects(runInSlices(broken()), /broken/);
  assert.throws(() => runAtOnce(broken()), /broken/);
});

test('runs at once', () => {
  assert.equal(runAtOnce(work(2)), 'done');
});
