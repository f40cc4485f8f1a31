/**
 * kill -9 at chosen system calls and at random moments of an apply: afterwards recovery leaves the project
 * wholly before or wholly after. RMTX_LONG_TESTS=1 applies 3,000 files and takes many more points.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { systemErrorCode } from '../../src/errors.js';
import { recoverInterrupted } from '../../src/client/recover.js';
import { readContents, readTree, walk } from '../support/apply-rig.js';
import type { Rig } from '../support/apply-rig.js';
import {
  CHANGING_CALLS,
  RECOVER,
  atCall,
  countCalls,
  differences,
  hasStrace,
  makeCrashRig,
  recoverAndCheck,
  runWorker,
  runWorkerAndKill,
  wholeStates,
} from '../support/apply-crash.js';
import type { WholeState } from '../support/apply-crash.js';

const isLong = process.env['RMTX_LONG_TESTS'] === '1';
const FILES = isLong ? 3000 : 40;
const RANDOM_KILLS = isLong ? 60 : 3;
const calls = isLong
  ? CHANGING_CALLS
  : (['rename', 'link', 'unlink', 'mkdir', 'rmdir', 'fsync', 'write'] as const);

/** In a long run evenly spread over 1…count, the ends included; else one, another at each test run. */
function pointsIn(count: number): number[] {
  if (count === 0) return [];
  if (!isLong) return [1 + Math.floor(Math.random() * count)];
  const points = new Set<number>();
  for (let index = 0; index < 12; index++) points.add(1 + Math.round(((count - 1) * index) / 11));
  return [...points];
}

/** Made once for all tests. */
const whole = once(() => wholeStates(FILES));
const counted = once(async () => countCalls(await whole()));

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

function tally(states: readonly WholeState[]): string {
  const after = states.filter((state) => state === 'after').length;
  return `${states.length} kills: ${states.length - after} wholly before, ${after} wholly after`;
}

const needsStrace = { skip: hasStrace ? false : 'strace is not installed' };

describe('an apply that is killed', () => {
  test(
    'at a system call that changes something is wholly before or after',
    needsStrace,
    async (t) => {
      const states = await whole();
      const counts = await counted();
      const ends: WholeState[] = [];
      for (const call of calls) {
        for (const number of pointsIn(counts.get(call) ?? 0)) {
          using rig = makeCrashRig(states);
          await runWorker(rig, states, atCall(call, number, 'signal=KILL'));
          ends.push(await named(`killed at ${call} ${number}`, () => recoverAndCheck(rig, states)));
        }
      }
      t.diagnostic(`${tally(ends)}; calls: ${JSON.stringify(Object.fromEntries(counts))}`);
    },
  );

  test('at any moment is wholly before or after', async (t) => {
    const states = await whole();
    const undisturbedMs = await timeOf(async () => {
      using rig = makeCrashRig(states);
      assert.ok((await runWorker(rig, states)).isApplied);
    });
    const ends: WholeState[] = [];
    for (let kill = 0; kill < RANDOM_KILLS; kill++) {
      using rig = makeCrashRig(states);
      await runWorkerAndKill(rig, states, undisturbedMs * (0.1 + Math.random()));
      ends.push(await recoverAndCheck(rig, states));
    }
    t.diagnostic(tally(ends));
  });

  test('and whose recovery is killed, too, is finished by the next', needsStrace, async (t) => {
    const states = await whole();
    const counts = await counted();
    const middle = Math.round((counts.get('rename') ?? 0) / 2);
    const ends: WholeState[] = [];
    for (const call of ['rename', 'link', 'unlink'] as const) {
      for (const number of pointsIn(Math.round((counts.get(call) ?? 0) / 3))) {
        using rig = makeCrashRig(states);
        await runWorker(rig, states, atCall('rename', middle, 'signal=KILL'));
        await runWorker(rig, RECOVER, atCall(call, number, 'signal=KILL'));
        ends.push(await named(`at ${call} ${number}`, () => recoverAndCheck(rig, states)));
      }
    }
    assert.ok(ends.every((state) => state === 'after'));
    t.diagnostic(tally(ends));
  });
});

describe('an apply whose disk fails', () => {
  /** Calls that need no space fail with what a bad disk says. */
  const errors = ['fsync', 'unlink', 'rmdir', 'fchmod', 'utimensat'];

  test('once is taken back at once, and says so', needsStrace, async (t) => {
    const states = await whole();
    const counts = await counted();
    const ends: WholeState[] = [];
    for (const call of calls) {
      const error = errors.includes(call) ? 'EIO' : 'ENOSPC';
      for (const number of pointsIn(counts.get(call) ?? 0)) {
        using rig = makeCrashRig(states);
        const end = await runWorker(rig, states, atCall(call, number, `error=${error}`));
        await named(`${error} at ${call} ${number}`, async () => {
          const now = readTree(rig.project);
          // What the failing call left of the stage is for the next command to sweep away.
          for (const name of Object.keys(now))
            if (name.startsWith('.rmtx-stage-')) Reflect.deleteProperty(now, name);
          // Node itself ends without a word where a write of its own fails, as if it had been killed.
          const isKilled = !end.isApplied && end.failure === '';
          if (!isKilled)
            assert.deepEqual(differences(now, end.isApplied ? states.after : states.before), []);
          if (!end.isApplied && !isKilled)
            assert.match(
              end.failure,
              /nothing is changed|before anything was changed|EIO|no space/,
            );
          ends.push(await recoverAndCheck(rig, states));
          if (!isKilled) assert.equal(ends.at(-1), end.isApplied ? 'after' : 'before');
        });
      }
    }
    t.diagnostic(tally(ends));
  });

  test(
    'for good is put in order by the next command on a disk that works',
    needsStrace,
    async (t) => {
      const states = await whole();
      const counts = await counted();
      const ends: WholeState[] = [];
      for (const call of calls) {
        const error = errors.includes(call) ? 'EIO' : 'ENOSPC';
        for (const number of pointsIn(counts.get(call) ?? 0)) {
          using rig = makeCrashRig(states);
          await runWorker(rig, states, atCall(call, `${number}+`, `error=${error}`));
          const what = `${error} from ${call} ${number} on`;
          ends.push(await named(what, () => recoverAndCheck(rig, states)));
        }
      }
      t.diagnostic(tally(ends));
    },
  );
});

describe('an edit in the very moment', () => {
  // The first three are those of the header, the transaction and the journal. From then on each rename
  // waits, so that the edit comes after the last look at the path.
  const slowRename = atCall('rename', '4+', 'delay_enter=400000');

  /** Applies to a project of one edited and one deleted file; acts when `isTime` says so. */
  async function applyWith(
    isTime: (rig: Rig) => boolean,
    act: (project: string) => void,
  ): Promise<Record<string, string>> {
    using rig = makeCrashRig({ files: 1 });
    const worker = { isOver: false };
    const applying = runWorker(rig, { files: 1 }, slowRename).finally(() => (worker.isOver = true));
    while (!worker.isOver && !isTime(rig)) await setTimeout(5);
    assert.ok(!worker.isOver, 'the moment has come');
    act(rig.project);
    assert.ok((await applying).isApplied);
    assert.deepEqual(await recoverInterrupted(rig.home), []);
    return readContents(rig.project);
  }
  /** The worker makes and removes directories meanwhile. */
  const isThere = (directory: string, suffix: string): boolean => {
    try {
      return walk(directory).some((name) => name.endsWith(suffix));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return false;
      throw error;
    }
  };

  test('of a replacement is seen, and stays in place', needsStrace, async () => {
    const isLinked = ({ home }: Rig): boolean => isThere(path.join(home, 'undo'), '/1');
    const contents = await applyWith(isLinked, (project) => {
      writeFileSync(path.join(project, 'edited'), 'mine', { flag: 'r+' });
    });
    assert.deepEqual(contents, { edited: 'mine', 'edited.rmtx-conflict-r1': 'theirs' });
  });

  test('of a deletion is seen, and stays in place', needsStrace, async () => {
    const hasJournal = ({ home }: Rig): boolean => isThere(path.join(home, 'stage'), '/journal');
    const contents = await applyWith(hasJournal, (project) => {
      writeFileSync(path.join(project, 'gone'), 'mine', { flag: 'r+' });
    });
    assert.deepEqual(contents, { edited: 'theirs', gone: 'mine' });
  });
});

/** Says at which point a check failed. */
async function named<T>(what: string, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    throw new Error(what, { cause: error });
  }
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
