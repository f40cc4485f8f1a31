/**
 * Runs a command as a process of the host's user: exactly the argv, directory and environment that it
 * is given, in a session of its own, on real pipes. See runtime.ts for the order of a run.
 */
import type { ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import os from 'node:os';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { RmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import { printable } from '../util/printable.js';
import { lookUpCommand } from './command-lookup.js';
import { isExactText } from './exact-text.js';
import { ProcessTree, killWindowsTree } from './process-tree.js';
import type {
  CommandExit,
  CommandSpec,
  OutputName,
  RunningCommand,
  SweepResult,
} from './runtime.js';
import { spawnCommand } from './spawn-command.js';
import { prepareStreams } from './streams.js';
import type { PreparedStreams } from './streams.js';

/** After the sweep only a process that is not of the run can still hold an output open. */
const FINISH_LIMIT_MS = 2000;
/**
 * An output that is still open says that somebody holds it: a process that the first look missed, or
 * a stranger. So looking goes on for a while. A reader that is slow to take the rest looks the same.
 */
const HUNT_LIMIT_MS = 500;
const HUNT_PAUSE_MS = 10;

/**
 * Starts the command. One that cannot be found or executed is an outcome in `leaderExit`, not an error.
 * Throws COMMAND_NOT_UNICODE for strings that no system call can carry exactly, MISSING_COMMAND for an
 * empty argv, RUNTIME_UNAVAILABLE where the host itself is the trouble. `spec.streams` is used up, also
 * by an error.
 */
export async function startProcess(spec: CommandSpec): Promise<RunningCommand> {
  const streams = spec.streams ?? (await prepareStreams(spec.scratchDirectory));
  try {
    refuseBadStrings(spec);
    refuseMissingDirectory(spec.cwd);
    const found = lookUpCommand({ name: spec.argv[0] ?? '', cwd: spec.cwd, env: spec.env });
    if (found.kind !== 'found') return new FailedStart(found);
    const tree = new ProcessTree(spec.runId);
    const started = await spawnCommand(tree, spec, { file: found.file, streams });
    return started.kind === 'started'
      ? new LiveCommand(started.child, { tree, streams, hasStdin: spec.hasStdin })
      : new FailedStart(started);
  } finally {
    streams?.[Symbol.dispose]();
  }
}

function refuseBadStrings(spec: CommandSpec): void {
  if (spec.argv.length === 0)
    throw new RmtxError('ERR_RMTX_MISSING_COMMAND', 'no command was given');
  for (const text of [...spec.argv, spec.cwd])
    if (!isExactText(text)) throw notUnicode(printable(text));
  // The value may be a secret.
  for (const [name, value] of Object.entries(spec.env))
    if (!isExactText(name) || !isExactText(value))
      throw notUnicode(`the environment variable ${printable(name)}`);
}

function notUnicode(what: string): RmtxError {
  return new RmtxError(
    'ERR_RMTX_COMMAND_NOT_UNICODE',
    `${what} holds a NUL or is not valid Unicode, so it cannot be handed to a command exactly`,
  );
}

function refuseMissingDirectory(cwd: string): void {
  let isDirectory = false;
  try {
    isDirectory = statSync(cwd).isDirectory();
  } catch {
    // Missing or out of reach: to the run it is the same.
  }
  if (!isDirectory)
    throw new RmtxError(
      'ERR_RMTX_RUNTIME_UNAVAILABLE',
      `the working directory ${printable(cwd)} does not exist on the host`,
    );
}

/** A command that never ran: it has ended, and printed nothing. */
class FailedStart implements RunningCommand {
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

interface LiveCommandParts {
  readonly tree: ProcessTree;
  readonly streams: PreparedStreams | undefined;
  readonly hasStdin: boolean;
}

class LiveCommand implements RunningCommand {
  readonly pid: number | undefined;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly leaderExit: Promise<CommandExit>;
  readonly #tree: ProcessTree;
  readonly #closed: Promise<unknown>;

  constructor(child: ChildProcess, { tree, streams, hasStdin }: LiveCommandParts) {
    this.pid = child.pid;
    this.#tree = tree;
    this.leaderExit = watchExit(child, tree);
    streams?.closeCommandEnds();
    this.stdin = (hasStdin ? streams?.take('stdin') : undefined) ?? child.stdin ?? undefined;
    this.stdout = streams?.take('stdout') ?? child.stdout ?? Readable.from([]);
    this.stderr = streams?.take('stderr') ?? child.stderr ?? Readable.from([]);
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

function watchExit(child: ChildProcess, tree: ProcessTree): Promise<CommandExit> {
  return new Promise((resolve) => {
    // Later errors (a signal that could not be sent) change nothing about how it ends.
    child.on('error', () => undefined);
    child.once('exit', (code, exitSignal) => {
      tree.leaderEnded();
      resolve(
        exitSignal === null
          ? { kind: 'exited', code: code ?? 0 }
          : { kind: 'signalled', signal: exitSignal, number: os.constants.signals[exitSignal] },
      );
    });
  });
}

function whenClosed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', resolve);
  });
}
