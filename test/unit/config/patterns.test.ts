import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { canBeMounted, normalizePattern, patternComplaint } from '../../../src/config/patterns.js';

describe('normal form of patterns', () => {
  for (const [written, expected] of [
    ['dist', 'dist'],
    ['./dist/', 'dist/'],
    ['a//b', 'a/b'],
    ['a/./b/.', 'a/b/'],
    ['.', '**'],
    ['./', '**'],
    ['a.', 'a.'],
    ['..a/b', '..a/b'],
    ['.git/**', '.git/**'],
    [':gitignored', ':gitignored'],
  ] as const)
    test(`${written} is ${expected}`, () => {
      assert.equal(normalizePattern(written), expected);
    });

  test('is a fixed point and stays acceptable', () => {
    const part = fc.constantFrom('a', '.', '**', '*.c', '', 'b c', '...');
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
        const written = parts.join('/');
        fc.pre(patternComplaint(written) === undefined);
        const normal = normalizePattern(written);
        assert.equal(normalizePattern(normal), normal);
        assert.equal(patternComplaint(normal), undefined);
      }),
    );
  });
});

describe('what mounts can cover', () => {
  for (const [pattern, mounts, expected] of [
    ['anything/at/all', ['.'], true],
    ['src/gen', ['src'], true],
    ['src', ['src/gen'], true],
    ['src/', ['src'], true],
    ['source', ['src'], false],
    ['src/gen', ['src/other'], false],
    ['docs', ['src', 'docs'], true],
    ['*/gen', ['src/gen'], true],
    ['*/gen', ['src/other'], false],
    ['**/x', ['src'], true],
    ['{src,lib}/x', ['src'], true],
    ['d*', ['src'], true],
  ] as const)
    test(`${pattern} with ${mounts.join(' and ')}: ${expected ? 'yes' : 'no'}`, () => {
      assert.equal(canBeMounted(pattern, mounts), expected);
    });
});
