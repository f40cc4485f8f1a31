/**
 * A mark on every process of a run that clearing the environment, `setsid`, double forks and a change of
 * user do not take off: the soft limit on file locks (RLIMIT_LOCKS), set to a number made from the run's id.
 *
 * Linux has not enforced this limit since 2.4.25, so its value changes nothing for anybody. Every child
 * inherits it, `execve` keeps it, and /proc/PID/limits shows it to everybody, also of a process whose
 * environment is hidden (ssh-agent makes itself undumpable). It outlives the host, which finds it again by
 * the run's id alone.
 *
 * Node cannot set limits. `prlimit` (util-linux) sets that of this process right before it makes the run's
 * leader; the leader itself is started with nothing in between, so its argv, its environment and the ways
 * in which it can fail to start stay as they are. One run after the other. Where there is no `prlimit`
 * (Alpine without util-linux) there are no marks.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { findProgram } from '../util/find-program.js';

const USUAL_DIRECTORIES = '/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin';
/** As /proc/PID/limits prints it; the value follows. */
const LIMIT_LINE = 'Max file locks            ';

/** The run whose mark this process carries, and so hands on to whatever it starts. */
let carried: string | undefined;
/** False once it turned out that this system does not keep the mark. */
let isKept = true;
/** Set by `prlimit`, one after the other. */
let queue: Promise<unknown> = Promise.resolve();
/** Runs whose mark was still on this process when it started something else: for them it proves nothing. */
const spoiled = new Set<string>();

/** Nineteen digits that nobody chooses by hand. */
function markOf(runId: string): string {
  const number = createHash('sha256').update(`rmtx run ${runId}`).digest().readBigUInt64BE();
  return String(2n ** 61n + (number & (2n ** 61n - 1n)));
}

/** The line of /proc/PID/limits that proves that a process is of the run; undefined: nothing does. */
export function provingLimit(runId: string): string | undefined {
  return canMark() && !spoiled.has(runId) ? `${LIMIT_LINE}${markOf(runId)} ` : undefined;
}

/** Whether processes are marked on this system. */
export function canMark(): boolean {
  return isKept && findPrlimit() !== undefined;
}

/**
 * Sets the mark early, while the run's files are still on their way: it costs a process, 3 ms. Another run
 * that starts meanwhile only undoes the advantage.
 */
export function prepareMark(runId: string): void {
  void inTurn(() => setMark(runId));
}

/** Calls `start`, which makes the leader of the run synchronously, with the run's mark on this process. */
export function startMarked<T>(runId: string, start: () => T): Promise<T> {
  return inTurn(async () => {
    await setMark(runId);
    return start();
  });
}

/** Right before anything is started for a run. */
export function noteStart(runId: string): void {
  if (carried !== undefined && carried !== runId) spoiled.add(carried);
}

/**
 * The command line that starts something which is of no run, whichever run's mark this process carries at
 * the moment: it takes the mark off itself before it becomes what is meant.
 */
export function unmarkedCommand(command: readonly string[]): readonly string[] {
  const prlimit = findPrlimit();
  if (prlimit === undefined || !isKept) return command;
  return [prlimit, '--locks=unlimited:', '--', ...command];
}

/** Takes the mark off a process that was started for a run and is not of it. */
export async function unmark(pid: number): Promise<void> {
  const prlimit = findPrlimit();
  if (prlimit === undefined || !isKept) return;
  await runPrlimit(prlimit, ['--pid', String(pid), '--locks=unlimited:']);
}

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work);
  queue = result.catch(() => undefined);
  return result;
}

async function setMark(runId: string): Promise<void> {
  const prlimit = findPrlimit();
  if (carried === runId || prlimit === undefined || !isKept) return;
  const mark = markOf(runId);
  const outcome = await runPrlimit(prlimit, ['--pid', String(process.pid), `--locks=${mark}:`]);
  if (readOwnLimits().includes(`${LIMIT_LINE}${mark} `)) carried = runId;
  // Short of processes it may work the next time; a system that refuses it always will.
  else if (outcome === 'ran') isKept = false;
}

function runPrlimit(file: string, args: readonly string[]): Promise<'ran' | 'not-run'> {
  return new Promise((resolve) => {
    try {
      const prlimit = spawn(file, args, { stdio: 'ignore', env: {}, cwd: '/' });
      prlimit.on('error', () => resolve('not-run'));
      prlimit.on('exit', () => resolve('ran'));
    } catch {
      // Node throws where it is short of descriptors.
      resolve('not-run');
    }
  });
}

function readOwnLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return '';
  }
}

let prlimitFile: string | false | undefined;

function findPrlimit(): string | undefined {
  prlimitFile ??=
    process.platform === 'linux' &&
    (findProgram('prlimit', `${USUAL_DIRECTORIES}:${process.env['PATH'] ?? ''}`) ?? false);
  return prlimitFile === false ? undefined : prlimitFile;
}
