import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs, {
  chmodSync,
  lstatSync,
  readFileSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, mock, test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { EntryTableBuilder } from '../../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../../src/sync/entry-table.js';
import type { WorkspacePath } from '../../../src/sync/entry.js';
import { scanProject } from '../../../src/sync/scan.js';
import { mtimeUsOf } from '../../../src/util/microseconds.js';
import { AnchoredRoot } from '../../../src/util/safe-path.js';
import { ProjectTree, filesOf, pathsOf, rulesWith } from '../../support/project-tree.js';

const withGitignore = rulesWith({ gitignore: [] });

describe('a warm scan', () => {
  test('gives the very same objects and opens no file where nothing is new', async () => {
    using tree = new ProjectTree({
      '.gitignore': 'out/\n*.o\n',
      'src/.gitignore': '!keep.o\n',
      'src/a.ts': 'a',
      'src/a.o': '',
      'src/keep.o': '',
      'src/b.o': '',
      'out/x': '',
    });
    symlinkSync('src', tree.at('link'));
    const rules = rulesWith({ gitignore: [], ignore: ['tmp'], keepOnHost: [':gitignored'] });
    const cold = await tree.settledScan({ rules });
    const opened = mock.method(fs, 'openSync');
    const warm = await tree.scan({ rules, previous: cold });
    opened.mock.restore();
    const contents = opened.mock.calls
      .map((call) => String(call.arguments[0]))
      .filter((file) => !lstatMaybeDirectory(file));
    assert.deepEqual(contents, []);
    assert.equal(warm.hasChanged, false);
    assert.equal(warm.filesHashed, 0);
    assert.equal(warm.table, cold.table);
    assert.equal(warm.rules, cold.rules);
    assert.equal(warm.leftOut, cold.leftOut);
    assert.deepEqual(Object.fromEntries(cold.leftOut), { '': 'dout', src: 'fa.o/fb.o' });
  });

  test('loads neither the packages nor the digests', async () => {
    using tree = new ProjectTree({ '.gitignore': '[o]ut/\n', 'a?b': '', 'out/x': '' });
    const script = `
      const at = (name) => require(${JSON.stringify(path.resolve(__dirname, '../../..'))} + '/' + name);
      const { ProjectTree } = at('test/support/project-tree.js');
      const { AnchoredRoot } = at('src/util/safe-path.js');
      const { scanProject } = at('src/sync/scan.js');
      const { loadScanState } = at('src/sync/scan-state.js');
      const root = AnchoredRoot.open(process.argv[1]);
      const rules = ${JSON.stringify(rulesWith({ gitignore: [], ignore: ['[x]y', '?z'] }))};
      scanProject({ root, rules, previous: loadScanState(process.argv[2]) }).then(({ hasChanged }) => {
        const isHeavy = (file) => /node_modules.(ignore|blake3|@napi-rs|picomatch)/.test(file);
        console.log(JSON.stringify({ hasChanged, loaded: Object.keys(require.cache).filter(isHeavy) }));
      });`;
    const rules = rulesWith({ gitignore: [], ignore: ['[x]y', '?z'] });
    const { saveScanState } = await import('../../../src/sync/scan-state.js');
    using state = new ProjectTree();
    saveScanState(state.path, await tree.settledScan({ rules }));
    const child = spawnSync(process.execPath, ['-e', script, tree.path, state.path], {
      encoding: 'utf8',
    });
    assert.equal(child.stderr, '');
    assert.deepEqual(JSON.parse(child.stdout), { hasChanged: false, loaded: [] });
  });

  test('reads what has changed and nothing else', async () => {
    using tree = new ProjectTree({ a: '1', 'd/b': '2', 'd/c': '3', e: '4' });
    const cold = await tree.settledScan();
    writeFileSync(tree.at('d/b'), 'two');
    tree.remove('e');
    tree.write('d/bb', 'new');
    const warm = await tree.scan({ previous: cold });
    assert.equal(warm.filesHashed, 2);
    assert.equal(warm.bytesHashed, 6);
    assert.deepEqual(pathsOf(warm.table), ['a', 'd', 'd/b', 'd/bb', 'd/c']);
    assert.equal(warm.table.manifestId, (await tree.scan()).table.manifestId);
    assert.deepEqual(warm.table.signature(0), cold.table.signature(0));
  });

  test('sees an edit that keeps size and mtime', async () => {
    using tree = new ProjectTree({ a: 'old' });
    utimesSync(tree.at('a'), 1000, 1000);
    const cold = await tree.settledScan();
    writeFileSync(tree.at('a'), 'new');
    utimesSync(tree.at('a'), 1000, 1000);
    const warm = await tree.scan({ previous: cold });
    assert.equal(warm.table.digest(0), toDigest(hashBytes(Buffer.from('new'))));
  });

  test('sees a file replaced by one with the same times', async () => {
    using tree = new ProjectTree({ a: 'old', b: 'new' });
    for (const name of ['a', 'b']) utimesSync(tree.at(name), 1000, 1000);
    const cold = await tree.settledScan();
    renameSync(tree.at('b'), tree.at('a'));
    const warm = await tree.scan({ previous: cold });
    assert.deepEqual(pathsOf(warm.table), ['a']);
    assert.equal(warm.table.digest(0), toDigest(hashBytes(Buffer.from('new'))));
  });

  test('reads a file again that was written to right before the last scan', async () => {
    using tree = new ProjectTree({ a: 'old' });
    const racy = await tree.scan();
    const before = lstatSync(tree.at('a'));
    writeFileSync(tree.at('a'), 'new');
    // As if both writes had come in one tick: nothing in the times tells them apart.
    const builder = new EntryTableBuilder();
    const now = lstatSync(tree.at('a'));
    const signature = {
      ino: now.ino,
      mtimeUs: mtimeUsOf(now),
      ctimeUs: Math.floor(now.ctimeMs * 1000),
    };
    builder.add(racy.table.entry(0), { ...signature, isRacy: true });
    assert.equal(before.size, now.size);
    const warm = await tree.scan({ previous: { ...racy, table: builder.build() } });
    assert.equal(warm.table.digest(0), toDigest(hashBytes(Buffer.from('new'))));
  });

  test('sees mode, time and kind change', async () => {
    using tree = new ProjectTree({ a: 'x', b: 'x', c: 'x', 'd/x': '', e: 'x' });
    const cold = await tree.settledScan();
    chmodSync(tree.at('a'), 0o755);
    utimesSync(tree.at('b'), 5, 5);
    tree.remove('c');
    tree.write('c/x', '');
    tree.remove('d');
    symlinkSync('a', tree.at('d'));
    chmodSync(tree.at('e'), 0o600);
    chmodSync(tree.at('e'), 0o644);
    const warm = await tree.scan({ previous: cold });
    assert.deepEqual(
      pathsOf(warm.table).map((_, row) => warm.table.kind(row)),
      ['file', 'file', 'directory', 'file', 'symlink', 'file'],
    );
    assert.equal(warm.table.mode(0), 0o755);
    assert.equal(warm.table.mtimeUs(1), 5_000_000);
    assert.equal(warm.table.manifestId, (await tree.scan()).table.manifestId);
  });

  test('judges again below a .gitignore that has changed, and nowhere else', async () => {
    using tree = new ProjectTree({
      'a/.gitignore': 'x\n',
      'a/x': '',
      'a/y': '',
      'b/x': '',
      'b/y': '',
    });
    const cold = await tree.settledScan({ rules: withGitignore });
    assert.deepEqual(filesOf(cold.table), ['a/.gitignore', 'a/y', 'b/x', 'b/y']);
    writeFileSync(tree.at('a/.gitignore'), 'y\n');
    const warm = await tree.settledScan({ rules: withGitignore, previous: cold });
    assert.deepEqual(filesOf(warm.table), ['a/.gitignore', 'a/x', 'b/x', 'b/y']);
    tree.write('.gitignore', 'b\n');
    const next = await tree.settledScan({ rules: withGitignore, previous: warm });
    assert.deepEqual(filesOf(next.table), ['.gitignore', 'a/.gitignore', 'a/x']);
    tree.remove('.gitignore');
    const last = await tree.scan({ rules: withGitignore, previous: next });
    assert.deepEqual(filesOf(last.table), ['a/.gitignore', 'a/x', 'b/x', 'b/y']);
  });

  test('judges all again where the rules are others', async () => {
    using tree = new ProjectTree({ a: '', 'b/c': '', 'd/e': '' });
    const cold = await tree.settledScan({ rules: rulesWith({ ignore: ['d'] }) });
    assert.deepEqual(filesOf(cold.table), ['a', 'b/c']);
    const warm = await tree.scan({ rules: rulesWith({ ignore: ['b'] }), previous: cold });
    assert.deepEqual(filesOf(warm.table), ['a', 'd/e']);
    assert.equal(warm.filesHashed, 1);
    const unknown = { ...cold, rules: undefined };
    const again = await tree.scan({ rules: rulesWith({ ignore: ['b'] }), previous: unknown });
    assert.deepEqual(filesOf(again.table), ['a', 'd/e']);
  });

  test('a name that was left out and is now of another kind is judged again', async () => {
    using tree = new ProjectTree({ 'out/x': '', a: '' });
    const rules = rulesWith({ ignore: ['out/'] });
    const cold = await tree.settledScan({ rules });
    assert.deepEqual(filesOf(cold.table), ['a']);
    tree.remove('out');
    tree.write('out', 'a file');
    assert.deepEqual(filesOf((await tree.scan({ rules, previous: cold })).table), ['a', 'out']);
  });

  test('a row that came home against the rules does not make its path one that is sent', async () => {
    using tree = new ProjectTree({ 'coverage/report': 'x', a: '' });
    const rules = rulesWith({ ignore: ['coverage'], syncBack: ['coverage/'] });
    const cold = await tree.settledScan({ rules });
    const all = await tree.scan();
    const warm = await tree.scan({ rules, previous: { ...cold, table: all.table } });
    assert.deepEqual(filesOf(warm.table), ['a']);
  });

  test('a synced file that is in no row any more is found again beside what is left out', async () => {
    using tree = new ProjectTree({ 'd/a.o': '', 'd/b': '', 'd/c': '' });
    const rules = rulesWith({ ignore: ['d/*.o'] });
    const cold = await tree.settledScan({ rules });
    const previous = { ...cold, table: without(cold.table, 'd/b') };
    assert.deepEqual(filesOf((await tree.scan({ rules, previous })).table), ['d/b', 'd/c']);
  });
});

function lstatMaybeDirectory(file: string): boolean {
  // Directories are opened relative to another's descriptor, which may be closed by now.
  return file.startsWith('/proc/self/fd/') && !/\.(?:ts|o|gitignore)$/.test(file);
}

function without(table: EntryTable, gone: string): EntryTable {
  const builder = new EntryTableBuilder();
  for (let row = 0; row < table.length; row++)
    if (table.path(row) !== (gone as WorkspacePath)) builder.copy(table, row);
  return builder.build();
}

test('what a scan finds does not depend on what it started from', async () => {
  using tree = new ProjectTree({ 'a/b/c': '1', 'a/d': '2', 'e/f': '3', g: '4' });
  const states = [undefined, await tree.scan(), await tree.settledScan()];
  tree.remove('a/b');
  tree.write('a/b', 'now a file');
  tree.write('a/aa/new', '5');
  tree.write('h', '6');
  writeFileSync(tree.at('e/f'), '33');
  const found = await Promise.all(
    states.map(async (previous) => {
      using root = AnchoredRoot.open(tree.path);
      return (await scanProject({ root, rules: rulesWith({}), previous })).table;
    }),
  );
  assert.deepEqual(
    found.map(pathsOf),
    Array(3).fill(pathsOf(found[0] ?? (await tree.scan()).table)),
  );
  assert.equal(new Set(found.map((table) => table.manifestId)).size, 1);
  assert.equal(readFileSync(tree.at('h'), 'utf8'), '6');
});
