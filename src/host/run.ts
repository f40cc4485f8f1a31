/**
 * One run as the host knows it, from its opening until its record is dropped: what is recorded of it, its
 * output, who visits it, and what it has come to. Whoever is with it waits for `started`, `exited` and
 * `collected`; each is there for those who come later, too.
 *
 * While it has a workspace and a command, its `life` (run-life.ts) moves it on; afterwards, or after a
 * restart of the host, it is only kept.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import type { RunState } from '../protocol/messages.js';
import { RunOutput } from './output.js';
import { runLost } from './run-errors.js';
import { makeRunDirectory, runDirectory, writeRunRecord } from './run-record.js';
import type { ChangeSetHead, ExitReport, RunRecord } from './run-record.js';
import type { RunLife } from './run-life.js';
import { Spool } from './spool.js';
import { Visitors } from './visitors.js';

/** How a client answers a change set. */
export type Answer = 'applied' | 'discard';

export interface RunOptions {
  /** Where every run has its directory. */
  readonly runs: string;
  readonly record: RunRecord;
  readonly log: (line: string) => void;
}

export class Run {
  readonly id: string;
  readonly directory: string;
  readonly stdout: RunOutput;
  readonly stderr: RunOutput;
  readonly visitors = new Visitors();
  /** Set while the run has a workspace. */
  life: RunLife | undefined;
  readonly #log: (line: string) => void;
  readonly #started = createDeferred<undefined>();
  readonly #exited = createDeferred<ExitReport>();
  readonly #collected = createDeferred<ChangeSetHead | undefined>();
  #record: RunRecord;
  #readers = 0;

  /** A new run; nothing of it is on disk. */
  constructor({ runs, record, log }: RunOptions) {
    this.id = record.id;
    this.directory = runDirectory(runs, record.id);
    this.#record = record;
    this.#log = log;
    const open = (name: 'stdout' | 'stderr'): RunOutput =>
      new RunOutput(Spool.open(this.directory, name, { endOffset: record.printed?.[name] ?? 0 }));
    this.stdout = open('stdout');
    this.stderr = open('stderr');
  }

  /** A run of an earlier life of the host; it is waiting, done or lost. */
  static restore(options: RunOptions): Run {
    const run = new Run(options);
    const { exit, changeSet, state } = options.record;
    run.stdout.spool.end();
    run.stderr.spool.end();
    run.#started.resolve(undefined);
    if (state === 'lost' || exit === undefined) {
      run.#fail(runLost(run));
    } else {
      run.#exited.resolve(exit);
      run.#collected.resolve(state === 'waiting' ? changeSet : undefined);
    }
    return run;
  }

  get record(): RunRecord {
    return this.#record;
  }

  get state(): RunState {
    return this.#record.state;
  }

  get changeSetFile(): string {
    return path.join(this.directory, 'changes');
  }

  /** Rejects where it ended before that. */
  get started(): Promise<undefined> {
    return this.#started.promise;
  }

  /** Rejects, with RUN_LOST or why, where nobody will ever know. */
  get exited(): Promise<ExitReport> {
    return this.#exited.promise;
  }

  /** What waits for the client; undefined where nothing does. Rejects where it could not be captured. */
  get collected(): Promise<ChangeSetHead | undefined> {
    return this.#collected.promise;
  }

  /** Somebody reads its output, or its result. */
  get hasReaders(): boolean {
    return this.#readers > 0;
  }

  /** To be disposed when the reader leaves: then what is only kept costs no memory. */
  enter(): Disposable {
    this.#readers += 1;
    return {
      [Symbol.dispose]: () => {
        this.#readers -= 1;
        this.#rest();
      },
    };
  }

  /** Its workspace was taken: a place of its own for its pipes and its output. */
  opened(slot: number): void {
    this.#record = { ...this.#record, slot };
    makeRunDirectory(this.directory);
  }

  /**
   * The command is about to be started. From here on its record outlives the host, which could not find its
   * processes without it: where it cannot be written, this throws.
   */
  begins(details: Partial<RunRecord>): void {
    const startedAt = new Date().toISOString();
    this.#record = { ...this.#record, ...details, startedAt, state: 'running' };
    writeRunRecord(this.directory, this.#record);
  }

  hasStarted(): void {
    this.#started.resolve(undefined);
  }

  /** Not recorded yet: until its changes are captured, a killed host has lost the run all the same. */
  hasExited(exit: ExitReport): void {
    const endedAt = new Date().toISOString();
    this.#record = { ...this.#record, endedAt, exit, state: 'collecting' };
    this.#exited.resolve(exit);
  }

  /** Its changes are captured and wait for the client. */
  waits(changeSet: ChangeSetHead): void {
    this.#become({ state: 'waiting', changeSet });
    this.#collected.resolve(changeSet);
  }

  /** There is nothing (more) to hand over but its output. */
  isDone(changeSet: ChangeSetHead | undefined = this.#record.changeSet): void {
    this.#become({ state: 'done', changeSet });
    this.#collected.resolve(undefined);
    rmSync(this.changeSetFile, { force: true });
  }

  /**
   * Present visitors are told `error`, or once they know how the command ended that its changes are dropped because
   * of it: they would wait on the host otherwise. Whoever comes later is told the latter.
   */
  isLost(error: unknown): void {
    const reason = reasonOf(error);
    const { endedAt = new Date().toISOString(), exit } = this.#record;
    this.#become({ state: 'lost', reason, endedAt });
    this.#fail(exit === undefined ? error : runLost(this, error));
    rmSync(this.changeSetFile, { force: true });
  }

  /** Nothing ran. Whoever waits is told why, and no trace of it stays. */
  neverBegan(error: unknown): void {
    this.#record = { ...this.#record, state: 'preparing' };
    this.stdout.spool.end();
    this.stderr.spool.end();
    this.#fail(error);
  }

  /** Its workspace is given back. */
  lifeIsOver(): void {
    this.life = undefined;
    this.#rest();
  }

  /**
   * The client has applied the changes or wants none of them. Idempotent: a client whose connection broke
   * meanwhile says it again.
   */
  take(answer: Answer): void {
    if (this.state !== 'waiting') return;
    this.life?.take(answer);
    this.isDone();
  }

  #become(change: Partial<RunRecord>): void {
    const { stdout, stderr } = this;
    this.#record = {
      ...this.#record,
      printed: { stdout: stdout.spool.length, stderr: stderr.spool.length },
      keptBytes: stdout.spool.keptBytes + stderr.spool.keptBytes,
      ...change,
    };
    try {
      writeRunRecord(this.directory, this.#record);
    } catch (error) {
      // It goes on as it is in memory; a restart of the host would know only what was written before.
      this.#log(`run ${this.id} is ${this.state}, which cannot be recorded: ${String(error)}`);
    }
  }

  #fail(error: unknown): void {
    this.#started.reject(error);
    this.#exited.reject(error);
    this.#collected.reject(error);
  }

  #rest(): void {
    if (this.life !== undefined || this.hasReaders) return;
    this.stdout.rest();
    this.stderr.rest();
  }
}

function reasonOf(error: unknown): string {
  if (!isRmtxError(error)) return 'the host failed: its log says why';
  return error.code === 'ERR_RMTX_HOST_STOPPING' ? 'the host was stopped' : error.message;
}
