/** Kills a sync-back somewhere, lets recovery work, and says whether the project is whole. */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { recoverInterrupted } from '../../src/client/recover.js';
import { saveEntryTable } from '../../src/sync/entry-table-file.js';
import { applyTree, makeRig, readTree, scanTable, walk } from './apply-rig.js';
import type { Rig } from './apply-rig.js';
import { crashTrees } from './apply-worker.js';

const WORKER = path.join(__dirname, 'apply-worker.js');

/** Every system call that changes what is on disk and that an apply makes. */
export const CHANGING_CALLS = [
  'rename',
  'link',
  'unlink',
  'mkdir',
  'rmdir',
  'symlink',
  'fchmod',
  'utimensat',
  'fsync',
  'pwrite64',
  'write',
] as const;
export type ChangingCall = (typeof CHANGING_CALLS)[number];

export const hasStrace = spawnSync('strace', ['-V']).status === 0;

/** Both ends of the way, made once by an apply that nobody disturbs. */
export interface WholeStates {
  readonly files: number;
  readonly before: Record<string, string>;
  readonly after: Record<string, string>;
}

export async function wholeStates(files: number): Promise<WholeStates> {
  const { base, theirs } = crashTrees(files);
  using rig = makeRig(base);
  const before = readTree(rig.project);
  await applyTree(rig, { theirs, allowMassDelete: true });
  return { files, before, after: readTree(rig.project) };
}

/** Another device than the one for temporary files, if there is one that everybody may write to. */
const away = ['/dev/shm', '/var/tmp'].find(
  (directory) =>
    statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true &&
    statSync(directory).dev !== statSync(os.tmpdir()).dev,
);
let rigs = 0;

/**
 * A project in the state before, with its manifest where the worker looks for it; every second one on
 * another device than the client's home.
 */
export function makeCrashRig({ files }: Pick<WholeStates, 'files'>): Rig {
  rigs += 1;
  const options =
    away === undefined || files === 1 || rigs % 2 === 0 ? {} : { projectParent: away };
  const rig = makeRig(crashTrees(files).base, options);
  saveEntryTable(path.join(rig.home, 'base'), scanTable(rig.project));
  return rig;
}

export interface WorkerEnd {
  readonly isApplied: boolean;
  /** What it threw; '' where it was killed or is through. */
  readonly failure: string;
}

function endOf(stdout: string): WorkerEnd {
  return {
    isApplied: stdout.includes('applied'),
    failure: /^failed: (.*)$/m.exec(stdout)?.[1] ?? '',
  };
}

/** Makes the worker recover instead. */
export const RECOVER: Pick<WholeStates, 'files'> = { files: 0 };

/** Runs the worker to its end, or to where the command in front of it lets it come. */
export async function runWorker(
  rig: Rig,
  { files }: Pick<WholeStates, 'files'>,
  through: readonly string[] = [],
): Promise<WorkerEnd> {
  const command = [...through, process.execPath, WORKER, rig.home, rig.project, String(files)];
  const [program = '', ...args] = command;
  try {
    return endOf((await promisify(execFile)(program, args, { env: workerEnvironment })).stdout);
  } catch (error) {
    return endOf((error as { stdout?: string }).stdout ?? '');
  }
}

/** Kills the worker after so many milliseconds, if it is not over by then. */
export function runWorkerAndKill(
  rig: Rig,
  { files }: WholeStates,
  delayMs: number,
): Promise<WorkerEnd> {
  const args = [WORKER, rig.home, rig.project, String(files)];
  const child = spawn(process.execPath, args, { env: workerEnvironment });
  let stdout = '';
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), delayMs);
  return new Promise((resolve) => {
    child.on('close', () => {
      clearTimeout(timer);
      resolve(endOf(stdout));
    });
  });
}

/** How often an undisturbed apply makes each call. */
export async function countCalls(states: WholeStates): Promise<Map<ChangingCall, number>> {
  using rig = makeCrashRig(states);
  const log = path.join(rig.home, 'strace');
  const calls = CHANGING_CALLS.join(',');
  const end = await runWorker(rig, states, ['strace', '-f', '-o', log, '-e', `trace=${calls}`]);
  assert.ok(end.isApplied, end.failure);
  const counts = new Map<ChangingCall, number>();
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const name = /^\d+ +([a-z0-9]+)\(/.exec(line)?.[1];
    const call = CHANGING_CALLS.find((one) => one === name);
    if (call !== undefined) counts.set(call, (counts.get(call) ?? 0) + 1);
  }
  return counts;
}

/** Does something to the process when it makes a call for the n-th time; `'3+'`: from then on. */
export function atCall(call: ChangingCall, number: number | string, what: string): string[] {
  const inject = `inject=${call}:${what}:when=${number}`;
  return ['strace', '-f', '-qqq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
}

export type WholeState = 'before' | 'after';

/**
 * Lets recovery work like the next command would, and asserts that the project is in one of the two
 * states with nothing of ours left in it or in the stage.
 */
export async function recoverAndCheck(rig: Rig, states: WholeStates): Promise<WholeState> {
  const reports = await recoverInterrupted(rig.home);
  for (const report of reports) {
    assert.notEqual(report.kind, 'quarantined', report.message);
    assert.notEqual(report.kind, 'waiting', report.message);
    assert.deepEqual([report.conflicts, report.problems], [[], []]);
  }
  const ours = walk(rig.project).filter((name) => name.includes('.rmtx-'));
  assert.deepEqual(ours, []);
  const left = readdirSync(rig.home).includes('stage')
    ? readdirSync(path.join(rig.home, 'stage'))
    : [];
  assert.deepEqual(
    left.filter((name) => !name.startsWith('.new-')),
    [],
  );
  const now = readTree(rig.project);
  if (differences(now, states.before).length === 0) return 'before';
  assert.deepEqual(differences(now, states.after), []);
  return 'after';
}

/** The first few paths at which two trees differ, and how. */
export function differences(a: Record<string, string>, b: Record<string, string>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => a[name] !== b[name])
    .slice(0, 5)
    .map((name) => `${name}: ${a[name] ?? 'nothing'} and not ${b[name] ?? 'nothing'}`);
}

const workerEnvironment = { ...process.env };
// Costs every start of Node 20 about 40 ms.
delete workerEnvironment['NODE_EXTRA_CA_CERTS'];
delete workerEnvironment['NODE_TEST_CONTEXT'];
