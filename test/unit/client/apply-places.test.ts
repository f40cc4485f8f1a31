/** Projects on another device than the client's home, and places where the user may not write. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Area } from '../../../src/client/apply/areas.js';
import {
  keepOld,
  placeNew,
  putBack,
  replace,
  takeAway,
} from '../../../src/client/apply/tree-steps.js';
import type { Workbench } from '../../../src/client/apply/workbench.js';
import { recoverInterrupted } from '../../../src/client/recover.js';
import type { FileEntry, WorkspacePath } from '../../../src/sync/entry.js';
import { AnchoredRoot } from '../../../src/util/safe-path.js';
import {
  applyTree,
  entryOf,
  fetchFrom,
  makeRig,
  readContents,
  readTree,
  scanTable,
  walk,
} from '../../support/apply-rig.js';
import { interruptApply } from '../../support/interrupted-apply.js';

const base = { a: '1', b: '2', 'd/gone': '3', 'e/f': '4', l: { link: 'a' } };
const theirs = {
  a: '1!',
  b: { content: '2', mode: 0o755 },
  'e/f/g': 'x',
  l: { link: 'b' },
  n: 'new',
};

/** A directory on another device than the temporary ones, if this machine has one. */
function otherDevice(): string | undefined {
  const here = statSync(os.tmpdir()).dev;
  return ['/dev/shm', '/var/tmp', '/tmp'].find((directory) => {
    const stats = statSync(directory, { throwIfNoEntry: false });
    return stats?.isDirectory() === true && stats.dev !== here;
  });
}
const elsewhere = otherDevice();
const needsDevice = { skip: elsewhere === undefined ? 'there is only one device here' : false };
const options = elsewhere === undefined ? {} : { projectParent: elsewhere };

describe('a project on another device', () => {
  test('is staged within itself, and nothing of that stays', needsDevice, async () => {
    using rig = makeRig(base, options);
    const during: string[] = [];
    const fetch = fetchFrom(theirs);
    const report = await applyTree(rig, {
      theirs,
      fetch: async (wanted, sink) => {
        await fetch(wanted, sink);
        during.push(...walk(rig.project).filter((name) => name.includes('.rmtx-stage-')));
      },
    });
    assert.ok(during.length > 1);
    assert.ok(during.every((name) => /^\.rmtx-stage-r1\.[0-9a-f]{8}(\/|$)/.test(name)));
    assert.equal(lstatSync(rig.project).dev, statSync(elsewhere ?? '').dev);
    using wanted = makeRig(theirs, options);
    assert.deepEqual(readTree(rig.project), readTree(wanted.project));
    assert.equal(report.table.manifestId, scanTable(rig.project).manifestId);
    const undo = path.join(rig.home, 'undo', readdirSync(path.join(rig.home, 'undo'))[0] ?? '');
    const kept = readdirSync(undo).filter((name) => name !== 'record');
    assert.ok(kept.some((name) => lstatSync(path.join(undo, name)).isSymbolicLink()));
    const files = kept.filter((name) => lstatSync(path.join(undo, name)).isFile());
    const contents = files.map((name) => readFileSync(path.join(undo, name), 'utf8'));
    assert.deepEqual(contents.sort(), ['1', '3', '4']);
  });

  for (const done of [undefined, 0, 3, 5, 7])
    test(`is put in order after operation ${done ?? 'none'}`, needsDevice, async () => {
      using rig = makeRig(base, options);
      const before = readTree(rig.project);
      await interruptApply(rig, theirs, done);
      const [report] = await recoverInterrupted(rig.home);
      assert.equal(report?.kind, done === undefined ? 'discarded' : 'completed');
      using wanted = makeRig(theirs, options);
      assert.deepEqual(
        readTree(rig.project),
        done === undefined ? before : readTree(wanted.project),
      );
    });

  test('takes a large file that was built in the home', needsDevice, async () => {
    using rig = makeRig(base, options);
    const content = Buffer.alloc(5 * 1024 * 1024, 'z').toString();
    await applyTree(rig, { theirs: { ...theirs, a: content, n: content } });
    assert.equal(readFileSync(path.join(rig.project, 'n'), 'utf8'), content);
    assert.equal(readFileSync(path.join(rig.project, 'a'), 'utf8'), content);
  });
});

describe('a target that no rename reaches', () => {
  /** Stage and undo on one device, the tree on the other: a file system mounted below the project. */
  interface Away extends Workbench, Disposable {
    stage(slot: number, content: string): FileEntry;
    readonly project: string;
  }
  function bench(): Away {
    const rig = makeRig({ a: 'old', l: { link: 'old' } }, options);
    const [files, undo] = [path.join(rig.home, 'files'), path.join(rig.home, 'undo')];
    mkdirSync(files);
    mkdirSync(undo);
    const root = AnchoredRoot.open(rig.project);
    const areas = [new Area(files), new Area(undo)] as const;
    return {
      root,
      undo: areas[1],
      runId: 'r1',
      temporaryName: '.rmtx-stage-r1',
      area: () => areas[0],
      project: rig.project,
      stage(slot, content) {
        writeFileSync(path.join(files, String(slot)), content);
        return entryOf('x', content) as FileEntry;
      },
      [Symbol.dispose]() {
        root[Symbol.dispose]();
        for (const area of areas) area[Symbol.dispose]();
        rig[Symbol.dispose]();
      },
    };
  }
  const a = 'a' as WorkspacePath;
  const n = 'n' as WorkspacePath;
  const at = (slot: number) => ({ area: 0, slot }) as const;

  test('gets a copy, in one step', needsDevice, () => {
    using away = bench();
    const entry = away.stage(1, 'new');
    assert.equal(placeNew(away, { entry, staged: at(1) }, n), true);
    assert.equal(placeNew(away, { entry: away.stage(2, 'x'), staged: at(2) }, a), false);
    assert.deepEqual(readContents(away.project), { a: 'old', l: '-> old', n: 'new' });
  });

  test('is replaced, its old content in the undo directory, and gets it back', needsDevice, () => {
    using away = bench();
    keepOld(away, a, 7);
    replace(away, { entry: away.stage(1, 'new'), staged: at(1) }, a);
    assert.deepEqual(readContents(away.project), { a: 'new', l: '-> old' });
    putBack(away, a, 7);
    assert.deepEqual(readContents(away.project), { a: 'old', l: '-> old' });
    assert.equal(away.undo.lstat(7), undefined);
  });

  test('is taken away, a file or a link', needsDevice, () => {
    using away = bench();
    const l = 'l' as WorkspacePath;
    const [file, link] = [away.root.lstat(a), away.root.lstat(l)];
    assert.ok(file !== undefined && link !== undefined);
    assert.ok(takeAway(away, a, { number: 1, seen: file, target: undefined }));
    assert.ok(takeAway(away, l, { number: 2, seen: link, target: 'old' }));
    assert.deepEqual(readContents(away.project), {});
    putBack(away, l, 2);
    putBack(away, a, 1);
    assert.deepEqual(readContents(away.project), { a: 'old', l: '-> old' });
  });
});

/** Tests of permissions run as root here and there; they need a user whom permissions bind. */
const NOBODY = 65534;
const isRoot = process.geteuid?.() === 0;

async function asUser<T>(work: () => Promise<T>): Promise<T> {
  if (!isRoot) return await work();
  process.setegid?.(NOBODY);
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

/** Gives a tree to the user; root's stays root's. */
function giveAway(directory: string): void {
  if (!isRoot) return;
  for (const name of ['', ...walk(directory)])
    lchownSync(path.join(directory, name), NOBODY, NOBODY);
}

describe('permissions', () => {
  test('a read-only directory is opened for the work and closed again', async () => {
    using rig = makeRig({ 'd/a': '1', 'd/gone': '2', 'd/sub/x': '3', d: { directoryMode: 0o555 } });
    giveAway(path.dirname(rig.project));
    const theirs = {
      d: { directoryMode: 0o555 },
      'd/a': '1!',
      'd/new': 'n',
      'd/sub': { directoryMode: 0o500 },
      'd/sub/x': '3',
      'd/ro': { directoryMode: 0o555 },
      'd/ro/y': 'y',
    };
    const report = await asUser(() => applyTree(rig, { theirs }));
    assert.deepEqual([report.problems, report.conflicts], [[], []]);
    assert.deepEqual(readContents(rig.project), {
      'd/a': '1!',
      'd/new': 'n',
      'd/ro/y': 'y',
      'd/sub/x': '3',
    });
    const modes = ['d', 'd/sub', 'd/ro'].map(
      (name) => lstatSync(path.join(rig.project, name)).mode & 0o777,
    );
    assert.deepEqual(modes, [0o555, 0o500, 0o555]);
    assert.deepEqual(report.changed, ['d/a', 'd/new', 'd/ro', 'd/ro/y', 'd/sub']);
  });

  test(
    'what the user may not write is a problem of that path, and its content is kept',
    { skip: isRoot ? false : 'needs a directory of another user' },
    async () => {
      using rig = makeRig({ 'mine/a': '1', 'roots/a': '1', 'roots/gone': '2' });
      giveAway(path.dirname(rig.project));
      chownSync(path.join(rig.project, 'roots'), 0, 0);
      const theirs = { 'mine/a': '1!', 'roots/a': '1!', 'roots/new': 'n' };
      const report = await asUser(() => applyTree(rig, { theirs }));
      assert.deepEqual(readContents(rig.project), {
        'mine/a': '1!',
        'roots/a': '1',
        'roots/gone': '2',
      });
      assert.deepEqual(report.problems.map((problem) => `${problem.path} ${problem.code}`).sort(), [
        'roots/a write-failed',
        'roots/gone write-failed',
        'roots/new write-failed',
      ]);
      const message = report.problems.find((problem) => problem.path === 'roots/a')?.message ?? '';
      const kept = /kept as (.*)$/.exec(message)?.[1] ?? '';
      assert.equal(readFileSync(kept, 'utf8'), '1!');
    },
  );

  test('what cannot be read here stays, and is told', async () => {
    using rig = makeRig({ a: '1', b: '2' });
    const table = scanTable(rig.project);
    writeFileSync(path.join(rig.project, 'a'), 'M');
    chmodSync(path.join(rig.project, 'a'), 0);
    giveAway(path.dirname(rig.project));
    const report = await asUser(() => applyTree(rig, { theirs: { a: '!', b: '2!' }, table }));
    assert.deepEqual(
      report.problems.map((problem) => `${problem.path} ${problem.code}`),
      ['a unreadable'],
    );
    assert.equal(lstatSync(path.join(rig.project, 'a')).size, 1);
    assert.equal(readFileSync(path.join(rig.project, 'b'), 'utf8'), '2!');
  });

  test(
    'a replaced file keeps its owner, where the user may see to it',
    { skip: isRoot ? false : 'needs root' },
    async () => {
      using rig = makeRig({ a: '1', d: { directoryMode: 0o755 } });
      chownSync(path.join(rig.project, 'a'), NOBODY, NOBODY);
      chownSync(path.join(rig.project, 'd'), 0, NOBODY);
      chmodSync(path.join(rig.project, 'd'), 0o2775);
      await applyTree(rig, { theirs: { a: '2', 'd/new': 'n', d: { directoryMode: 0o775 } } });
      const owner = (name: string): number[] => {
        const { uid, gid } = lstatSync(path.join(rig.project, name));
        return [uid, gid];
      };
      assert.deepEqual(owner('a'), [NOBODY, NOBODY]);
      assert.deepEqual(owner('d/new'), [0, NOBODY]);
    },
  );
});
