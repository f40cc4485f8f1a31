import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/util/deferred.js';
import { afterFreeTime } from '../../../src/util/free-timer.js';

function keepBusy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('fires once when the thread was free', async () => {
  const fired = createDeferred<undefined>();
  let times = 0;
  afterFreeTime(1, () => {
    times += 1;
    fired.resolve(undefined);
  });
  await fired.promise;
  assert.equal(times, 1);
});

test('begins again where the thread was busy: what came meanwhile is heard first', async () => {
  const order: string[] = [];
  const fired = createDeferred<undefined>();
  afterFreeTime(1, () => {
    order.push('timer');
    fired.resolve(undefined);
  });
  setImmediate(() => order.push('answer'));
  keepBusy(100);
  await fired.promise;
  assert.deepEqual(order, ['answer', 'timer']);
});

test('never fires once it is called off, also after it began again', async () => {
  let times = 0;
  const end = afterFreeTime(1, () => (times += 1));
  keepBusy(100);
  // Behind the late timer, which has begun another.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  end();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(times, 0);
});
