import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileName } from '../../../src/sync/name-pattern.js';
import { PatternList, namesEverything } from '../../../src/sync/patterns.js';

function list(...patterns: string[]): PatternList {
  return new PatternList(patterns, { slashMeans: 'directory' });
}

describe('a pattern names', () => {
  const cases: [pattern: string, named: string[], notNamed: string[]][] = [
    ['build', ['build'], ['src/build', 'builds', 'build/x']],
    ['src/lib', ['src/lib'], ['lib', 'a/src/lib']],
    ['dir/**', ['dir'], ['dirs', 'a/dir']],
    ['./dir//sub/', ['dir/sub'], ['dir']],
    ['*.log', ['a.log', '.log'], ['a/b.log', 'a.logs']],
    ['**/*.log', ['a.log', 'a/b/c.log'], ['a.log/b']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['b', 'a', 'x/a/b']],
    ['**/a/**/b', ['a/b', 'x/a/b', 'x/a/y/b', 'a/a/b/b'], ['x/b']],
    ['?at', ['cat', '.at'], ['at', 'chat', '/at']],
    ['[bc]at', ['bat', 'cat'], ['rat']],
    ['[!bc]at', ['rat'], ['bat']],
    ['[^bc]at', ['rat'], ['bat']],
    ['[!]important', ['!important'], ['important']],
    ['[a-c]?*', ['ab', 'bxyz'], ['a', 'dx']],
    ['a\\*b', ['a*b'], ['axb']],
    ['{a,b}', ['{a,b}'], ['a', 'b']],
    ['@(a|b)', ['@(a|b)'], ['a', '@a']],
    ['app/(auth)/*', ['app/(auth)/x'], ['app/auth/x']],
    ['app/[slug]', ['app/[slug]', 'app/s'], ['app/slug']],
    ['a**b', ['ab', 'axxb'], ['a/b']],
    ['*a*b*c*', ['abc', 'xaxbxcx'], ['acb']],
    ['line\n*', ['line\nbreak'], ['line']],
    ['?\n', ['\n\n'], ['\n']],
    ['**', ['a', 'a/b'], []],
    ['.', ['a', 'a/b'], []],
    ['/', ['a', 'a/b'], []],
    ['', [], ['a']],
    ['../a', [], ['a', '../a']],
  ];
  for (const [pattern, named, notNamed] of cases) {
    test(JSON.stringify(pattern), () => {
      for (const path of named)
        assert.equal(list(pattern).find(path, true), pattern, `should name ${path}`);
      for (const path of notNamed)
        assert.equal(list(pattern).find(path, true), undefined, `should not name ${path}`);
    });
  }
});

test('a closing slash means a directory, or anything where both sides must agree', () => {
  assert.equal(list('dir/').find('dir', true), 'dir/');
  assert.equal(list('dir/').find('dir', false), undefined);
  assert.equal(list('dir/', 'dir').find('dir', false), 'dir');
  assert.equal(list('dir', 'dir/').find('dir', false), 'dir');
  assert.equal(list('dir/**').find('dir', false), 'dir/**');
  const anything = new PatternList(['dir/'], { slashMeans: 'anything' });
  assert.equal(anything.find('dir', false), 'dir/');
});

test('covers what lies below a named directory', () => {
  assert.equal(list('out/').covers('out/a/b'), true);
  assert.equal(list('out/gen-*').covers('out/gen-1/a/b'), true);
  assert.equal(list('**/coverage').covers('pkg/a/coverage/lcov'), true);
  assert.equal(list('out/').covers('outer/a'), false);
  assert.equal(list().covers('a'), false);
});

test('coversAny says of many names at once what covers says of one', () => {
  const name = fc.constantFrom('a', 'b', 'c.d', 'coverage');
  const pattern = fc
    .array(fc.oneof(name, fc.constantFrom('**', '*', '*.d', 'c*')), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('/'));
  fc.assert(
    fc.property(
      fc.array(pattern),
      fc.array(name),
      fc.uniqueArray(name),
      (patterns, above, names) => {
        const directory = above.join('/');
        const one = list(...patterns);
        const expected = names.some((last) => one.covers([...above, last].join('/')));
        // Of a directory that is covered itself, all is.
        const isWhole = one.covers(directory);
        assert.equal(one.coversAny(directory, names), expected || isWhole);
      },
    ),
    { numRuns: 500 },
  );
});

test('** does not stand for a directory that is not open, while a name does', () => {
  const isOpen = (directory: string): boolean => directory !== 'node_modules';
  assert.equal(list('**/*.json').covers('node_modules/x/package.json', isOpen), false);
  assert.equal(list('**/*.json').covers('src/package.json', isOpen), true);
  assert.equal(list('node_modules/**/*.json').covers('node_modules/x/package.json', isOpen), true);
  assert.equal(list('**/node_modules').covers('node_modules/x', isOpen), true);
});

test('canReach is false only where nothing below can be named', () => {
  assert.equal(list('target/release/app').canReach('target'), true);
  assert.equal(list('target/release/app').canReach('target/debug'), false);
  assert.equal(list('target/*/app').canReach('target/debug'), true);
  assert.equal(list('target').canReach('target/debug'), true);
  assert.equal(list('a/**/b').canReach('a/x/y'), true);
  assert.equal(list('a/**/b').canReach('b'), false);
  assert.equal(list('a/*.c').canReach('b'), false);
  assert.equal(list('a').canReach(''), true);
  assert.equal(list().canReach(''), false);
});

test('knows the ways to write the whole project', () => {
  for (const pattern of ['.', '/', './', '**', '**/', '**/**', './**']) {
    assert.equal(namesEverything(pattern), true, pattern);
  }
  for (const pattern of ['*', 'a', 'a/**', '', '..']) assert.equal(namesEverything(pattern), false);
});

test('a hostile pattern takes no longer than its length times the name', () => {
  const name = 'a'.repeat(255);
  const stars = `${'*a'.repeat(60)}*b`;
  const deep = Array<string>(500).fill('a').join('/');
  const depths = `${'**/a/'.repeat(60)}b`;
  const started = performance.now();
  assert.equal(list(stars).find(name, false), undefined);
  assert.equal(list(`${'?*'.repeat(100)}b`).find(name, false), undefined);
  assert.equal(list(depths).find(deep, false), undefined);
  assert.ok(performance.now() - started < 2000);
});

test('agrees with a plain matcher on names', () => {
  const letters = fc.constantFrom('a', 'b', '-', '.', 'é');
  const tokens = fc.constantFrom('a', 'b', '*', '?', '[ab]', '[!a]', '\\*', '.', '**');
  fc.assert(
    fc.property(
      fc.array(tokens, { maxLength: 6 }),
      fc.array(letters, { maxLength: 6 }),
      (glob, name) => {
        const text = name.join('');
        const expected = matchesPlainly(glob, text) || glob.join('') === text;
        assert.equal(compileName(glob.join('')).matches(text), expected);
      },
    ),
    { numRuns: 500 },
  );
});

/** By trying everything. */
function matchesPlainly(glob: readonly string[], name: string): boolean {
  const [token, ...rest] = glob;
  if (token === undefined) return name === '';
  if (token === '*' || token === '**')
    return matchesPlainly(rest, name) || (name !== '' && matchesPlainly(glob, name.slice(1)));
  const character = name.charAt(0);
  if (character === '') return false;
  const isMatch =
    token === '?' ||
    (token === '[ab]' && 'ab'.includes(character)) ||
    (token === '[!a]' && character !== 'a') ||
    (token === '\\*' ? character === '*' : token === character);
  return isMatch && matchesPlainly(rest, name.slice(1));
}
