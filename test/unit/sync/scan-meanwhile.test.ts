import assert from 'node:assert/strict';
import fs, { lstatSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, mock, test } from 'node:test';
import { ProjectTree, pathsOf } from '../../support/project-tree.js';

describe('while others write', () => {
  test('a directory that vanishes during the walk is as if it had never been', async () => {
    using tree = new ProjectTree({ 'a/x': '', 'b/y/z': '', c: '' });
    const lstat = mock.method(fs, 'lstatSync', (...args: Parameters<typeof lstatSync>) => {
      const stats = (lstat.mock.restore(), lstatSync(...args));
      fs.rmSync(tree.at('b'), { recursive: true });
      return stats;
    });
    const { table, problems } = await tree.scan();
    assert.deepEqual(pathsOf(table), ['a', 'a/x', 'c']);
    assert.deepEqual(problems, []);
  });

  test('a file swapped for a link to outside is not read', async () => {
    using outside = new ProjectTree({ secret: 'secret' });
    using tree = new ProjectTree({ 'd/a': 'x' });
    const open = mock.method(fs, 'openSync', (...args: Parameters<typeof fs.openSync>) => {
      open.mock.restore();
      fs.rmSync(tree.at('d'), { recursive: true });
      symlinkSync(outside.path, tree.at('d'));
      fs.renameSync(path.join(outside.path, 'secret'), path.join(outside.path, 'a'));
      return fs.openSync(...args);
    });
    const { table, problems } = await tree.scan();
    assert.deepEqual(pathsOf(table), ['d']);
    assert.equal(table.kind(0), 'directory');
    assert.deepEqual(problems, []);
  });
});

test('a scan ends where it is aborted, with the reason given', async () => {
  using tree = new ProjectTree();
  for (let index = 0; index < 40; index++)
    tree.write(`f${index}`, Buffer.alloc(1024 * 1024, index));
  const reason = new Error('enough');
  const abort = new AbortController();
  const ticks: number[] = [];
  // A slice may be long enough for the whole; the second scan is surely not begun.
  const scan = tree.scan({ abortSignal: abort.signal, onProgress: (paths) => ticks.push(paths) });
  abort.abort(reason);
  await Promise.allSettled([scan]);
  await assert.rejects(tree.scan({ abortSignal: abort.signal }), reason);
  assert.deepEqual(
    ticks,
    ticks.toSorted((a, b) => a - b),
  );
});
