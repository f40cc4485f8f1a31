import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { contextKey, projectKey } from '../../../src/config/context-key.js';
import { anyText } from '../../support/any-text.js';

describe('context keys', () => {
  test('are 32 hex digits and stay what they are', () => {
    // Both sides keep state under this name: another value would orphan it.
    assert.equal(contextKey('/home/me/p', 'p'), '3906a0ed7a3c891489163690be148133');
    assert.match(projectKey('/home/me/p'), /^[0-9a-f]{32}$/);
  });

  test('differ whenever root or name differ, also where their texts join to the same', () => {
    const parts = fc.tuple(anyText(6), anyText(6));
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const isSame = one[0] === other[0] && one[1] === other[1];
        assert.equal(contextKey(...one) === contextKey(...other), isSame);
      }),
    );
    assert.notEqual(contextKey('/a', 'b","c'), contextKey('/a","b', 'c'));
    assert.notEqual(contextKey('/a', '\uDC80'), contextKey('/a', '\uDC81'));
    assert.notEqual(contextKey('/a', ''), projectKey('/a'));
  });
});
