/** What a run gets back of a command: one that was started, on whatever streams, or one that could not be. */
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { createDeferred } from '../util/deferred.js';
import { killWindowsTree } from './process-tree.js';
import type { ProcessTree } from './process-tree.js';
import type { CommandExit, OutputName, RunningCommand, SweepResult } from './runtime.js';

/** After the sweep only a process that is not of the run can still hold an output open. */
const FINISH_LIMIT_MS = 2000;
/**
 * An output that is still open says that somebody holds it: a process that the first look missed, or
 * a stranger. So looking goes on for a while. A reader that is slow to take the rest looks the same.
 */
const HUNT_LIMIT_MS = 500;
const HUNT_PAUSE_MS = 10;

/** A command that never ran: it has ended, and printed nothing. */
export class FailedStart implements RunningCommand {
  readonly pid = undefined;
  readonly stdin = undefined;
  readonly stdout = Readable.from([]);
  readonly stderr = Readable.from([]);
  readonly leaderExit: Promise<CommandExit>;

  constructor(exit: CommandExit) {
    this.leaderExit = Promise.resolve(exit);
  }

  sendSignal(): void {
    // There is nothing to signal.
  }

  sweep(): Promise<SweepResult> {
    return Promise.resolve({ killed: 0, survivors: 0 });
  }

  closeOutput(output: OutputName): void {
    this[output].destroy();
  }

  finishOutput(): Promise<{ cut: readonly OutputName[] }> {
    return Promise.resolve({ cut: [] });
  }
}

export interface LiveCommandParts {
  readonly pid: number | undefined;
  readonly tree: ProcessTree;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly leaderExit: Promise<CommandExit>;
}

/** A command whose leader was started, by whatever means. */
export class LiveCommand implements RunningCommand {
  readonly pid: number | undefined;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly leaderExit: Promise<CommandExit>;
  readonly #tree: ProcessTree;
  readonly #closed: Promise<unknown>;

  constructor(parts: LiveCommandParts) {
    this.pid = parts.pid;
    this.stdin = parts.stdin;
    this.stdout = parts.stdout;
    this.stderr = parts.stderr;
    this.leaderExit = parts.leaderExit;
    this.#tree = parts.tree;
    // The command may close its end at any time; that is no error of anybody's.
    for (const stream of [this.stdin, this.stdout, this.stderr])
      stream?.on('error', () => undefined);
    this.#closed = Promise.all([whenClosed(this.stdout), whenClosed(this.stderr)]);
  }

  sendSignal(exitSignal: NodeJS.Signals): void {
    if (process.platform === 'win32') killWindowsTree(this.pid ?? 0);
    else void this.#tree.signal(exitSignal);
  }

  async sweep(): Promise<SweepResult> {
    await this.leaderExit;
    const swept =
      process.platform === 'win32' ? { killed: 0, survivors: 0 } : await this.#sweepTree();
    // Nobody is left to read it.
    this.stdin?.destroy();
    return swept;
  }

  async #sweepTree(): Promise<SweepResult> {
    let { killed, survivors } = await this.#tree.sweep();
    let deadline = performance.now() + HUNT_LIMIT_MS;
    while (survivors === 0 && performance.now() < deadline) {
      if (await this.#isOutputAtEnd(HUNT_PAUSE_MS)) break;
      // Whoever is found now had its time to end well.
      const late = await this.#tree.sweep({ graceMs: 0 });
      if (late.killed > 0) deadline = performance.now() + HUNT_LIMIT_MS;
      killed += late.killed;
      survivors = late.survivors;
    }
    return { killed, survivors };
  }

  closeOutput(output: OutputName): void {
    this[output].destroy();
  }

  async finishOutput(limitMs = FINISH_LIMIT_MS): Promise<{ cut: readonly OutputName[] }> {
    await this.#isOutputAtEnd(limitMs);
    const cut = (['stdout', 'stderr'] as const).filter((output) => !this[output].closed);
    for (const output of cut) this[output].destroy();
    return { cut };
  }

  async #isOutputAtEnd(limitMs: number): Promise<boolean> {
    const limit = createDeferred<false>();
    const timer = setTimeout(() => limit.resolve(false), limitMs);
    const isAtEnd = await Promise.race([this.#closed.then(() => true), limit.promise]);
    clearTimeout(timer);
    return isAtEnd;
  }
}

function whenClosed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.once('close', resolve);
  });
}
