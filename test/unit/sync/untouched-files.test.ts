import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { EntryTableBuilder } from '../../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../../src/sync/entry-table.js';
import type { StatSignature } from '../../../src/sync/stat-signature.js';
import { UntouchedFiles } from '../../../src/sync/untouched-files.js';
import { ProjectTree } from '../../support/project-tree.js';

async function settledTable(tree: ProjectTree): Promise<EntryTable> {
  return (await tree.settledScan()).table;
}

function count(tree: ProjectTree, table: EntryTable, names: readonly string[]): number {
  const run = {
    names,
    from: 0,
    to: names.length,
    prefix: '',
    absolutePrefix: `${tree.path}/`,
  };
  return new UntouchedFiles(table).count(run, 0);
}

test('says of a row what EntryTable.matches says', async () => {
  using tree = new ProjectTree({ a: 'text' });
  const table = await settledTable(tree);
  const was = table.signature(0) ?? assert.fail();
  const signatures: (StatSignature | undefined)[] = [
    was,
    undefined,
    { ...was, isRacy: true },
    { ...was, ino: was.ino + 1 },
    { ...was, mtimeUs: was.mtimeUs + 1 },
    { ...was, ctimeUs: was.ctimeUs - 1 },
  ];
  const entry = table.entry(0);
  assert.ok(entry.kind === 'file');
  const entries = [
    entry,
    { ...entry, mode: 0o600 },
    { ...entry, size: 5 },
    { ...entry, mtimeUs: 1 },
  ];
  for (const one of entries) {
    for (const signature of signatures) {
      const builder = new EntryTableBuilder();
      builder.add(one, signature);
      const varied = builder.build();
      const expected = varied.matches(0, lstatSync(tree.at('a')));
      assert.equal(count(tree, varied, ['a']) === 1, expected, JSON.stringify({ one, signature }));
    }
  }
});

test('stops at the first name that is not the next row, and at what is no file', async () => {
  using tree = new ProjectTree({ a: '', b: '', c: '', d: '' });
  const table = await settledTable(tree);
  assert.equal(count(tree, table, ['a', 'b', 'c', 'd']), 4);
  assert.equal(count(tree, table, ['a', 'b', 'bb', 'd']), 2);
  assert.equal(count(tree, table, ['b']), 0);
  assert.equal(count(tree, table, ['a', 'b', 'c', 'd', 'e']), 4);
  tree.remove('b');
  assert.equal(count(tree, table, ['a', 'b']), 1);
  symlinkSync('a', tree.at('b'));
  assert.equal(count(tree, table, ['a', 'b']), 1);
  tree.remove('c');
  mkdirSync(tree.at('c'));
  assert.equal(
    new UntouchedFiles(table).count(
      {
        names: ['c'],
        from: 0,
        to: 1,
        prefix: '',
        absolutePrefix: `${tree.path}/`,
      },
      2,
    ),
    0,
  );
});

test('tells apart paths of the same length and ending, and leaves other names to others', async () => {
  using tree = new ProjectTree({ 'aa/f': '', 'bb/f': '', ü: '' });
  const table = await settledTable(tree);
  const run = { names: ['f'], from: 0, to: 1 };
  const files = new UntouchedFiles(table);
  const prefixes = (prefix: string): { prefix: string; absolutePrefix: string } => ({
    prefix,
    absolutePrefix: `${tree.path}/${prefix}`,
  });
  assert.equal(files.count({ ...run, ...prefixes('aa/') }, 1), 1);
  assert.equal(files.count({ ...run, ...prefixes('aa/') }, 3), 0);
  assert.equal(files.count({ ...run, names: ['ü'], ...prefixes('') }, 4), 0);
});
