import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { readUndoRecord } from '../../../src/client/apply/undo.js';
import { NO_RULES } from '../../../src/sync/rule-sources.js';
import { mtimeUsOf } from '../../../src/util/microseconds.js';
import { pathFromBytes } from '../../../src/util/path-bytes.js';
import {
  OLD_US,
  applyTree,
  fetchFrom,
  makeRig,
  readContents,
  readTree,
  remove,
  scanTable,
  writeTree,
} from '../../support/apply-rig.js';
import type { Tree } from '../../support/apply-rig.js';

describe('what the run did', () => {
  test('comes home: changed, made and deleted paths', async () => {
    using rig = makeRig({
      'src/a': 'one',
      'src/b': 'two',
      'src/gone': 'x',
      link: { link: 'src/a' },
    });
    const report = await applyTree(rig, {
      theirs: {
        'src/a': 'one!',
        'src/b': 'two',
        'new/deep/c': 'three',
        link: { link: 'src/b' },
      },
    });
    assert.deepEqual(readContents(rig.project), {
      link: '-> src/b',
      'new/deep/c': 'three',
      'src/a': 'one!',
      'src/b': 'two',
    });
    assert.deepEqual(report.changed, ['link', 'new', 'new/deep', 'new/deep/c', 'src/a']);
    assert.deepEqual(report.deleted, ['src/gone']);
    assert.deepEqual(report.conflicts, []);
    assert.deepEqual(report.problems, []);
  });

  test('leaves the stage empty and no name of ours in the project', async () => {
    using rig = makeRig({ a: '1', b: '2' });
    await applyTree(rig, { theirs: { a: '1!', c: '3' } });
    assert.deepEqual(readdirSync(path.join(rig.home, 'stage')), []);
    assert.deepEqual(readdirSync(path.join(rig.stateDirectory, 'apply-lock')), []);
    assert.deepEqual(readdirSync(rig.project).sort(), ['a', 'c']);
  });

  test('gives exactly the mode and the time of the entry, whatever the umask is', async () => {
    using rig = makeRig({ a: '1' });
    const before = process.umask(0o077);
    try {
      await applyTree(rig, {
        theirs: {
          a: { content: '2', mode: 0o666, mtimeUs: OLD_US + 123_457 },
          d: { directoryMode: 0o777 },
          'd/new': { content: 'x', mode: 0o751, mtimeUs: 1_700_000_000_000_001 },
          'd/readonly': { content: 'y', mode: 0o444 },
        },
      });
    } finally {
      process.umask(before);
    }
    const stats = (name: string): Stats => lstatSync(path.join(rig.project, name));
    assert.equal(stats('a').mode & 0o7777, 0o666);
    assert.equal(mtimeUsOf(stats('a')), OLD_US + 123_457);
    assert.equal(stats('d').mode & 0o7777, 0o777);
    assert.equal(stats('d/new').mode & 0o7777, 0o751);
    assert.equal(mtimeUsOf(stats('d/new')), 1_700_000_000_000_001);
    assert.equal(stats('d/readonly').mode & 0o7777, 0o444);
  });

  test('counts as changed where only the mode or the time is new, and fetches nothing for it', async () => {
    using rig = makeRig({ a: '1', b: '2', d: { directoryMode: 0o755 } });
    const inode = lstatSync(path.join(rig.project, 'a')).ino;
    const report = await applyTree(rig, {
      theirs: {
        a: { content: '1', mode: 0o755 },
        b: { content: '2', mtimeUs: OLD_US + 5_000_000 },
        d: { directoryMode: 0o700 },
      },
      fetch: () => Promise.reject(new Error('nothing is to be fetched')),
    });
    assert.deepEqual(report.changed, ['a', 'b', 'd']);
    assert.equal(lstatSync(path.join(rig.project, 'a')).mode & 0o777, 0o755);
    assert.equal(lstatSync(path.join(rig.project, 'a')).ino, inode);
    assert.equal(mtimeUsOf(lstatSync(path.join(rig.project, 'b'))), OLD_US + 5_000_000);
    assert.equal(lstatSync(path.join(rig.project, 'd')).mode & 0o777, 0o700);
    assert.equal(report.table.manifestId, scanTable(rig.project).manifestId);
  });

  const kinds: Record<string, Tree> = {
    file: { x: 'content' },
    'other file': { x: 'other content' },
    link: { x: { link: 'elsewhere' } },
    'empty directory': { x: { directoryMode: 0o755 } },
    'full directory': { 'x/a': '1', 'x/sub/b': '2' },
    nothing: {},
  };
  for (const [from, before] of Object.entries(kinds))
    for (const [to, after] of Object.entries(kinds))
      test(`makes of a path: ${from} → ${to}`, async () => {
        using rig = makeRig({ ...before, keep: 'k' });
        const report = await applyTree(rig, { theirs: { ...after, keep: 'k' } });
        using wanted = makeRig({ ...after, keep: 'k' });
        assert.deepEqual(readTree(rig.project), readTree(wanted.project));
        assert.deepEqual([report.conflicts, report.problems], [[], []]);
        assert.equal(report.table.manifestId, scanTable(rig.project).manifestId);
      });

  test('names that are not UTF-8, with line breaks or spaces at their ends come home as they are', async () => {
    const strange = [pathFromBytes(Buffer.from([0x66, 0xff])), 'a\nb', ' lead', 'trail ', '\u202e'];
    using rig = makeRig({ [`d/${strange[0]}`]: 'old', keep: '' });
    const theirs: Record<string, string> = { keep: '' };
    for (const name of strange) theirs[`d/${name}`] = name;
    await applyTree(rig, { theirs });
    assert.deepEqual(
      readdirSync(path.join(rig.project, 'd'), { encoding: 'buffer' }).map(pathFromBytes).sort(),
      [...strange].sort(),
    );
  });

  test('is fetched once for all paths that hold it, and not at all where it only moved', async () => {
    using rig = makeRig({ 'old-name': 'moved content', b: 'x' });
    const theirs = { 'new-name': 'moved content', b: 'x', c: 'same', d: 'same', empty: '' };
    const fetched: number[] = [];
    const fetch = fetchFrom(theirs);
    await applyTree(rig, {
      theirs,
      fetch: (wanted, sink) => {
        fetched.push(...wanted.map(({ size }) => size));
        return fetch(wanted, sink);
      },
    });
    assert.deepEqual(fetched, [4]);
    assert.deepEqual(readContents(rig.project), theirs);
    const inode = (name: string): number => lstatSync(path.join(rig.project, name)).ino;
    assert.notEqual(inode('c'), inode('d'));
  });

  test('large blobs, also one for several paths, are built in a file and moved in', async () => {
    using rig = makeRig({ a: '1' });
    const big = Buffer.alloc(5 * 1024 * 1024, 'x');
    const theirs = { a: { content: big, mode: 0o755 }, b: big.toString() };
    await applyTree(rig, { theirs });
    assert.ok(readFileSync(path.join(rig.project, 'a')).equals(big));
    assert.ok(readFileSync(path.join(rig.project, 'b')).equals(big));
    assert.equal(lstatSync(path.join(rig.project, 'a')).mode & 0o777, 0o755);
  });

  test('nothing at all touches nothing', async () => {
    using rig = makeRig({ a: '1' });
    const report = await applyTree(rig, { theirs: { a: '1' } });
    assert.deepEqual(report.changed, []);
    assert.equal(existsSync(path.join(rig.home, 'stage')), false);
  });
});

describe('the table of the report', () => {
  test('is what a scan would find, with signatures that a later lstat confirms', async () => {
    using rig = makeRig({ 'd/a': '1', 'd/b': '2', c: '3' });
    const report = await applyTree(rig, { theirs: { 'd/a': '1!', 'e/f': 'new', c: '3' } });
    const { table } = report;
    assert.equal(table.manifestId, scanTable(rig.project).manifestId);
    for (const name of ['d/a', 'e/f', 'c']) {
      const row = table.indexOf(name);
      const signature = table.signature(row);
      const stats = lstatSync(path.join(rig.project, name));
      assert.equal(signature?.ino, stats.ino, name);
      assert.equal(signature.ctimeUs, Math.floor(stats.ctimeMs * 1000), name);
    }
  });

  test('has no row for what came home only because sync_back names it', async () => {
    using rig = makeRig({ src: 'x' });
    const table = scanTable(rig.project);
    const theirs = { src: 'x', 'out/r.txt': '1' };
    const rules = { ...NO_RULES, ignore: ['out/'], syncBack: ['out/'] };
    const report = await applyTree(rig, { theirs, table, rules });
    assert.deepEqual(report.changed, ['out', 'out/r.txt']);
    assert.equal(report.table, table);
  });

  test('loses what both sides deleted', async () => {
    using rig = makeRig({ 'd/a': '1', b: '2' });
    const table = scanTable(rig.project);
    remove(rig.project, 'd/a');
    const report = await applyTree(rig, { theirs: { b: '2' }, table });
    assert.deepEqual(report.deleted, ['d']);
    assert.equal(report.table.manifestId, scanTable(rig.project).manifestId);
  });
});

describe('paths named in sync_back although they are ignored', () => {
  const rules = { ...NO_RULES, ignore: ['out/'], syncBack: ['out/'] };

  test('are compared with what rmtx last wrote there', async () => {
    using rig = makeRig({ src: 'x' });
    const table = scanTable(rig.project);
    const run = (theirs: Tree, runId: string): ReturnType<typeof applyTree> =>
      applyTree(rig, { theirs: { src: 'x', ...theirs }, table, rules, runId });
    await run({ 'out/r': '1', 'out/s': 's' }, 'r1');
    const second = await run({ 'out/r': '2', 'out/s': 's' }, 'r2');
    assert.deepEqual(second.conflicts, []);
    assert.deepEqual(readContents(rig.project), { 'out/r': '2', 'out/s': 's', src: 'x' });
    writeTree(rig.project, { 'out/r': 'mine' });
    const third = await run({ 'out/r': '3' }, 'r3');
    assert.deepEqual(third.conflicts, [
      { path: 'out/r', kind: 'edited-both', keptTheirsAs: 'out/r.rmtx-conflict-r3' },
    ]);
    assert.deepEqual(readContents(rig.project), {
      'out/r': 'mine',
      'out/r.rmtx-conflict-r3': '3',
      'out/s': 's',
      src: 'x',
    });
  });

  test('are never deleted because the host no longer has them', async () => {
    using rig = makeRig({ src: 'x' });
    const table = scanTable(rig.project);
    await applyTree(rig, { theirs: { src: 'x', 'out/r': '1' }, table, rules });
    await applyTree(rig, { theirs: { src: 'x' }, table, rules, runId: 'r2' });
    assert.equal(readFileSync(path.join(rig.project, 'out/r'), 'utf8'), '1');
  });

  test("stay the user's where rmtx never wrote", async () => {
    using rig = makeRig({ src: 'x', 'out/r': 'mine' });
    const table = scanTable(rig.project, (name) => !name.startsWith('out'));
    const report = await applyTree(rig, { theirs: { src: 'x', 'out/r': '1' }, table, rules });
    assert.equal(report.conflicts[0]?.kind, 'created-both');
    assert.equal(readFileSync(path.join(rig.project, 'out/r'), 'utf8'), 'mine');
  });
});

describe('directories', () => {
  test('that the run removed stay where something unsynced is in them, in silence', async () => {
    using rig = makeRig({ 'build/out': 'x', 'build/sub/secret.local': 'mine', a: '1' });
    const table = scanTable(rig.project, (name) => !name.includes('secret'));
    const report = await applyTree(rig, { theirs: { a: '1' }, table });
    assert.deepEqual(readContents(rig.project), { a: '1', 'build/sub/secret.local': 'mine' });
    assert.deepEqual([report.conflicts, report.problems], [[], []]);
    assert.deepEqual(report.deleted, ['build/out']);
  });

  test('that are mounts stay, empty', async () => {
    using rig = makeRig({ 'dist/out': 'x', src: { directoryMode: 0o755 } });
    const rules = {
      ...NO_RULES,
      mounts: ['dist', 'src'].map((at) => ({ path: at, exclude: [] })),
    };
    const report = await applyTree(rig, { theirs: { src: { directoryMode: 0o755 } }, rules });
    assert.deepEqual(readdirSync(rig.project), ['dist', 'src']);
    assert.deepEqual(report.deleted, ['dist/out']);
  });

  test('that the user deleted come back for what the run made in them', async () => {
    using rig = makeRig({ 'd/a': '1', b: '2' });
    const table = scanTable(rig.project);
    remove(rig.project, 'd');
    const theirs = { 'd/a': '1', 'd/new': 'n', b: '2' };
    const report = await applyTree(rig, { theirs, table });
    assert.deepEqual(readContents(rig.project), { b: '2', 'd/new': 'n' });
    assert.deepEqual(report.conflicts, []);
  });

  test('with mode bits of their own keep the bits above the permissions', async () => {
    using rig = makeRig({ d: { directoryMode: 0o755 } });
    chmodSync(path.join(rig.project, 'd'), 0o2755);
    await applyTree(rig, { theirs: { d: { directoryMode: 0o775 } } });
    assert.equal(lstatSync(path.join(rig.project, 'd')).mode & 0o7777, 0o2775);
  });
});

describe('the undo directory', () => {
  test('holds what was displaced, and a record', async () => {
    using rig = makeRig({ a: 'old', gone: 'bye', b: 'b' });
    await applyTree(rig, { theirs: { a: 'new', b: 'b' } });
    const [name = ''] = readdirSync(path.join(rig.home, 'undo'));
    assert.match(name, /^r1\.[0-9a-f]{8}$/);
    const directory = path.join(rig.home, 'undo', name);
    const kept = readdirSync(directory).filter((file) => file !== 'record');
    const contents = kept.map((file) => readFileSync(path.join(directory, file), 'utf8'));
    assert.deepEqual(contents.sort(), ['bye', 'old']);
    const record = readUndoRecord(directory);
    assert.deepEqual([record.runId, record.projectRoot], ['r1', rig.project]);
    assert.deepEqual(
      record.operations.map((operation) => `${operation.type} ${operation.path}`),
      ['remove gone', 'write a'],
    );
  });

  test('keeps the inode of a replaced file, so that a rollback brings back the very file', async () => {
    using rig = makeRig({ a: 'old' });
    const inode = lstatSync(path.join(rig.project, 'a')).ino;
    await applyTree(rig, { theirs: { a: 'new' } });
    const [name = ''] = readdirSync(path.join(rig.home, 'undo'));
    assert.equal(lstatSync(path.join(rig.home, 'undo', name, '0')).ino, inode);
  });

  test('is kept for the last twenty sync-backs', async () => {
    using rig = makeRig({ a: '0' });
    for (let run = 1; run <= 22; run++)
      await applyTree(rig, { theirs: { a: String(run) }, runId: `r${run}` });
    const runs = readdirSync(path.join(rig.home, 'undo')).map((name) => name.split('.')[0]);
    assert.equal(runs.length, 20);
    assert.ok(runs.includes('r22') && !runs.includes('r1'));
  });
});
