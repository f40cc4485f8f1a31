import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Transaction } from '../../../src/client/apply/transaction.js';
import { recoverInterrupted } from '../../../src/client/recover.js';
import {
  OLD_US,
  applyTree,
  makeRig,
  readContents,
  readTree,
  remove,
  writeTree,
} from '../../support/apply-rig.js';
import type { Rig } from '../../support/apply-rig.js';
import { abandon, interruptApply } from '../../support/interrupted-apply.js';

const base = { a: '1', b: '2', 'd/gone': '3', 'e/f': '4', l: { link: 'a' }, same: '0' };
const theirs = { a: '1!', b: '2!', 'e/f/g': 'x', l: 'now a file', n: 'new', same: '0' };
/** As many operations as that takes: two removals, two directories, four writes and so on. */
const OPERATIONS = 9;

const stageOf = (rig: Rig): string[] => readdirSync(path.join(rig.home, 'stage'));
const kindsOf = (reports: readonly { kind: string }[]): string[] => reports.map(({ kind }) => kind);

test('there is nothing to recover in a home that never applied anything', async () => {
  using rig = makeRig({ a: '1' });
  assert.deepEqual(await recoverInterrupted(rig.home), []);
});

test('a transaction whose process lives is left alone', async () => {
  using rig = makeRig(base);
  const transaction = Transaction.begin({
    clientHome: rig.home,
    runId: 'r1',
    projectRoot: rig.project,
    stateDirectory: rig.stateDirectory,
  });
  assert.deepEqual(await recoverInterrupted(rig.home), []);
  assert.equal(transaction.state, 'staging');
  abandon(transaction.directory);
  assert.deepEqual(kindsOf(await recoverInterrupted(rig.home)), ['discarded']);
});

describe('an interrupted apply', () => {
  test('without a journal is thrown away', async () => {
    using rig = makeRig(base);
    const before = readTree(rig.project);
    await interruptApply(rig, theirs, undefined);
    const reports = await recoverInterrupted(rig.home);
    assert.deepEqual(kindsOf(reports), ['discarded']);
    assert.equal(reports[0]?.runId, 'r1');
    assert.equal(reports[0].projectRoot, rig.project);
    assert.deepEqual(readTree(rig.project), before);
    assert.deepEqual(stageOf(rig), []);
    assert.deepEqual(readdirSync(rig.home).includes('undo'), false);
  });

  for (let done = 0; done <= OPERATIONS; done++)
    test(`is finished from operation ${done} on`, async () => {
      using rig = makeRig(base);
      const { operations } = await interruptApply(rig, theirs, done);
      assert.equal(operations, OPERATIONS);
      const reports = await recoverInterrupted(rig.home);
      assert.deepEqual(kindsOf(reports), ['completed']);
      assert.deepEqual([reports[0]?.conflicts, reports[0]?.problems], [[], []]);
      assert.equal(reports[0]?.changed, 7);
      using wanted = makeRig(theirs);
      assert.deepEqual(readTree(rig.project), readTree(wanted.project));
      assert.deepEqual(stageOf(rig), []);
      assert.deepEqual(await recoverInterrupted(rig.home), []);
      const [undo = ''] = readdirSync(path.join(rig.home, 'undo'));
      assert.ok(existsSync(path.join(rig.home, 'undo', undo, 'record')));
    });

  // Four operations come before the writes of a, b, e/f/g, l and n.
  for (const [done, copies] of [
    [0, ['a', 'b', 'n']],
    [3, ['a', 'b', 'n']],
    [5, ['b', 'n']],
    [6, ['n']],
    [OPERATIONS, []],
  ] as const)
    test(`does not touch what the user did after operation ${done}`, async () => {
      using rig = makeRig(base);
      await interruptApply(rig, theirs, done);
      writeTree(rig.project, {
        a: { content: 'mine', mtimeUs: OLD_US + 1 },
        n: { content: 'mine too', mtimeUs: OLD_US + 1 },
      });
      remove(rig.project, 'b');
      const [report] = await recoverInterrupted(rig.home);
      assert.equal(report?.kind, 'completed');
      assert.deepEqual(
        report.conflicts.map((conflict) => conflict.path),
        copies,
      );
      const contents = { a: '1!', b: '2!', n: 'new' };
      assert.deepEqual(readContents(rig.project), {
        a: 'mine',
        'e/f/g': 'x',
        l: 'now a file',
        n: 'mine too',
        same: '0',
        ...Object.fromEntries(copies.map((at) => [`${at}.rmtx-conflict-r1`, contents[at]])),
      });
    });

  test('is finished by one of several processes that come at once', async () => {
    using rig = makeRig(base);
    await interruptApply(rig, theirs, 4);
    const all = await Promise.all([1, 2, 3].map(() => recoverInterrupted(rig.home)));
    assert.deepEqual(kindsOf(all.flat()), ['completed']);
    using wanted = makeRig(theirs);
    assert.deepEqual(readTree(rig.project), readTree(wanted.project));
  });

  test('whose stage a power cut damaged is taken back', async () => {
    for (const done of [0, 3, 6]) {
      using rig = makeRig(base);
      const before = readTree(rig.project);
      const { directory } = await interruptApply(rig, theirs, done);
      const [file = ''] = readdirSync(path.join(directory, 'files')).slice(-1);
      truncateSync(path.join(directory, 'files', file), 0);
      const reports = await recoverInterrupted(rig.home);
      assert.deepEqual(kindsOf(reports), ['rolled-back']);
      assert.deepEqual(readTree(rig.project), before);
      assert.deepEqual(stageOf(rig), []);
    }
  });

  test('of which a power cut left a name without its bytes is taken back', async () => {
    using rig = makeRig(base);
    const before = readTree(rig.project);
    await interruptApply(rig, theirs, 7);
    for (const name of ['a', 'e/f/g']) {
      const file = path.join(rig.project, name);
      truncateSync(file, 0);
      utimesSync(file, OLD_US / 1e6, OLD_US / 1e6);
    }
    assert.deepEqual(kindsOf(await recoverInterrupted(rig.home)), ['rolled-back']);
    assert.deepEqual(readTree(rig.project), before);
  });

  test('whose conflict copy the user took away meanwhile is finished all the same', async () => {
    using rig = makeRig({ a: '1' });
    const planned = await interruptApply(rig, { a: '2' }, 0);
    assert.equal(planned.operations, 1);
    writeTree(rig.project, { a: { content: 'mine', mtimeUs: OLD_US + 1 } });
    for (const name of readdirSync(path.join(planned.directory, 'files')))
      rmSync(path.join(planned.directory, 'files', name));
    assert.deepEqual(kindsOf(await recoverInterrupted(rig.home)), ['completed']);
    assert.deepEqual(readContents(rig.project), { a: 'mine' });
  });

  test('that is taken back leaves what the user changed, and keeps the old content', async () => {
    using rig = makeRig(base);
    const { directory } = await interruptApply(rig, theirs, 7);
    const mine = { content: 'mine', mtimeUs: OLD_US + 1 };
    writeTree(rig.project, { a: mine, 'd/gone': mine });
    for (const file of readdirSync(path.join(directory, 'files')))
      truncateSync(path.join(directory, 'files', file), 0);
    const [report] = await recoverInterrupted(rig.home);
    assert.equal(report?.kind, 'rolled-back');
    assert.deepEqual(
      report.problems.map((problem) => problem.path),
      ['a', 'd/gone'],
    );
    assert.deepEqual(readContents(rig.project), {
      ...readContents(rig.project),
      a: 'mine',
      b: '2',
    });
    const undo = path.join(rig.home, 'undo', readdirSync(path.join(rig.home, 'undo'))[0] ?? '');
    const kept = readdirSync(undo).filter((name) => name !== 'record');
    assert.deepEqual(kept.map((name) => readFileSync(path.join(undo, name), 'utf8')).sort(), [
      '1',
      '3',
    ]);
  });

  test('with a damaged journal is put aside whole, and nothing is guessed', async () => {
    using rig = makeRig(base);
    const { directory } = await interruptApply(rig, theirs, 3);
    const before = readTree(rig.project);
    const journal = path.join(directory, 'journal');
    truncateSync(journal, readFileSync(journal).length - 1);
    const [report] = await recoverInterrupted(rig.home);
    assert.equal(report?.kind, 'quarantined');
    assert.deepEqual(readTree(rig.project), before);
    const aside = path.join(rig.home, 'quarantine', path.basename(directory));
    assert.ok(report.message?.includes(aside));
    assert.ok(readdirSync(path.join(aside, 'files')).length > 0);
    assert.deepEqual(await recoverInterrupted(rig.home), []);
  });

  test('without a readable header is put aside, too', async () => {
    using rig = makeRig(base);
    const { directory } = await interruptApply(rig, theirs, 3);
    writeFileSync(path.join(directory, 'header'), '{"runId":');
    assert.deepEqual(kindsOf(await recoverInterrupted(rig.home)), ['quarantined']);
    assert.deepEqual(stageOf(rig), []);
  });

  test('of a project that is not there waits for it', async () => {
    using rig = makeRig(base);
    await interruptApply(rig, theirs, 3);
    const away = `${rig.project}-away`;
    renameSync(rig.project, away);
    const [report] = await recoverInterrupted(rig.home);
    assert.equal(report?.kind, 'waiting');
    assert.ok(report.message?.includes(rig.project));
    for (const name of stageOf(rig)) abandon(path.join(rig.home, 'stage', name));
    renameSync(away, rig.project);
    assert.deepEqual(kindsOf(await recoverInterrupted(rig.home)), ['completed']);
  });

  test('that was carried out and not cleaned up is cleaned up without a word', async () => {
    using rig = makeRig(base);
    const { directory } = await interruptApply(rig, theirs, OPERATIONS);
    renameSync(path.join(directory, 'journal'), path.join(directory, 'journal.done'));
    assert.deepEqual(await recoverInterrupted(rig.home), []);
    assert.deepEqual(stageOf(rig), []);
    const [undo = ''] = readdirSync(path.join(rig.home, 'undo'));
    assert.ok(existsSync(path.join(rig.home, 'undo', undo, 'record')));
  });

  test('does not keep the next one from the same project', async () => {
    using rig = makeRig(base);
    await interruptApply(rig, theirs, 3);
    await recoverInterrupted(rig.home);
    const report = await applyTree(rig, { theirs: { ...theirs, a: '1!!' }, runId: 'r2' });
    assert.deepEqual(report.changed, ['a']);
  });
});

test('what was never started, or is over, is swept away when it is old', async () => {
  using rig = makeRig({ a: '1' });
  const make = (name: string, ageMs: number): void => {
    const directory = path.join(rig.home, 'stage', name);
    mkdirSync(directory, { recursive: true });
    const time = (Date.now() - ageMs) / 1000;
    utimesSync(directory, time, time);
  };
  make('.new-young', 1000);
  make('.new-old', 2 * 60 * 60 * 1000);
  make('.old-1', 0);
  assert.deepEqual(await recoverInterrupted(rig.home), []);
  assert.deepEqual(stageOf(rig), ['.new-young']);
});
