import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CheckedChange } from '../../../src/client/apply/check-changes.js';
import { conflictName, conflictPath } from '../../../src/client/apply/conflict-names.js';
import { staysInside } from '../../../src/client/apply/link-target.js';
import { isMassDelete } from '../../../src/client/apply/mass-delete.js';
import { NameTwins, hasExactName } from '../../../src/client/apply/name-twins.js';
import { isOwnPath } from '../../../src/sync/own-names.js';
import type { WorkspacePath } from '../../../src/sync/entry.js';
import { parentOf } from '../../../src/sync/entry.js';
import { pathFromBytes, pathToBytes } from '../../../src/util/path-bytes.js';
import { entryOf } from '../../support/apply-rig.js';

describe('the name of a conflict copy', () => {
  test('is the name, the mark and the run, then a number', () => {
    assert.equal(conflictName('a.txt', 'r7', 1), 'a.txt.rmtx-conflict-r7');
    assert.equal(conflictName('a.txt', 'r7', 2), 'a.txt.rmtx-conflict-r7-2');
  });

  test('fits the file system, is never cut within a character, and is never scanned', () => {
    const character = fc.constantFrom('a', 'ü', '😀', '漢', pathFromBytes(Buffer.from([0xff])));
    const name = fc.array(character, { minLength: 1, maxLength: 255 }).map((all) => all.join(''));
    fc.assert(
      fc.property(
        name,
        fc.constantFrom('r1', 'r'.repeat(64)),
        fc.nat(999),
        (long, run, attempt) => {
          const copy = conflictName(long, run, attempt);
          assert.ok(pathToBytes(copy).length <= 255);
          assert.equal(pathFromBytes(pathToBytes(copy)), copy);
          assert.ok(isOwnPath(copy));
          const kept = copy.slice(0, copy.indexOf('.rmtx-conflict-'));
          assert.ok(long.startsWith(kept));
        },
      ),
    );
  });

  test('is that of the parent which is no directory here, where there is one', () => {
    const naming = { runId: 'r1', attempt: 1 };
    const at = (missing: string): string => conflictPath('a/b/c' as WorkspacePath, missing, naming);
    assert.equal(at('a/b/c'), 'a/b/c.rmtx-conflict-r1');
    assert.equal(at('a/b'), 'a/b.rmtx-conflict-r1/c');
    assert.equal(at('a'), 'a.rmtx-conflict-r1/b/c');
  });
});

describe('where a link leads', () => {
  const cases: [path: string, target: string, isInside: boolean][] = [
    ['l', 'a', true],
    ['l', 'a/b', true],
    ['l', './a', true],
    ['l', '.', true],
    ['l', '..', false],
    ['l', '../a', false],
    ['l', '/a', false],
    ['l', '/', false],
    ['d/l', '..', true],
    ['d/l', '../a', true],
    ['d/l', '../../a', false],
    ['d/e/l', '../../a', true],
    ['d/e/l', './.././../a', true],
    ['d/e/l', '../../../a', false],
    ['d/l', 'a/..', false],
    ['d/l', 'a/../../..', false],
    ['d/l', '...', true],
    ['d/l', '..a', true],
    ['d/l', '../dst-evil', true],
  ];
  for (const [path, target, isInside] of cases)
    test(`${path} -> ${target} ${isInside ? 'stays inside' : 'may leave'}`, () => {
      assert.equal(staysInside(path, target), isInside);
    });
});

describe('the brake on mass deletion', () => {
  const cases: [deletions: number, files: number, isHeld: boolean][] = [
    [0, 0, false],
    [9, 9, false],
    [10, 10, true],
    [9, 10, false],
    [100, 101, false],
    [101, 102, true],
    [101, 336, true],
    [101, 337, false],
    [300, 1000, false],
    [301, 1000, true],
    [1000, 1000, true],
  ];
  for (const [deletions, files, isHeld] of cases)
    test(`${isHeld ? 'holds' : 'lets go'} ${deletions} of ${files}`, () => {
      assert.equal(isMassDelete(deletions, files), isHeld);
    });
});

describe('a file system that folds names', () => {
  const change = (path: string, isDeletion = false): CheckedChange => ({
    path: path as WorkspacePath,
    base: isDeletion ? entryOf(path, '1') : undefined,
    baseRow: undefined,
    theirs: isDeletion ? undefined : entryOf(path, '2'),
  });
  /** The names as they are on disk. */
  const disk =
    (...paths: string[]) =>
    (directory: string): string[] =>
      paths
        .filter((path) => parentOf(path) === directory)
        .map((path) => path.slice(path.lastIndexOf('/') + 1));

  test('finds a new name although only a twin of it is there', () => {
    const twins = new NameTwins([change('makefile')], disk('Makefile'));
    assert.equal(twins.find('makefile'), 'other-file');
  });

  test('finds the name itself', () => {
    const twins = new NameTwins([change('Makefile')], disk('Makefile'));
    assert.equal(twins.find('Makefile'), undefined);
  });

  test('lets a file change the case of its name', () => {
    const changes = [change('Makefile', true), change('makefile')];
    assert.equal(new NameTwins(changes, disk('Makefile')).find('makefile'), 'leaving');
  });

  test('lets a directory change the case of its name, with what is in it', () => {
    const changes = [change('Src', true), change('Src/a', true), change('src'), change('src/a')];
    const listing = disk('Src', 'Src/a', 'src/a');
    const twins = new NameTwins(changes, listing);
    assert.equal(twins.find('src'), 'leaving');
    assert.equal(twins.find('src/a'), 'leaving');
  });

  test('sees composed and decomposed spellings as twins', () => {
    const changes = [change('caf\u00e9', true), change('cafe\u0301')];
    assert.equal(new NameTwins(changes, disk('caf\u00e9')).find('cafe\u0301'), 'leaving');
    assert.equal(hasExactName('cafe\u0301', disk('caf\u00e9')), false);
  });
});
