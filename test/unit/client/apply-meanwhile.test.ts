import assert from 'node:assert/strict';
import { mkdirSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { EntryTable } from '../../../src/sync/entry-table.js';
import {
  applyTree,
  changesTo,
  fetchFrom,
  makeRig,
  readContents,
  readTree,
  remove,
  scanTable,
  writeTree,
} from '../../support/apply-rig.js';

test('what the user did since the scan is compared, not overwritten', async () => {
  using rig = makeRig({ a: '1', b: '2', c: '3' });
  const table = scanTable(rig.project);
  writeTree(rig.project, { a: 'mine' });
  remove(rig.project, 'b');
  utimesSync(path.join(rig.project, 'c'), 1, 1);
  const theirs = { a: 'theirs', b: 'theirs', c: 'theirs' };
  const report = await applyTree(rig, { theirs, table });
  assert.deepEqual(readContents(rig.project), {
    a: 'mine',
    'a.rmtx-conflict-r1': 'theirs',
    'b.rmtx-conflict-r1': 'theirs',
    c: 'theirs',
  });
  assert.deepEqual(
    report.conflicts.map(({ path: at, kind }) => `${at} ${kind}`),
    ['a edited-both', 'b deleted-here'],
  );
});

test('what the user does while it is fetched is compared, too', async () => {
  using rig = makeRig({ a: '1', b: '2', gone: 'x', d: { directoryMode: 0o755 } });
  const theirs = { a: 'theirs', b: 'theirs', 'd/n': 'new', d: { directoryMode: 0o755 } };
  const fetch = fetchFrom(theirs);
  const report = await applyTree(rig, {
    theirs,
    fetch: async (wanted, sink) => {
      await fetch(wanted, sink);
      writeTree(rig.project, { a: 'mine', gone: 'mine', 'd/n': 'mine' });
      remove(rig.project, 'b');
    },
  });
  assert.deepEqual(readContents(rig.project), {
    a: 'mine',
    'a.rmtx-conflict-r1': 'theirs',
    'b.rmtx-conflict-r1': 'theirs',
    'd/n': 'mine',
    'd/n.rmtx-conflict-r1': 'new',
    gone: 'mine',
  });
  assert.deepEqual(
    report.conflicts.map(({ path: at, kind }) => `${at} ${kind}`),
    ['a edited-both', 'b deleted-here', 'd/n created-both', 'gone deleted-there'],
  );
  const next = await applyTree(rig, { theirs: {}, changes: [], table: report.table });
  assert.equal(next.table, report.table);
});

test('a directory that becomes a file here while it is fetched keeps the run out', async () => {
  using rig = makeRig({ 'd/a': '1', b: '2' });
  const theirs = { 'd/a': 'theirs', 'd/sub/n': 'new', b: '2' };
  const fetch = fetchFrom(theirs);
  const report = await applyTree(rig, {
    theirs,
    fetch: async (wanted, sink) => {
      await fetch(wanted, sink);
      writeTree(rig.project, { d: 'a file now' });
    },
  });
  assert.deepEqual(readContents(rig.project), {
    b: '2',
    d: 'a file now',
    'd.rmtx-conflict-r1/a': 'theirs',
    'd.rmtx-conflict-r1/sub/n': 'new',
  });
  assert.ok(report.conflicts.length >= 2);
});

test('two sync-backs into one project at once wait for each other and lose nothing', async () => {
  using rig = makeRig({ a: '1', b: '2' });
  const table = scanTable(rig.project);
  const [first, second] = await Promise.all([
    applyTree(rig, { theirs: { a: 'first', b: '2' }, table, runId: 'r1' }),
    applyTree(rig, { theirs: { a: 'second', b: 'second' }, table, runId: 'r2' }),
  ]);
  const contents = readContents(rig.project);
  assert.equal(contents['b'], 'second');
  assert.deepEqual(
    [contents['a'], contents['a.rmtx-conflict-r2'] ?? contents['a.rmtx-conflict-r1']].sort(),
    ['first', 'second'],
  );
  assert.equal(first.conflicts.length + second.conflicts.length, 1);
});

test('the same run applied twice changes nothing the second time', async () => {
  using rig = makeRig({ a: '1', b: '2', gone: 'x' });
  const table = scanTable(rig.project);
  writeTree(rig.project, { b: 'mine' });
  const request = { theirs: { a: 'theirs', b: 'theirs' }, table };
  await applyTree(rig, request);
  const after = readTree(rig.project);
  const report = await applyTree(rig, request);
  assert.deepEqual(readTree(rig.project), after);
  assert.deepEqual(report.changed, []);
  assert.equal(report.conflicts[0]?.keptTheirsAs, 'b.rmtx-conflict-r1');
});

test('a run without any base applies to an empty project', async () => {
  using rig = makeRig({});
  const theirs = { a: '1' };
  await applyTree(rig, { theirs, changes: changesTo(EntryTable.empty, theirs) });
  assert.deepEqual(readContents(rig.project), theirs);
  mkdirSync(path.join(rig.project, 'x'));
});
