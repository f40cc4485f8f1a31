import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backOffMs } from '../../../src/client/back-off.js';

test('the first attempt comes at once, later ones further and further apart, up to five seconds', () => {
  const middle = Array.from({ length: 10 }, (_, attempt) => backOffMs(attempt, () => 0.5));
  assert.deepEqual(middle, [0, 100, 200, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
});

test('clients do not all come in the same moment', () => {
  assert.equal(Math.round(backOffMs(4, () => 0)), 700);
  assert.equal(Math.round(backOffMs(4, () => 1)), 1300);
});
