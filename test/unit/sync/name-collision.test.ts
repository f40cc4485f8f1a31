import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { comparePaths } from '../../../src/sync/entry.js';
import { findNameCollision } from '../../../src/sync/name-collision.js';
import { directoryEntry, fileEntry, tableOf } from '../../support/entries.js';

describe('findNameCollision', () => {
  const colliding: [string, string[]][] = [
    ['case', ['Makefile', 'makefile']],
    ['two letters for one', ['STRASSE', 'straße']],
    ['an accent as one character or two', ['e\u0301', '\u00e9']],
    ['case in a directory, others between them', ['d/A', 'd/B/x', 'd/a']],
    ['directories', ['Src/a', 'src/b']],
  ];
  for (const [title, paths] of colliding)
    test(`finds names that differ by ${title}`, () => {
      const found = findNameCollision(tableWith(paths));
      assert.ok(found);
      assert.notEqual(found.first, found.second);
    });

  test('allows the same name in two directories, and other names', () => {
    assert.equal(findNameCollision(tableWith(['a/x', 'b/X', 'c', 'a.b', 'x'])), undefined);
  });
});

function tableWith(paths: readonly string[]): ReturnType<typeof tableOf> {
  const directories = new Set(paths.filter((at) => at.includes('/')).flatMap(parentsOf));
  const entries = [
    ...[...directories].map((at) => directoryEntry(at)),
    ...paths.map((at) => fileEntry(at, '')),
  ];
  return tableOf(entries.sort((a, b) => comparePaths(a.path, b.path)));
}

function parentsOf(at: string): string[] {
  const names = at.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}
