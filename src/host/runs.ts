import { setMaxListeners } from 'node:events';
import { statSync } from 'node:fs';
import { killProcessesOfRun } from '../runtime/process-tree.js';
import { RmtxError } from '../errors.js';
import { removeTree } from '../util/remove-tree.js';
import { makeRoom } from './garbage.js';
import { hostStopping } from './run-errors.js';
import { KEEP_RUN_MS, expiredRuns, newestFirst } from './run-keeping.js';
import { RunLife } from './run-life.js';
import { newRecord, readRunRecords, runDirectory } from './run-record.js';
import type { RunOrigin, RunRecord } from './run-record.js';
import { Run } from './run.js';
import type { HostServices } from './services.js';
import type { Visitor } from './visitors.js';

/** A command that cleans up after itself has this long when the host stops. */
const STOP_GRACE_MS = 3000;
const CUT_OFF = 'the host ended in the midst of it (it was killed, or the machine went down)';

/** Every run that the host knows: those that go on, and those that are kept for whoever comes back. */
export class Runs {
  readonly #directory: string;
  readonly #log: (line: string) => void;
  readonly #runs = new Map<string, Run>();
  readonly #stopping = new AbortController();

  constructor(directory: string, log: (line: string) => void) {
    this.#directory = directory;
    this.#log = log;
    // One listener for each visit, however many there are.
    setMaxListeners(0, this.#stopping.signal);
  }

  /**
   * Takes up what an earlier life of the host left: ends what is still there of its commands, and says so
   * in their records. Workspaces repair themselves at their next use.
   */
  async recover(): Promise<void> {
    const { records, others } = readRunRecords(this.#directory, this.#log);
    for (const record of records) {
      const isCutOff = record.state === 'running' || record.state === 'collecting';
      if (isCutOff) await this.#takeUpLost(record);
      else this.#runs.set(record.id, Run.restore(this.#optionsOf(record)));
    }
    for (const { id, isDamaged } of others) {
      const directory = runDirectory(this.#directory, id);
      if (isDamaged) await killProcessesOfRun(id);
      if (!isDamaged || Date.now() - statSync(directory).mtimeMs > KEEP_RUN_MS)
        await removeTree(directory);
    }
    await this.tidy();
  }

  /**
   * A new run, being opened by this visitor. Its client may open one anew that has not begun, because its
   * connection broke: the earlier attempt is dropped first. Throws BAD_MESSAGE where there is one already.
   */
  async open(options: RunOrigin, visitor: Visitor, services: HostServices): Promise<Run> {
    for (;;) {
      if (this.stopping.aborted) throw hostStopping();
      const known = this.#runs.get(options.id);
      if (known === undefined) break;
      const isSameClient = known.record.clientId === options.clientId;
      if (!isSameClient || !(await evictUnbegun(known)))
        throw new RmtxError('ERR_RMTX_BAD_MESSAGE', `run ${options.id} exists already`);
    }
    const run = new Run(this.#optionsOf(newRecord(options)));
    const life = new RunLife(run, services);
    services.stayAwake.hold(life.settled);
    run.visitors.arrive(visitor);
    this.#runs.set(run.id, run);
    void life.settled.then(() => this.#hasSettled(run, services));
    return run;
  }

  /** Undefined where there is none, or it is another client's. */
  find(id: string, clientId: string): Run | undefined {
    const run = this.#runs.get(id);
    return run?.record.clientId === clientId ? run : undefined;
  }

  /** Of all clients, or of one; newest first. */
  list(clientId?: string): RunRecord[] {
    const records = [...this.#runs.values()].map(({ record }) => record);
    return newestFirst(
      clientId === undefined ? records : records.filter((record) => record.clientId === clientId),
    );
  }

  /** Runs of the context that are over and whose changes nobody is taking; newest first. */
  waitingIn(contextId: string): RunRecord[] {
    return this.list().filter(
      ({ id, contextId: of, state }) =>
        of === contextId &&
        state === 'waiting' &&
        this.#runs.get(id)?.visitors.isAnyoneThere !== true,
    );
  }

  /** Every run of the client whose changes wait. */
  waitingOf(clientId: string): Run[] {
    return [...this.#runs.values()].filter(
      (run) => run.record.clientId === clientId && run.state === 'waiting',
    );
  }

  /** A run of the client has a workspace, and may be using any of its blobs. */
  isGoingOn(clientId: string): boolean {
    return this.#lives().some(([run]) => run.record.clientId === clientId);
  }

  /** Resolves when no run of the client is left that only its tidying (some milliseconds) keeps here. */
  async untilTidied(clientId: string): Promise<void> {
    const tidying = this.#lives().filter(
      ([run, life]) => run.record.clientId === clientId && life.isTidying,
    );
    await Promise.all(tidying.map(([, life]) => life.settled));
  }

  /** The client is trusted no more: what runs for it is asked to end. */
  endRunsOf(clientId: string): void {
    for (const [run, life] of this.#lives())
      if (run.record.clientId === clientId) life.stop({ isForced: false });
  }

  /** Drops all that is kept of a run that is over, with its output. */
  async forget(run: Run): Promise<void> {
    this.#runs.delete(run.id);
    await removeTree(run.directory);
  }

  /** Drops what has been kept long enough; to be called now and then. Never rejects. */
  async tidy(): Promise<void> {
    const clients = new Set([...this.#runs.values()].map(({ record }) => record.clientId));
    for (const clientId of clients) await this.#tidyOf(clientId);
  }

  /** Aborted when the host stops: visits say so to their clients and leave. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Stops taking runs and ends those that go on; resolves when the last has left its workspace. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const lives = this.#lives().map(([, life]) => life);
    const end = (isForced: boolean): void => {
      for (const life of lives) life.hostStops({ isForced });
    };
    end(false);
    const timer = setTimeout(() => end(true), STOP_GRACE_MS);
    await Promise.all(lives.map((life) => life.settled));
    clearTimeout(timer);
  }

  async #takeUpLost(record: RunRecord): Promise<void> {
    const { killed } = await killProcessesOfRun(record.id);
    this.#log(`run ${record.id} was cut off by the host's end; ${killed} processes ended`);
    const run = new Run(this.#optionsOf(record));
    run.stdout.spool.end();
    run.stderr.spool.end();
    run.isLost(new RmtxError('ERR_RMTX_RUN_LOST', CUT_OFF));
    this.#runs.set(run.id, run);
  }

  /** Nobody can come back to a run that never began. */
  #hasSettled(run: Run, services: HostServices): void {
    const { clientId } = run.record;
    if (run.state === 'preparing') this.#runs.delete(run.id);
    void this.#tidyOf(clientId).then(() => makeRoom(services, clientId));
  }

  async #tidyOf(clientId: string): Promise<void> {
    for (const { id } of expiredRuns(this.list(clientId), Date.now())) {
      const run = this.#runs.get(id);
      if (run === undefined || run.life !== undefined || run.hasReaders) continue;
      this.#runs.delete(id);
      await removeTree(run.directory).catch((error: unknown) => {
        this.#log(`run ${id} cannot be removed: ${String(error)}`);
      });
    }
  }

  #lives(): [Run, RunLife][] {
    return [...this.#runs.values()].flatMap((run): [Run, RunLife][] =>
      run.life === undefined ? [] : [[run, run.life]],
    );
  }

  #optionsOf(record: RunRecord): ConstructorParameters<typeof Run>[0] {
    return { runs: this.#directory, record, log: this.#log };
  }
}

/**
 * For the client that comes back to it: what was being prepared is dropped. False where there is nothing to
 * be dropped, because the run has begun.
 */
export async function evictUnbegun({ life }: Run): Promise<boolean> {
  if (life === undefined || life.hasBegun) return false;
  life.evict();
  await life.settled;
  return true;
}
