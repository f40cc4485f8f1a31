/** The processes of macOS and the BSDs, from `ps`. */
import { execFile } from 'node:child_process';
import type {
  ProcessKey,
  ProcessQuery,
  ProcessScan,
  ProcessTable,
  RunProcess,
} from './process-table.js';

/** One listing of a thousand processes with their environments is about a megabyte. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const COLUMNS = 'pid=,ppid=,pgid=,sess=,stat=,lstart=,command=';

interface Row {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** NaN on macOS, which prints an address. */
  readonly session: number;
  readonly isGone: boolean;
  readonly isStopped: boolean;
  readonly startedAt: string;
  /** The arguments, with the environment after them where the system shows it. */
  readonly command: string;
}

/**
 * There is no count of processes to prove that numbers were not reused. A group or session counts
 * unless a process has the leader's number by now: no system gives a number away while a group or
 * session of that number lives. One listing takes 5 to 20 ms.
 */
export class PsTable implements ProcessTable {
  readonly description = 'process groups, sessions and environments in ps';
  readonly #arguments: readonly string[];

  constructor(platform: NodeJS.Platform) {
    // The switch that shows environments: -E on macOS, e on the BSDs and Linux.
    this.#arguments = platform === 'darwin' ? ['-axwwE', '-o', COLUMNS] : ['axwwe', '-o', COLUMNS];
  }

  mark(): undefined {
    return undefined;
  }

  startOf(): string {
    return '';
  }

  now(): undefined {
    return undefined;
  }

  isStoppedByDefault(): boolean {
    return false;
  }

  /** A listing is too slow to repeat for each signal; the one in hand is some milliseconds old. */
  isSame(key: ProcessKey): boolean {
    try {
      process.kill(key.pid, 0);
      return true;
    } catch {
      return false;
    }
  }

  async scan(
    { runId, leader }: ProcessQuery,
    onFound?: (process: RunProcess) => void,
  ): Promise<ProcessScan> {
    const listing = await list(this.#arguments);
    const rows = listing.rows.filter(
      (row) => !row.isGone && row.pid !== process.pid && row.pid !== listing.psPid,
    );
    const isReused = leader?.end !== undefined && rows.some((row) => row.pid === leader.pid);
    const leaderNumber = isReused ? undefined : leader?.pid;
    const members = new Set<number>();
    for (const row of rows)
      if (isIn(row, leaderNumber) || names(row.command, runId)) members.add(row.pid);
    addDescendants(rows, members);
    const processes = rows
      .filter((row) => members.has(row.pid))
      .map((row) => ({
        pid: row.pid,
        startedAt: row.startedAt,
        group: row.group,
        session: row.session,
        bornAt: undefined,
        isStopped: row.isStopped,
      }));
    if (onFound !== undefined) for (const found of processes) onFound(found);
    return { processes, isSettled: true };
  }
}

function isIn(row: Row, leaderNumber: number | undefined): boolean {
  return (
    leaderNumber !== undefined &&
    [row.pid, row.group, row.session].some((number) => number === leaderNumber)
  );
}

function names(command: string, runId: string): boolean {
  return ` ${command} `.includes(` RMTX_RUN_ID=${runId} `);
}

function addDescendants(rows: readonly Row[], members: Set<number>): void {
  let before: number;
  do {
    before = members.size;
    for (const row of rows) if (members.has(row.parent)) members.add(row.pid);
  } while (members.size > before);
}

/** An empty list where there is no `ps`: then only the group can be signalled, while its leader lives. */
function list(args: readonly string[]): Promise<{ rows: Row[]; psPid: number | undefined }> {
  return new Promise((resolve) => {
    const options = { maxBuffer: MAX_OUTPUT_BYTES, env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' } };
    const ps = execFile('ps', args, options, (error, stdout) => {
      resolve({ rows: error === null ? parsePsListing(stdout) : [], psPid: ps.pid });
    });
  });
}

// "Sat Nov 21 20:00:00 2026" is the start.
const LINE = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+)\s+(\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s(.*)$/;

/** Lines that are not understood are left out: a command line may hold newlines. */
function parsePsListing(text: string): Row[] {
  return text.split('\n').flatMap((line) => {
    const fields = LINE.exec(line);
    if (fields === null) return [];
    const [, pid, parent, group, session, state = '', startedAt = '', command = ''] = fields;
    return [
      {
        pid: Number(pid),
        parent: Number(parent),
        group: Number(group),
        session: Number(session),
        isGone: state.startsWith('Z'),
        isStopped: state.startsWith('T'),
        startedAt,
        command,
      },
    ];
  });
}
