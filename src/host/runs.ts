import { setMaxListeners } from 'node:events';
import { killProcessesOfRun } from '../runtime/process-tree.js';
import { RmtxError } from '../errors.js';
import { removeTree } from '../util/remove-tree.js';
import type { HeldSlot } from './contexts.js';
import { Run } from './run.js';
import { readRunRecords, runDirectory } from './run-record.js';
import type { RunState } from '../protocol/messages.js';

/** A command that cleans up after itself has this long when the host stops. */
const STOP_GRACE_MS = 3000;

export interface RunSummary {
  readonly id: string;
  readonly clientId: string;
  readonly contextId: string;
  readonly state: RunState;
  readonly startedAt: string;
}

/** The runs of this host process, by id. */
export class Runs {
  readonly #directory: string;
  readonly #log: (line: string) => void;
  readonly #active = new Map<string, Run>();
  readonly #stopping = new AbortController();

  constructor(directory: string, log: (line: string) => void) {
    this.#directory = directory;
    this.#log = log;
    // One listener for each visit, however many there are.
    setMaxListeners(0, this.#stopping.signal);
  }

  /**
   * Cleans up after a host that was killed: ends what its runs left behind and drops their
   * half-captured results. Workspaces repair themselves at their next use.
   */
  async recover(): Promise<void> {
    for (const record of readRunRecords(this.#directory, this.#log)) {
      if (record.state === 'running' || record.state === 'collecting') {
        const { killed } = await killProcessesOfRun(record.id);
        this.#log(`run ${record.id} was cut off by the host's end; ${killed} processes ended`);
      }
      await removeTree(runDirectory(this.#directory, record.id));
    }
  }

  create(options: {
    readonly id: string;
    readonly clientId: string;
    readonly contextId: string;
    readonly label: string;
    readonly held: HeldSlot;
  }): Run {
    const { held, ...named } = options;
    if (this.stopping.aborted) throw hostStopping();
    if (this.#active.has(named.id))
      throw new RmtxError('ERR_RMTX_BAD_MESSAGE', `run ${named.id} exists already`);
    const run = new Run(this.#directory, { ...named, startedAt: new Date().toISOString() }, held);
    this.#active.set(run.record.id, run);
    void run.settled.then(() => this.#active.delete(run.record.id));
    return run;
  }

  list(): RunSummary[] {
    return [...this.#active.values()].map((run) => ({
      id: run.record.id,
      clientId: run.record.clientId,
      contextId: run.record.contextId,
      state: run.state,
      startedAt: run.record.startedAt,
    }));
  }

  /** Resolves when no run of the client is left that only its tidying (some milliseconds) keeps here. */
  async untilTidied(clientId: string): Promise<void> {
    const tidying = [...this.#active.values()].filter(
      (run) => run.record.clientId === clientId && run.isTidying,
    );
    await Promise.all(tidying.map((run) => run.settled));
  }

  /** Aborted when the host stops: visits say so to their clients and leave. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Stops taking runs and ends those that go on; resolves when the last is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const runs = [...this.#active.values()];
    const end = (isForced: boolean): void => {
      for (const run of runs) run.stop({ isForced });
    };
    end(false);
    const timer = setTimeout(() => end(true), STOP_GRACE_MS);
    await Promise.all(runs.map((run) => run.settled));
    clearTimeout(timer);
  }
}

/** What the client of a run is told that the host's end ends. */
export function hostStopping(): RmtxError {
  return new RmtxError(
    'ERR_RMTX_HOST_STOPPING',
    'the host is shutting down; it ended the run, whose changes are dropped',
  );
}
