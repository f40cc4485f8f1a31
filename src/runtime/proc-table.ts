/** The processes of Linux, from /proc. */
import {
  listProcesses,
  readEnvironment,
  readLimits,
  readSmall,
  readStat,
  takesDefaultAction,
} from './proc-files.js';
import type { Stat } from './proc-files.js';
import { provesAscending, provesNoDescendants, provesNumberIsOurs } from './pid-numbering.js';
import { canMark, provingLimit } from './process-mark.js';
import type {
  NumberingMark,
  ProcessKey,
  ProcessQuery,
  ProcessScan,
  ProcessTable,
  RunProcess,
} from './process-table.js';

/** How many processes may appear between two calls; only the order of looking depends on it. */
const MADE_SINCE_MARK = 256;
const NOTHING: ProcessScan = { processes: [], isSettled: true };
/** USER_HZ: the unit of start times in /proc, on every processor that Node runs on. */
const TICKS_PER_SECOND = 100;
const SIGTSTP = 20;

/**
 * Costs about 20 µs when nothing at all was started beside the leader, else a directory listing and
 * 10 to 40 µs for every process younger than the leader.
 */
export class ProcTable implements ProcessTable {
  readonly #pidMax = Number(readSmall('/proc/sys/kernel/pid_max') ?? 0);
  /**
   * Processes whose environment was empty when we looked: that of one in the middle of `execve` is,
   * for an instant. One that is still empty at the next look has none.
   */
  readonly #emptyOnce = new Set<string>();

  get description(): string {
    return canMark()
      ? 'marks, process groups, sessions and environments in /proc'
      : 'process groups, sessions and environments in /proc (no prlimit, so no marks)';
  }

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

  now(): number | undefined {
    const seconds = Number.parseFloat(readSmall('/proc/uptime') ?? '');
    return Number.isNaN(seconds) ? undefined : Math.floor(seconds * TICKS_PER_SECOND);
  }

  isSame(key: ProcessKey): boolean {
    const stat = readStat(key.pid);
    return stat !== undefined && !stat.isGone && String(stat.startTicks) === key.startedAt;
  }

  isStoppedByDefault(key: ProcessKey): boolean {
    return takesDefaultAction(key.pid, SIGTSTP);
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
      const found = toProcess(stat);
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
    return listProcesses()
      .filter((pid) => pid >= lowestPid && pid !== process.pid)
      .sort((one, other) => age(one) - age(other));
  }
}

function toProcess(stat: Stat): RunProcess {
  return {
    pid: stat.pid,
    startedAt: String(stat.startTicks),
    group: stat.group,
    session: stat.session,
    bornAt: stat.startTicks,
    isStopped: stat.isStopped,
  };
}

/** Decides for one scan. */
class Judge {
  readonly #needle: Buffer;
  readonly #limit: string | undefined;
  readonly #leaderNumber: number | undefined;
  readonly #members = new Set<number>();
  #ownSession: number | undefined;

  /** `leaderNumber` is given when that number provably still stands for the run's group and session. */
  constructor(runId: string, leaderNumber: number | undefined) {
    this.#needle = Buffer.from(`RMTX_RUN_ID=${runId}\0`);
    this.#limit = provingLimit(runId);
    this.#leaderNumber = leaderNumber;
  }

  judge(stat: Stat): 'member' | 'stranger' | 'empty' | 'gone' {
    const verdict = this.#look(stat);
    if (verdict === 'member') this.#members.add(stat.pid);
    return verdict;
  }

  #look(stat: Stat): 'member' | 'stranger' | 'empty' | 'gone' {
    if (this.#leaderNumber !== undefined && this.#hasLeaderNumber(stat)) return 'member';
    const environment = readEnvironment(stat.pid);
    if (environment === 'gone') return 'gone';
    if (environment !== 'hidden' && this.#names(environment)) return 'member';
    if (this.#isMarked(stat)) return 'member';
    return environment !== 'hidden' && environment.length === 0 ? 'empty' : 'stranger';
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

  /** The text may also occur inside of another entry. */
  #names(environment: Buffer): boolean {
    const needle = this.#needle;
    for (let at = environment.indexOf(needle); at >= 0; at = environment.indexOf(needle, at + 1))
      if (at === 0 || environment[at - 1] === 0) return true;
    return false;
  }

  #hasLeaderNumber(stat: Stat): boolean {
    return (
      stat.pid === this.#leaderNumber ||
      stat.group === this.#leaderNumber ||
      stat.session === this.#leaderNumber
    );
  }

  /**
   * This process carries a run's mark itself until the next run starts, and with it the short-lived helpers
   * that it starts meanwhile. Those are in its session; nothing of a run is, nor can come back into it.
   */
  #isMarked(stat: Stat): boolean {
    if (this.#limit === undefined) return false;
    this.#ownSession ??= readStat(process.pid)?.session ?? 0;
    return stat.session !== this.#ownSession && readLimits(stat.pid).includes(this.#limit);
  }
}
