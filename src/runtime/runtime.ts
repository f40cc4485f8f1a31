/**
 * Where a command executes: what a run hands in and what it gets back. A runtime knows processes and
 * byte streams; it knows nothing of workspaces, spools, clients or the wire.
 *
 * The order of a run: `prepareStreams` (any time before, it overlaps with the upload) → `startProcess`
 * → `leaderExit` → `sweep` (nothing of the run is left) → `finishOutput` (nothing of its output is
 * left) → report.
 */
import type { Readable, Writable } from 'node:stream';
import type { PreparedStreams } from './streams.js';

export type OutputName = 'stdout' | 'stderr';

/** In characters. */
export interface TerminalSpec {
  readonly columns: number;
  readonly rows: number;
  /** What TERM is. */
  readonly term: string;
}

export interface CommandSpec {
  /** Names the run in `RMTX_RUN_ID`, by which its processes are found again. */
  readonly runId: string;
  /** Handed over exactly; `argv[0]` is looked up along `env.PATH`, relative to `cwd`. */
  readonly argv: readonly string[];
  /** Absolute; must exist. */
  readonly cwd: string;
  /** The whole environment. Nothing of the daemon's own is added. */
  readonly env: Readonly<Record<string, string>>;
  /** False gives the command `/dev/null`. */
  readonly hasStdin: boolean;
  /** A private directory for names that exist only while the streams are made. */
  readonly scratchDirectory: string;
  /** Made in advance with `prepareStreams`; made on the spot where it is left out. Used up by the start. */
  readonly streams?: PreparedStreams | undefined;
}

export type CommandExit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: NodeJS.Signals; readonly number: number }
  /** `searched` is the PATH, or for a name with a slash the path that was tried. */
  | { readonly kind: 'not-found'; readonly searched: string }
  | { readonly kind: 'not-executable'; readonly reason: string };

export interface SweepResult {
  /** Processes that were still there when the leader had ended, and are gone now. */
  readonly killed: number;
  /** Processes that could not be ended: another user's, or stuck in the kernel. */
  readonly survivors: number;
}

/** A command that was started, or that could not be: then `pid` is undefined and the output is empty. */
export interface RunningCommand {
  readonly pid: number | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Undefined without stdin. Writing after the command closed its end gives EPIPE to the write's
   * callback and closes the stream; it never throws and never ends the run. The sweep closes it, too.
   */
  readonly stdin: Writable | undefined;
  /** How the command itself ended; its descendants may still live. Never rejects. */
  readonly leaderExit: Promise<CommandExit>;
  /** Of a command on a terminal: the window of whoever looks has this size now. */
  resize?(size: Pick<TerminalSpec, 'columns' | 'rows'>): void;
  /** To the command and all its descendants. SIGKILL is repeated until none is found. */
  sendSignal(exitSignal: NodeJS.Signals): void;
  /**
   * Waits for the leader's end; then SIGTERM to what is left, SIGKILL after 500 ms, until nothing is.
   * As long as an output does not come to its end it looks again, for 500 ms, so read them meanwhile.
   */
  sweep(): Promise<SweepResult>;
  /** Nobody reads this output any more: the command gets SIGPIPE at its next write. */
  closeOutput(output: OutputName): void;
  /**
   * Waits until both outputs have been read to their end. Only a process that is not provably of the
   * run (a daemon that was handed the descriptor) can hold one open after the sweep; past the limit
   * such an output is cut and named.
   */
  finishOutput(limitMs?: number): Promise<{ readonly cut: readonly OutputName[] }>;
}
