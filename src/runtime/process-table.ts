/**
 * What a system can tell about its processes, as far as it takes to find those of one run.
 *
 * A process is of a run when it carries `RMTX_RUN_ID` of the run in its environment, or is in the
 * session or the process group that the run's leader made, or is the child of such a process, or carries
 * the run's mark (process-mark.ts). Without marks, a descendant that clears or hides its environment, makes
 * a session of its own and outlives its parent cannot be told from a stranger, and is left alone.
 */
import { readFileSync } from 'node:fs';
import { ProcTable } from './proc-table.js';
import { PsTable } from './ps-table.js';

/** A process, and not a later one that was given the same number. */
export interface ProcessKey {
  readonly pid: number;
  /** Opaque; differs between two processes of one number. */
  readonly startedAt: string;
}

export interface RunProcess extends ProcessKey {
  /** One signal to the group reaches all of it at one instant. */
  readonly group: number;
  /** NaN where the system does not tell. */
  readonly session: number;
  /** When it was made, on the clock of {@link ProcessTable.now}. */
  readonly bornAt: number | undefined;
  /** By job control; a signal that it does not ignore waits until it goes on. */
  readonly isStopped: boolean;
}

/** How far the system's numbering of processes had come at some moment. */
export interface NumberingMark {
  /** Processes and threads made since boot. */
  readonly forks: number;
  /** The number given last. */
  readonly lastPid: number;
}

export interface Leader {
  readonly pid: number;
  /** '' where it could not be learnt. */
  readonly startedAt: string;
  /** Taken right before the leader was made. */
  readonly startMark: NumberingMark | undefined;
  /** Taken right after it was reaped; undefined while it is not. Its number may be reused from then on. */
  end: { readonly mark: NumberingMark | undefined } | undefined;
}

export interface ProcessQuery {
  readonly runId: string;
  /** Undefined for a run of an earlier life of the host: then only the environment tells. */
  readonly leader: Leader | undefined;
}

export interface ProcessScan {
  /** Without this process itself, and without the dead that only wait to be reaped. */
  readonly processes: readonly RunProcess[];
  /** False when a process came or went while we looked, so that one may have been missed: look again. */
  readonly isSettled: boolean;
}

export interface ProcessTable {
  /** For `rmtx host status`. */
  readonly description: string;
  mark(): NumberingMark | undefined;
  startOf(pid: number): string;
  /** Undefined where the system does not tell to better than a second when a process was made. */
  now(): number | undefined;
  /** Whether SIGTSTP would find nothing but its default action. False where the system does not tell. */
  isStoppedByDefault(key: ProcessKey): boolean;
  /**
   * Looks once, newest process first. `onFound` is told of each member at once: one that lives for a
   * millisecond is gone when the scan is over.
   */
  scan(
    query: ProcessQuery,
    onFound?: (process: RunProcess) => void,
  ): ProcessScan | Promise<ProcessScan>;
  /** Looked at again right before a signal, so that a reused number is not hit. */
  isSame(key: ProcessKey): boolean;
}

/** The best table of this system. */
export function openProcessTable(): ProcessTable {
  return hasProc() ? new ProcTable() : new PsTable(process.platform);
}

function hasProc(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return readFileSync('/proc/self/stat').length > 0;
  } catch {
    return false;
  }
}
