import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { saveEntryTable } from '../../../src/sync/entry-table-file.js';
import { loadScanState, saveScanState } from '../../../src/sync/scan-state.js';
import type { ScanState } from '../../../src/sync/scan-state.js';
import { ProjectTree, filesOf, rulesWith } from '../../support/project-tree.js';

const rules = rulesWith({ gitignore: [{ directory: '', source: '/x', text: 'caf\udce9' }] });

async function saved(tree: ProjectTree, state: ProjectTree): Promise<ScanState> {
  const found = await tree.settledScan({ rules });
  saveScanState(state.path, found);
  return found;
}

test('comes back as it was, and saves a scan its work', async () => {
  using tree = new ProjectTree({ '.gitignore': '*.o\n', 'a/b.o': '', 'a/f\n': 'x' });
  using state = new ProjectTree();
  const found = await saved(tree, state);
  const loaded = loadScanState(state.path);
  assert.ok(loaded !== undefined);
  assert.equal(loaded.table.manifestId, found.table.manifestId);
  assert.deepEqual(loaded.rules, found.rules);
  assert.deepEqual(loaded.gitignoreSignatures, found.gitignoreSignatures);
  assert.deepEqual(loaded.leftOut, found.leftOut);
  const warm = await tree.scan({ rules, previous: loaded });
  assert.equal(warm.hasChanged, false);
  assert.equal(warm.filesHashed, 0);
});

test('is undefined where there is none', () => {
  using state = new ProjectTree();
  assert.equal(loadScanState(state.path), undefined);
});

test('a damaged index counts as none', async () => {
  using tree = new ProjectTree({ a: '' });
  using state = new ProjectTree();
  await saved(tree, state);
  writeFileSync(path.join(state.path, 'index'), 'nonsense');
  assert.equal(loadScanState(state.path), undefined);
});

test('rules that are damaged, missing or of another index are not known, the rows are', async () => {
  using tree = new ProjectTree({ a: '', 'b.o': '' });
  using other = new ProjectTree({ c: '' });
  using state = new ProjectTree();
  const file = path.join(state.path, 'rules.json');
  for (const text of ['', '{', 'null', '{"version":0}', '{"version":1}']) {
    await saved(tree, state);
    writeFileSync(file, text);
    const loaded = loadScanState(state.path);
    assert.equal(loaded?.rules, undefined, text);
    assert.equal(loaded?.table.length, 2);
    assert.equal(loaded.leftOut.size, 0);
  }
  // As a crash between the two writes leaves them.
  await saved(tree, state);
  saveEntryTable(path.join(state.path, 'index'), (await other.scan()).table);
  const torn = loadScanState(state.path);
  assert.equal(torn?.rules, undefined);
  assert.deepEqual(filesOf(torn?.table ?? assert.fail()), ['c']);
});

test('an index that is the same is not written again', async () => {
  using tree = new ProjectTree({ a: '' });
  using state = new ProjectTree();
  const found = await saved(tree, state);
  writeFileSync(path.join(state.path, 'index'), 'untouched');
  saveScanState(state.path, { ...found, leftOut: new Map([['', 'fx']]) }, found);
  assert.equal(loadScanState(state.path), undefined);
});
