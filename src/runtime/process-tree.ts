/**
 * A command and everything that descends from it: signalling all of it, and making sure that nothing
 * of it is left. How members are recognised is the table's business (process-table.ts); nothing is
 * signalled that the table does not call a member at that moment, or that is not in a group which only
 * members can be in.
 */
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { systemErrorCode } from '../errors.js';
import { noteStart, startMarked } from './process-mark.js';
import { openProcessTable } from './process-table.js';
import type {
  Leader,
  NumberingMark,
  ProcessKey,
  ProcessQuery,
  ProcessTable,
  RunProcess,
} from './process-table.js';
import type { RunningCommand, SweepResult } from './runtime.js';

/** What is left of a run gets this long between SIGTERM and SIGKILL. */
const SWEEP_GRACE_MS = 500;
/** A killed process that is still there after this is stuck in the kernel. */
const KILL_LIMIT_MS = 5000;
/**
 * How often a look is repeated that found nothing new while processes came or went: on a busy machine
 * they always do. A look takes under 1 ms; with this many, 20 of 20 storms of up to 15 processes that
 * each replaced themselves within milliseconds were ended.
 */
const MAX_UNSETTLED_SCANS = 16;
const LONGEST_POLL_MS = 20;
/** After SIGINT, until SIGTERM. */
const GRACE_MS = 5000;
/** After SIGTERM, until SIGKILL. */
const KILL_MS = 10_000;

export interface SweepLimits {
  readonly graceMs?: number;
  readonly killMs?: number;
}

/** Calls may overlap. */
export class ProcessTree {
  readonly #runId: string;
  readonly #table: ProcessTable;
  #startMark: NumberingMark | undefined;
  #leader: Leader | undefined;
  /** Members that run as another user by now (sudo, a setuid program). */
  readonly #denied = new Set<string>();
  #signals = Promise.resolve();
  /** SIGKILL has overtaken whatever gentler signal is still on its way. */
  #isKilling = false;

  constructor(runId: string, table: ProcessTable = openProcessTable()) {
    this.#runId = runId;
    this.#table = table;
  }

  /**
   * Makes the leader: a detached child, so a leader of its own session and group. `make` is called once,
   * and returns a process, or anything without a `pid` where none could be made.
   */
  start<T extends { readonly pid?: number | undefined }>(make: () => T): Promise<T> {
    return startMarked(this.#runId, () => {
      this.beforeStart();
      const made = make();
      if (made.pid !== undefined) this.started(made.pid);
      return made;
    });
  }

  /** Right before the leader is made: what follows counts what was made since. */
  beforeStart(): void {
    noteStart(this.#runId);
    this.#startMark = this.#table.mark();
  }

  /** Right after. */
  started(pid: number): void {
    this.#leader = {
      pid,
      startedAt: this.#table.startOf(pid),
      startMark: this.#startMark,
      end: undefined,
    };
  }

  /** When the leader was reaped: from now on its number may come to mean something else. */
  leaderEnded(): void {
    if (this.#leader !== undefined) this.#leader.end = { mark: this.#table.mark() };
  }

  /**
   * To every member; one after the other, in the order of the calls, but SIGKILL at once. SIGKILL is
   * repeated until none is found or {@link KILL_LIMIT_MS} is over. SIGTSTP and SIGCONT go to the leader's
   * group only, as from a terminal.
   */
  signal(exitSignal: NodeJS.Signals): Promise<void> {
    if (exitSignal === 'SIGKILL') return this.#killAll();
    const sent = this.#signals.then(() => this.#signalInTurn(exitSignal));
    this.#signals = sent;
    return sent;
  }

  /**
   * Ends what is left once the leader has ended (or of a run whose leader nobody knows): SIGTERM, then
   * SIGKILL. Resolves when nothing is left but what cannot be ended.
   */
  async sweep(limits: SweepLimits = {}): Promise<SweepResult> {
    const seen = new Set<string>();
    let left = await this.#terminate(seen, limits.graceMs ?? SWEEP_GRACE_MS);
    if (left.length > 0) left = await this.#kill(limits.killMs ?? KILL_LIMIT_MS, seen);
    return { killed: seen.size - left.length, survivors: left.length };
  }

  /** The members now, as far as can be told while processes come and go. */
  async members(): Promise<readonly RunProcess[]> {
    for (let scans = 1; ; scans += 1) {
      const scan = await this.#table.scan(this.#query());
      if (scan.processes.length > 0 || scan.isSettled || scans >= MAX_UNSETTLED_SCANS)
        return scan.processes;
    }
  }

  #query(): ProcessQuery {
    return { runId: this.#runId, leader: this.#leader };
  }

  async #killAll(): Promise<void> {
    this.#isKilling = true;
    await this.#kill(KILL_LIMIT_MS);
    // Still there only where nothing could be looked up.
    this.#signalLiveGroup('SIGKILL');
  }

  async #signalInTurn(exitSignal: NodeJS.Signals): Promise<void> {
    if (exitSignal === 'SIGTSTP') await this.#suspendGroup();
    else if (exitSignal === 'SIGCONT') this.#signalLiveGroup('SIGCONT');
    else await this.#signalMembers(exitSignal);
  }

  /**
   * Members are looked up before anything is signalled: with the death of a parent the only trace of some
   * of its children is gone. A signal to a group also reaches who is being forked in it. Who left its group
   * between the look and the signal is found by looking again; what was made after the signal, such as the
   * clean-up of a trap, is not meant. Parents come first: a shell that sees its child end says so.
   */
  async #signalMembers(exitSignal: NodeJS.Signals): Promise<void> {
    let members = await this.members();
    const reached = new Set<string>();
    const reachedGroups = new Set<number>();
    const ownGroup = this.#leader?.pid;
    // Before the signal: a trap may have begun to clean up before the clock could be read after it.
    const sentAt = this.#table.now();
    if (ownGroup !== undefined && this.#signalLiveGroup(exitSignal)) reachedGroups.add(ownGroup);
    const wakesStopped = exitSignal === 'SIGINT' || exitSignal === 'SIGTERM';
    for (let looks = 0; looks < MAX_UNSETTLED_SCANS; looks += 1) {
      // Who is stopped now was stopped to be killed, and must not wake up and see its children dead.
      if (this.#isKilling) return;
      const pids = new Set(members.map((member) => member.pid));
      for (const member of [...members].reverse()) {
        if (reached.has(keyOf(member))) continue;
        reached.add(keyOf(member));
        if (!reachedGroups.has(member.group)) {
          // Nobody comes into a session from outside: where a member leads it, all of it is the run's.
          const isGroupOurs = pids.has(member.session) && this.#table.isSame(member);
          if (isGroupOurs && sendTo(-member.group, exitSignal) === 'sent')
            reachedGroups.add(member.group);
          else this.#signalOne(member, exitSignal);
        }
        if (wakesStopped && member.isStopped) this.#signalOne(member, 'SIGCONT');
      }
      if (sentAt === undefined) return;
      members = (await this.members()).filter((member) => (member.bornAt ?? Infinity) < sentAt);
      if (members.every((member) => reached.has(keyOf(member)))) return;
    }
  }

  /**
   * The leader's group has no parent in its session, as if its shell had gone, and the kernel does not let
   * SIGTSTP stop such a group by default ("orphaned" in POSIX, General Concepts). So those for whom it would
   * do just that are stopped by SIGSTOP; those who handle or ignore it are left to what they do.
   */
  async #suspendGroup(): Promise<void> {
    const stopped = new Set<string>();
    for (let looks = 0; looks < MAX_UNSETTLED_SCANS; looks += 1) {
      const toStop = (await this.members()).filter(
        (member) =>
          member.group === this.#leader?.pid &&
          !stopped.has(keyOf(member)) &&
          this.#table.isStoppedByDefault(member),
      );
      if (looks === 0 && !this.#signalLiveGroup('SIGTSTP')) return;
      if (toStop.length === 0) return;
      for (const member of toStop) {
        stopped.add(keyOf(member));
        this.#signalOne(member, 'SIGSTOP');
      }
    }
  }

  /** Only while the leader holds its number. */
  #signalLiveGroup(exitSignal: NodeJS.Signals): boolean {
    if (this.#leader === undefined || this.#leader.end !== undefined) return false;
    return sendTo(-this.#leader.pid, exitSignal) === 'sent';
  }

  /**
   * Returns who is left after the grace. Each gets one SIGTERM; what a member starts to clean up after
   * itself has until the end of the grace.
   */
  async #terminate(seen: Set<string>, graceMs: number): Promise<readonly RunProcess[]> {
    const deadline = performance.now() + graceMs;
    let members = await this.members();
    // Oldest first: a shell that sees its child end by a signal says so in the output.
    for (const member of [...members].reverse()) {
      this.#signalOne(member, 'SIGTERM');
      if (member.isStopped) this.#signalOne(member, 'SIGCONT');
    }
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS)) {
      for (const member of members) seen.add(keyOf(member));
      if (this.#areOutOfReach(members) || performance.now() >= deadline) return members;
      await delay(pauseMs);
      members = await this.members();
    }
  }

  /** Returns who is left at the limit. */
  async #kill(limitMs: number, seen = new Set<string>()): Promise<readonly RunProcess[]> {
    const deadline = performance.now() + limitMs;
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS)) {
      const members = await this.#freeze(seen, deadline);
      if (this.#areOutOfReach(members) || performance.now() >= deadline) return members;
      for (const member of members) this.#signalOne(member, 'SIGKILL');
      await delay(pauseMs);
    }
  }

  /**
   * Stops every member until no new one is found. Killed one by one, processes that fork all the time
   * are replaced as fast; stopped ones make no more.
   */
  async #freeze(seen: Set<string>, deadline: number): Promise<readonly RunProcess[]> {
    const stopped = new Set<string>();
    for (let quietScans = 0; ; quietScans += 1) {
      const before = stopped.size;
      const scan = await this.#table.scan(this.#query(), (member) => {
        if (stopped.has(keyOf(member))) return;
        stopped.add(keyOf(member));
        seen.add(keyOf(member));
        this.#send(member, 'SIGSTOP');
      });
      if (stopped.size > before) quietScans = 0;
      else if (scan.isSettled || quietScans >= MAX_UNSETTLED_SCANS) return scan.processes;
      if (performance.now() >= deadline) return scan.processes;
    }
  }

  /** True when nobody is left to wait for: none at all, or only those whom we may not signal. */
  #areOutOfReach(members: readonly RunProcess[]): boolean {
    return members.every((member) => this.#denied.has(keyOf(member)));
  }

  #signalOne(member: ProcessKey, exitSignal: NodeJS.Signals): void {
    if (this.#table.isSame(member)) this.#send(member, exitSignal);
  }

  #send(member: ProcessKey, exitSignal: NodeJS.Signals): void {
    if (sendTo(member.pid, exitSignal) === 'denied') this.#denied.add(keyOf(member));
  }
}

export interface StopLadderOptions {
  readonly graceMs?: number;
  readonly killMs?: number;
  /** Told each signal as it is sent. */
  readonly onStep?: (exitSignal: NodeJS.Signals) => void;
}

/** Ends by itself with the command. */
export interface StopLadder {
  /** SIGKILL now. */
  force(): void;
  /** Sends nothing more. */
  end(): void;
}

/** SIGINT to the whole tree now, SIGTERM after 5 s, SIGKILL after 10 s more. */
export function stopTree(
  running: Pick<RunningCommand, 'sendSignal' | 'leaderExit'>,
  options: StopLadderOptions = {},
): StopLadder {
  let timer: NodeJS.Timeout | undefined;
  let hasEnded = false;
  const send = (exitSignal: NodeJS.Signals): void => {
    options.onStep?.(exitSignal);
    running.sendSignal(exitSignal);
  };
  const end = (): void => {
    hasEnded = true;
    clearTimeout(timer);
  };
  const force = (): void => {
    if (hasEnded) return;
    end();
    send('SIGKILL');
  };
  void running.leaderExit.then(end);
  send('SIGINT');
  timer = setTimeout(() => {
    send('SIGTERM');
    timer = setTimeout(force, options.killMs ?? KILL_MS);
  }, options.graceMs ?? GRACE_MS);
  return { force, end };
}

/** The processes that a run left behind, found by its id alone: after a crash of the host. */
export function findProcessesOfRun(runId: string): Promise<readonly ProcessKey[]> {
  return new ProcessTree(runId).members();
}

/** Ends what a run left behind, as a sweep does. For the host's next start after a crash. */
export async function killProcessesOfRun(
  runId: string,
  limits: SweepLimits = {},
): Promise<SweepResult> {
  if (process.platform === 'win32') return { killed: 0, survivors: 0 };
  return new ProcessTree(runId).sweep(limits);
}

/** How this host finds the processes of a run; for `rmtx host status`. */
export function processMechanism(): string {
  return process.platform === 'win32' ? 'taskkill' : openProcessTable().description;
}

/** Windows keeps the parent of every process, and this program walks the tree. It only kills. */
export function killWindowsTree(pid: number): void {
  execFile('taskkill', ['/T', '/F', '/PID', String(pid)], () => undefined);
}

function keyOf(member: ProcessKey): string {
  return `${member.pid}:${member.startedAt}`;
}

function sendTo(pid: number, exitSignal: NodeJS.Signals): 'sent' | 'gone' | 'denied' {
  try {
    process.kill(pid, exitSignal);
    return 'sent';
  } catch (error) {
    return systemErrorCode(error) === 'EPERM' ? 'denied' : 'gone';
  }
}
