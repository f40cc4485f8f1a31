import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closest } from '../../../src/util/closest.js';

const words = ['ignore', 'ignore_gitignore', 'host', 'env', 'exec', 'mounts'];

for (const [word, expected] of [
  ['ignor', 'ignore'],
  ['Ignore', 'ignore'],
  ['hsot', 'host'],
  ['mount', 'mounts'],
  ['exce', 'exec'],
  ['env', 'env'],
  ['tls', undefined],
  ['', undefined],
  ['x'.repeat(1_000_000), undefined],
] as const)
  test(`${word.slice(0, 12)} is taken for ${expected ?? 'nothing'}`, () => {
    assert.equal(closest(word, words), expected);
  });
