/**
 * One run, owned by the host: the command, its output, what it changed. A client visits it; when the
 * client is gone the run goes on and its result waits.
 */
import os from 'node:os';
import path from 'node:path';
import type { ReceiveChannel } from '../protocol/connection.js';
import type { CommandOutcome } from '../protocol/messages.js';
import { stopTree } from '../runtime/process-tree.js';
import type { StopLadder } from '../runtime/process-tree.js';
import { startProcess } from '../runtime/process.js';
import { prepareStreams } from '../runtime/streams.js';
import type { PreparedStreams } from '../runtime/streams.js';
import type { CommandExit, RunningCommand } from '../runtime/runtime.js';
import { createDeferred } from '../util/deferred.js';
import { drained } from '../util/drained.js';
import { removeTree } from '../util/remove-tree.js';
import type { HeldSlot } from './contexts.js';
import { RunOutput } from './output.js';
import { runDirectory, writeRunRecord } from './run-record.js';
import type { RunState } from '../protocol/messages.js';
import type { RunRecord } from './run-record.js';
import { Spool } from './spool.js';
import type { ChangeSetSummary } from './workspace-session.js';

export interface RunRequest {
  readonly argv: readonly string[];
  /** Absolute, inside the workspace, existing. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly hasStdin: boolean;
  readonly timeoutMs: number | undefined;
  readonly wantsSyncBack: boolean;
  readonly clockOffsetUs: number;
}

export interface ExitReport {
  readonly outcome: CommandOutcome;
  readonly durationMs: number;
  readonly sweptProcesses: number;
  readonly isOutputCut: boolean;
}

export class Run {
  readonly record: Omit<RunRecord, 'state'>;
  readonly directory: string;
  readonly held: HeldSlot;
  readonly stdout: RunOutput;
  readonly stderr: RunOutput;
  readonly #runs: string;
  #state: RunState = 'preparing';
  #command: RunningCommand | undefined;
  #ladder: StopLadder | undefined;
  #isTimedOut = false;
  #isTidying = false;
  /** Somebody wanted it to end before there was anything to end. */
  readonly #beforeStart = { isStopped: false };
  readonly #settled = createDeferred<undefined>();
  /** Made while the files are still on their way. */
  readonly #streams: Promise<PreparedStreams | undefined>;

  constructor(runs: string, record: Omit<RunRecord, 'state'>, held: HeldSlot) {
    this.#runs = runs;
    this.record = record;
    this.held = held;
    this.directory = runDirectory(runs, record.id);
    writeRunRecord(runs, { ...record, state: 'preparing' });
    this.stdout = new RunOutput(Spool.open(this.directory, 'stdout'));
    this.stderr = new RunOutput(Spool.open(this.directory, 'stderr'));
    this.#streams = prepareStreams(this.directory);
    this.#streams.catch(() => undefined);
  }

  get state(): RunState {
    return this.#state;
  }

  /** It is over, and its workspace is only being put in order. */
  get isTidying(): boolean {
    return this.#isTidying;
  }

  get changeSetFile(): string {
    return path.join(this.directory, 'changes');
  }

  /** Resolves when the slot is free again. */
  get settled(): Promise<undefined> {
    return this.#settled.promise;
  }

  /** Feeds the command's stdin from the client until either ends. */
  async feedStdin(channel: ReceiveChannel): Promise<void> {
    const stdin = this.#command?.stdin;
    if (stdin === undefined) {
      channel.cancel();
      return;
    }
    stdin.once('close', () => channel.cancel());
    try {
      for await (const piece of channel) if (!stdin.write(piece)) await drained(stdin);
      stdin.end();
    } catch {
      // The client is gone or the command closed its stdin: the end of input is what either means.
      stdin.destroy();
    }
  }

  /**
   * Starts the command and stays with it to the end of its last process and the last byte of its
   * output. A command that cannot be started is an outcome, not an error.
   */
  async execute(request: RunRequest, onStarted: () => void): Promise<ExitReport> {
    const startedAt = performance.now();
    this.#enter('running');
    const streams = await this.#streams;
    if (this.#wasStopped()) return this.#nothingRan();
    const command = await startProcess({
      runId: this.record.id,
      argv: request.argv,
      cwd: request.cwd,
      env: request.env,
      hasStdin: request.hasStdin,
      scratchDirectory: this.directory,
      streams,
    });
    this.#command = command;
    // While it was being started.
    if (this.#wasStopped()) this.stop({ isForced: false });
    const timer = this.#armTimeout(request.timeoutMs);
    const pumped = Promise.all([
      this.stdout.pump(command.stdout),
      this.stderr.pump(command.stderr),
    ]);
    // Output that cannot be kept is output lost: the command is ended and the run says why.
    pumped.catch(() => this.stop({ isForced: true }));
    onStarted();
    const exit = await command.leaderExit;
    clearTimeout(timer);
    this.#ladder?.end();
    this.stdout.finish();
    this.stderr.finish();
    const { killed } = await command.sweep();
    const { cut } = await command.finishOutput();
    await pumped;
    return {
      outcome: this.#isTimedOut ? { kind: 'timed-out' } : toOutcome(exit),
      durationMs: Math.round(performance.now() - startedAt),
      sweptProcesses: killed,
      isOutputCut: cut.length > 0,
    };
  }

  /** Captures what the command changed; from then on the workspace could be given away. */
  async collect(request: RunRequest, startedUs: number): Promise<ChangeSetSummary> {
    this.#enter('collecting');
    const summary = await this.held.workspace.collect({
      changeSetFile: this.changeSetFile,
      clockOffsetUs: request.clockOffsetUs,
      startedUs,
      wantsSyncBack: request.wantsSyncBack,
    });
    this.#enter('waiting');
    return summary;
  }

  /**
   * SIGINT, then SIGTERM, then SIGKILL; forced: SIGKILL at once. Before the command has started it keeps
   * it from starting.
   */
  stop(options: { readonly isForced: boolean }): void {
    if (this.#command === undefined) {
      this.#beforeStart.isStopped = true;
      return;
    }
    this.#ladder ??= stopTree(this.#command);
    if (options.isForced) this.#ladder.force();
  }

  /** The client has everything and agrees: the workspace as it is now is the next base. */
  async acknowledge(): Promise<void> {
    await this.#finish(() => this.held.workspace.acknowledge());
  }

  /** The client does not want the changes, or went away before the command started. */
  async discard(): Promise<void> {
    await this.#finish(() => this.held.workspace.restore());
  }

  /** As if SIGINT had come in the command's first instant. */
  #nothingRan(): ExitReport {
    this.stdout.spool.end();
    this.stderr.spool.end();
    return {
      outcome: { kind: 'signalled', exitSignal: 'SIGINT', number: os.constants.signals.SIGINT },
      durationMs: 0,
      sweptProcesses: 0,
      isOutputCut: false,
    };
  }

  async #finish(tidy: () => Promise<void>): Promise<void> {
    this.held.settle();
    this.#isTidying = true;
    try {
      await tidy();
    } finally {
      this.#state = 'done';
      (await this.#streams)?.[Symbol.dispose]();
      await this.held.release();
      await removeTree(this.directory).catch(() => undefined);
      this.#settled.resolve(undefined);
    }
  }

  /** Asked again after each wait: a stop may come while the command is being started. */
  #wasStopped(): boolean {
    return this.#beforeStart.isStopped;
  }

  #enter(state: RunState): void {
    this.#state = state;
    writeRunRecord(this.#runs, { ...this.record, state });
  }

  #armTimeout(timeoutMs: number | undefined): NodeJS.Timeout | undefined {
    if (timeoutMs === undefined) return undefined;
    return setTimeout(
      () => {
        this.#isTimedOut = true;
        this.stop({ isForced: false });
      },
      Math.min(timeoutMs, 2 ** 31 - 1),
    );
  }
}

function toOutcome(exit: CommandExit): CommandOutcome {
  return exit.kind === 'signalled'
    ? { kind: 'signalled', exitSignal: exit.signal, number: exit.number }
    : exit;
}
