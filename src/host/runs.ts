import { killProcessesOfRun } from '../runtime/process-tree.js';
import { RmtxError } from '../errors.js';
import { removeTree } from '../util/remove-tree.js';
import type { HeldSlot } from './contexts.js';
import { Run } from './run.js';
import { readRunRecords, runDirectory } from './run-record.js';
import type { RunState } from './run-record.js';

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
  #isStopping = false;

  constructor(directory: string, log: (line: string) => void) {
    this.#directory = directory;
    this.#log = log;
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
    if (this.#isStopping)
      throw new RmtxError('ERR_RMTX_HOST_STOPPING', 'the host is shutting down');
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

  /** Stops taking runs and ends those that go on; resolves when the last is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const runs = [...this.#active.values()];
    for (const run of runs) run.stop({ isForced: true });
    await Promise.all(runs.map((run) => run.settled));
  }
}
