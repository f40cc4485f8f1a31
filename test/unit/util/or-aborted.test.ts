import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { createDeferred } from '../../../src/util/deferred.js';
import { orAborted } from '../../../src/util/or-aborted.js';

test('gives what comes first, and leaves no listener behind', async () => {
  const abort = new AbortController();
  assert.equal(await orAborted(Promise.resolve(1), abort.signal), 1);
  await assert.rejects(orAborted(Promise.reject(new Error('no')), abort.signal), /no/);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
  const later = createDeferred<number>();
  const given = orAborted(later.promise, abort.signal);
  abort.abort();
  assert.equal(await given, undefined);
  assert.equal(await orAborted(later.promise, abort.signal), undefined);
  // Nobody is left to hear of it.
  later.reject(new Error('too late'));
});
