/** The processes of Linux, from /proc. */
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { provesAscending, provesNoDescendants, provesNumberIsOurs } from './pid-numbering.js';
import type {
  NumberingMark,
  ProcessKey,
  ProcessQuery,
  ProcessScan,
  ProcessTable,
  RunProcess,
} from './process-table.js';

/** PF_KTHREAD, include/linux/sched.h: a thread of the kernel, in nobody's tree. */
const KERNEL_THREAD = 0x00200000;
/** How many processes may appear between two calls; only the order of looking depends on it. */
const MADE_SINCE_MARK = 256;
const NOTHING: ProcessScan = { processes: [], isSettled: true };

/** Fields of /proc/PID/stat, proc_pid_stat(5). */
interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTicks: number;
  readonly isGone: boolean;
  readonly isKernelThread: boolean;
}

/**
 * Costs about 20 µs when nothing at all was started beside the leader, else a directory listing and
 * 10 to 30 µs for every process younger than the leader.
 */
export class ProcTable implements ProcessTable {
  readonly description = 'process groups, sessions and environments in /proc';
  readonly #pidMax = Number(readSmall('/proc/sys/kernel/pid_max') ?? 0);
  /**
   * Processes whose environment was empty when we looked: that of one in the middle of `execve` is,
   * for an instant. One that is still empty at the next look has none.
   */
  readonly #emptyOnce = new Set<string>();

  mark(): NumberingMark | undefined {
    const forks = /^processes (\d+)$/m.exec(readSmall('/proc/stat') ?? '')?.[1];
    const lastPid = readSmall('/proc/loadavg')?.trim().split(' ').at(-1);
    return forks === undefined || lastPid === undefined
      ? undefined
      : { forks: Number(forks), lastPid: Number(lastPid) };
  }

  startOf(pid: number): string {
    const stat = readStat(pid);
    return stat === undefined ? '' : String(stat.startTicks);
  }

  isSame(key: ProcessKey): boolean {
    const stat = readStat(key.pid);
    return stat !== undefined && !stat.isGone && String(stat.startTicks) === key.startedAt;
  }

  scan({ runId, leader }: ProcessQuery, onFound?: (process: RunProcess) => void): ProcessScan {
    const now = this.mark();
    if (leader?.end !== undefined && provesNoDescendants(leader, now)) return NOTHING;
    const isAscending = leader !== undefined && provesAscending(leader, now, this.#pidMax);
    const isOurs = leader !== undefined && provesNumberIsOurs(leader, now, this.#pidMax);
    const judge = new Judge(runId, isOurs ? leader.pid : undefined);
    const earliest = leader === undefined ? 0 : Number(leader.startedAt);
    const processes: RunProcess[] = [];
    const others: Stat[] = [];
    let isSettled = true;
    const add = (stat: Stat): void => {
      const found = judge.toProcess(stat);
      processes.push(found);
      onFound?.(found);
    };
    for (const pid of this.#newestFirst(isAscending ? leader.pid : 0, now)) {
      const stat = readStat(pid);
      if (stat === undefined) isSettled = false;
      else if (!stat.isGone && !stat.isKernelThread && stat.startTicks >= earliest) {
        const verdict = judge.judge(stat);
        if (verdict === 'member') add(stat);
        else others.push(stat);
        if (verdict === 'gone' || (verdict === 'empty' && this.#isFirstLook(stat)))
          isSettled = false;
      }
    }
    for (const stat of judge.relatives(others)) add(stat);
    return { processes, isSettled };
  }

  #isFirstLook(stat: Stat): boolean {
    const key = `${stat.pid}:${stat.startTicks}`;
    if (this.#emptyOnce.has(key)) return false;
    this.#emptyOnce.add(key);
    return true;
  }

  /** Every process but this one from `lowestPid` on, the ones made last first, also after a wrap. */
  #newestFirst(lowestPid: number, now: NumberingMark | undefined): number[] {
    // Some were made since the mark.
    const newest = (now?.lastPid ?? 0) + MADE_SINCE_MARK;
    const age = (pid: number): number => (newest - pid + this.#pidMax) % this.#pidMax;
    return listProc()
      .map(Number)
      .filter((pid) => pid >= lowestPid && pid !== process.pid)
      .sort((one, other) => age(one) - age(other));
  }
}

/** Decides for one scan. */
class Judge {
  readonly #needle: Buffer;
  readonly #leaderNumber: number | undefined;
  readonly #members = new Set<number>();

  /** `leaderNumber` is given when that number provably still stands for the run's group and session. */
  constructor(runId: string, leaderNumber: number | undefined) {
    this.#needle = Buffer.from(`RMTX_RUN_ID=${runId}\0`);
    this.#leaderNumber = leaderNumber;
  }

  judge(stat: Stat): 'member' | 'stranger' | 'empty' | 'gone' {
    if (this.#leaderNumber !== undefined && this.#hasLeaderNumber(stat)) {
      this.#members.add(stat.pid);
      return 'member';
    }
    const environment = readEnvironment(stat.pid);
    if (environment === 'gone') return 'gone';
    if (environment === 'hidden') return 'stranger';
    if (environment.length === 0) return 'empty';
    if (!this.#names(environment)) return 'stranger';
    this.#members.add(stat.pid);
    return 'member';
  }

  /** Of the others: the children of members, and who is in a session that a member leads. */
  relatives(others: readonly Stat[]): Stat[] {
    const found = new Set<Stat>();
    let before: number;
    do {
      before = found.size;
      for (const stat of others) {
        if (!this.#members.has(stat.parent) && !this.#members.has(stat.session)) continue;
        this.#members.add(stat.pid);
        found.add(stat);
      }
    } while (found.size > before);
    return [...found];
  }

  toProcess(stat: Stat): RunProcess {
    return {
      pid: stat.pid,
      startedAt: String(stat.startTicks),
      isInLeaderGroup: stat.group === this.#leaderNumber,
    };
  }

  #hasLeaderNumber(stat: Stat): boolean {
    return (
      stat.pid === this.#leaderNumber ||
      stat.group === this.#leaderNumber ||
      stat.session === this.#leaderNumber
    );
  }

  #names(environment: Buffer): boolean {
    const at = environment.indexOf(this.#needle);
    return at === 0 || (at > 0 && (environment[at - 1] === 0 || this.#namesLater(environment, at)));
  }

  /** The text may first occur inside the value of another variable. */
  #namesLater(environment: Buffer, first: number): boolean {
    return environment.indexOf(Buffer.concat([Buffer.of(0), this.#needle]), first) >= 0;
  }
}

function listProc(): string[] {
  try {
    return readdirSync('/proc');
  } catch {
    // Short of descriptors. A number that no process has makes the look count as not settled.
    return ['0'];
  }
}

/** Undefined where the process is gone. */
function readStat(pid: number): Stat | undefined {
  const text = readSmall(`/proc/${pid}/stat`);
  if (text === undefined || text === '') return undefined;
  // The name in field 2 may hold spaces, brackets and newlines; nothing after it does.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  const state = fields[0];
  return {
    pid,
    parent: field(4),
    group: field(5),
    session: field(6),
    startTicks: field(22),
    // A dead first thread can leave others of its process running.
    isGone: state === 'X' || (state === 'Z' && field(20) <= 1),
    isKernelThread: (field(9) & KERNEL_THREAD) !== 0,
  };
}

/** `hidden`: it belongs to another user, or changed its user. */
function readEnvironment(pid: number): Buffer | 'hidden' | 'gone' {
  try {
    return readFileSync(`/proc/${pid}/environ`);
  } catch (error) {
    const code = systemErrorCode(error) ?? '';
    // Short of descriptors counts as gone, too: look again.
    return code === 'EACCES' || code === 'EPERM' ? 'hidden' : 'gone';
  }
}

const SMALL = Buffer.allocUnsafe(64 * 1024);

/** Three system calls and no allocation to speak of: five times cheaper than `readFileSync`. */
function readSmall(file: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return undefined;
  }
  try {
    let text = '';
    for (;;) {
      const length = readSync(fd, SMALL, 0, SMALL.length, null);
      text += SMALL.toString('latin1', 0, length);
      if (length < SMALL.length) return text;
    }
  } catch {
    // ESRCH: the process ended between the two calls.
    return undefined;
  } finally {
    closeSync(fd);
  }
}
