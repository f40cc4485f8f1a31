/**
 * A run's command while it executes: started, fed, stopped and seen to its end. Knows nothing of visitors,
 * workspaces and records.
 */
import os from 'node:os';
import type { CommandOutcome, ForwardedSignal, TerminalSize } from '../protocol/messages.js';
import { prepareMark } from '../runtime/process-mark.js';
import { stopTree } from '../runtime/process-tree.js';
import type { StopLadder } from '../runtime/process-tree.js';
import { startProcess } from '../runtime/process.js';
import { prepareStreams } from '../runtime/streams.js';
import type { PreparedStreams } from '../runtime/streams.js';
import { startTerminalProcess } from '../runtime/terminal-process.js';
import type { CommandExit, RunningCommand, TerminalSpec } from '../runtime/runtime.js';
import { CommandInput } from './command-input.js';
import type { RunOutput } from './output.js';
import type { ExitReport } from './run-record.js';

export interface RunRequest {
  readonly argv: readonly string[];
  /** Absolute, inside the workspace, existing. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly hasStdin: boolean;
  /** Undefined: pipes. */
  readonly terminal: TerminalSpec | undefined;
  readonly timeoutMs: number | undefined;
}

export interface ExecutionOptions {
  readonly runId: string;
  /** Private to the run. */
  readonly directory: string;
  readonly stdout: RunOutput;
  readonly stderr: RunOutput;
  /** Told each signal of the stop ladder as it is sent. */
  readonly onStopStep: (exitSignal: NodeJS.Signals) => void;
}

export class Execution {
  readonly input = new CommandInput();
  readonly #options: ExecutionOptions;
  /** Made while the files are still on their way. */
  readonly #streams: Promise<PreparedStreams | undefined>;
  #command: RunningCommand | undefined;
  /** Of the window, once it is another than it was at the start. */
  #size: TerminalSize | undefined;
  #ladder: StopLadder | undefined;
  #isTimedOut = false;
  /** What came before there was a command to have it. */
  readonly #beforeStart = { isStopped: false, signals: new Set<ForwardedSignal>() };
  /** The command itself has ended: nobody is left to be signalled but by the sweep. */
  #hasEnded = false;

  constructor(options: ExecutionOptions) {
    this.#options = options;
    this.#streams = prepareStreams(options.directory);
    // After the processes that make the streams: they are none of the run's.
    this.#streams.then(
      () => prepareMark(options.runId),
      () => undefined,
    );
  }

  /**
   * Starts the command and stays with it to the end of its last process and the last byte of its
   * output. A command that cannot be started is an outcome, not an error; one whose output cannot be kept
   * is ended, and this rejects with why. `onStarted` is told whether there is a process.
   */
  async run(request: RunRequest, onStarted: (hasProcess: boolean) => void): Promise<ExitReport> {
    const startedAt = performance.now();
    const { stdout, stderr } = this.#options;
    const streams = await this.#streams;
    if (this.#wasStopped()) return this.#nothingRan();
    const command = await this.#start(request, streams);
    this.#command = command;
    if (this.#size !== undefined) command.resize?.(this.#size);
    this.input.connect(command.stdin);
    // While it was being started.
    if (this.#wasStopped()) this.stop({ isForced: false });
    for (const name of this.#beforeStart.signals) this.signal(name);
    const timer = this.#armTimeout(request.timeoutMs);
    const pumped = Promise.all([stdout.pump(command.stdout), stderr.pump(command.stderr)]);
    // Output that cannot be kept is output lost: the command is ended and the run says why.
    pumped.catch(() => this.stop({ isForced: true }));
    onStarted(command.pid !== undefined);
    const exit = await command.leaderExit;
    this.#hasEnded = true;
    clearTimeout(timer);
    this.#ladder?.end();
    stdout.finish();
    stderr.finish();
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

  /**
   * SIGINT, then SIGTERM, then SIGKILL; forced: SIGKILL at once. Before the command has started it keeps
   * it from starting; after its end nothing happens.
   */
  stop(options: { readonly isForced: boolean }): void {
    if (this.#hasEnded) return;
    if (this.#command === undefined) {
      this.#beforeStart.isStopped = true;
      return;
    }
    this.#ladder ??= stopTree(this.#command, { onStep: this.#options.onStopStep });
    if (options.isForced) this.#ladder.force();
  }

  /** To the command and all its descendants, as soon as it has started. */
  signal(name: ForwardedSignal): void {
    if (this.#command === undefined) this.#beforeStart.signals.add(name);
    else if (!this.#hasEnded) this.#command.sendSignal(name);
  }

  /** The window of whoever looks; a command without a terminal has none. */
  resize(size: TerminalSize): void {
    this.#size = size;
    this.#command?.resize?.(size);
  }

  /** Where it was never run: what was made for it is closed. May be called at any time. */
  async dispose(): Promise<void> {
    const streams = await this.#streams.catch(() => undefined);
    streams?.[Symbol.dispose]();
  }

  #start(request: RunRequest, streams: PreparedStreams | undefined): Promise<RunningCommand> {
    const { runId, directory } = this.#options;
    const { terminal, argv, cwd, env, hasStdin } = request;
    const spec = { runId, argv, cwd, env, hasStdin, scratchDirectory: directory, streams };
    return terminal === undefined
      ? startProcess(spec)
      : startTerminalProcess({ ...spec, terminal });
  }

  /** As if SIGINT had come in the command's first instant. */
  #nothingRan(): ExitReport {
    this.#options.stdout.spool.end();
    this.#options.stderr.spool.end();
    return {
      outcome: { kind: 'signalled', exitSignal: 'SIGINT', number: os.constants.signals.SIGINT },
      durationMs: 0,
      sweptProcesses: 0,
      isOutputCut: false,
    };
  }

  /** Asked again after each wait: a stop may come while the command is being started. */
  #wasStopped(): boolean {
    return this.#beforeStart.isStopped;
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
