import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { EntryTableBuilder } from '../../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../../src/sync/entry-table.js';
import type { WorkspacePath } from '../../../src/sync/entry.js';
import { rescanPaths, settleRacy } from '../../../src/sync/rescan.js';
import { ctimeUsOf, mtimeUsOf } from '../../../src/util/microseconds.js';
import { ProjectTree, markRacy } from '../../support/project-tree.js';

test('looks at single paths of any kind', async () => {
  using tree = new ProjectTree({ 'd/a': 'text', 'e/b': '' });
  symlinkSync('d', tree.at('link'));
  execFileSync('mkfifo', [String(tree.at('fifo'))]);
  const paths = [
    'd',
    'd/a',
    'fifo',
    'gone',
    'gone/x',
    'd/a/x',
    'link',
    'link/a',
  ] as WorkspacePath[];
  const found = await rescanPaths({ root: tree.root }, paths);
  assert.deepEqual(
    found.map(({ path, entry, problem }) => [path, entry?.kind ?? problem?.code]),
    [
      ['d', 'directory'],
      ['d/a', 'file'],
      ['fifo', 'special-file'],
      ['gone', undefined],
      ['gone/x', undefined],
      ['d/a/x', undefined],
      ['link', 'symlink'],
      // A link is never followed, so nothing of the project is there.
      ['link/a', undefined],
    ],
  );
  const file = found[1]?.entry;
  assert.equal(file?.kind === 'file' && file.digest, toDigest(hashBytes(Buffer.from('text'))));
  assert.equal(found[1]?.signature?.ino, lstatSync(tree.at('d/a')).ino);
});

test('is not misled by a directory that was replaced since the root was used last', async () => {
  using tree = new ProjectTree({ 'd/a': 'old' });
  await rescanPaths({ root: tree.root }, ['d/a' as WorkspacePath]);
  tree.root.lstat('d/a');
  tree.remove('d');
  tree.write('d/a', 'newer');
  const [found] = await rescanPaths({ root: tree.root }, ['d/a' as WorkspacePath]);
  assert.equal(found?.entry?.kind === 'file' && found.entry.size, 5);
});

test('settles what was written a moment ago, so that the next scan reads nothing', async () => {
  using tree = new ProjectTree({ a: '1', 'd/b': '2' });
  symlinkSync('a', tree.at('link'));
  const scan = await tree.scan();
  const racy = markRacy(scan.table);
  const settled = await settleRacy({ root: tree.root }, racy);
  assert.notEqual(settled, racy);
  assert.equal(settled.manifestId, scan.table.manifestId);
  const next = await tree.scan({ previous: { ...scan, table: settled } });
  assert.equal(next.filesHashed, 0);
  assert.equal(next.table, settled);
  assert.equal(await settleRacy({ root: tree.root }, settled), settled);
});

test('does not settle a file that was written again within the same tick', async () => {
  using tree = new ProjectTree({ a: 'old', b: 'old' });
  const table = markRacy((await tree.scan()).table);
  writeFileSync(tree.at('a'), 'new');
  const settled = await settleRacy({ root: tree.root }, sameTick(tree, table, 0));
  assert.equal(settled.signature(0)?.isRacy, true);
  assert.equal(settled.signature(1)?.isRacy, false);
});

/** The table as if the file had had its present times and inode when it was recorded. */
function sameTick(tree: ProjectTree, table: EntryTable, changed: number): EntryTable {
  const builder = new EntryTableBuilder();
  for (let row = 0; row < table.length; row++) {
    const stats = lstatSync(tree.at(table.path(row)));
    const times = { mtimeUs: mtimeUsOf(stats), ctimeUs: ctimeUsOf(stats) };
    if (row !== changed) builder.copy(table, row);
    else builder.copyWith(table, row, { ino: stats.ino, ...times, isRacy: true });
  }
  return builder.build();
}

test('does not settle what is gone, and waits for no time ahead of the clock', async () => {
  using tree = new ProjectTree({ a: '1', b: '2', c: '3' });
  const future = Date.now() / 1000 + 3600;
  utimesSync(tree.at('b'), future, future);
  const table = markRacy((await tree.scan()).table);
  tree.remove('a');
  tree.remove('c');
  mkdirSync(tree.at('c'));
  const started = performance.now();
  const settled = await settleRacy({ root: tree.root }, table);
  assert.ok(performance.now() - started < 1000);
  assert.deepEqual(
    [0, 1, 2].map((row) => settled.signature(row)?.isRacy),
    [true, false, true],
  );
});
