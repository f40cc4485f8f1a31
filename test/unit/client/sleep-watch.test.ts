import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SleepWatch } from '../../../src/client/sleep-watch.js';

test('tells of a jump of the calendar, and of nothing else', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 1_000_000;
  let woke = 0;
  const watch = new SleepWatch(
    () => (woke += 1),
    () => nowMs,
  );
  const pass = (ms: number): void => {
    nowMs += ms;
    t.mock.timers.tick(1000);
  };
  for (const ms of [1000, 1000, 5000, 1000]) pass(ms);
  assert.equal(woke, 0);
  pass(3_600_000);
  assert.equal(woke, 1);
  pass(1000);
  // A clock that is set back.
  pass(-50_000);
  assert.equal(woke, 1);
  watch[Symbol.dispose]();
  pass(3_600_000);
  assert.equal(woke, 1);
});
