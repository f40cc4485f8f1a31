/**
 * Runs a command on a terminal of its own. Everything it shows, stderr included, comes as one stream;
 * what is typed goes in as bytes and is interpreted there: Ctrl-C is the terminal's business, not ours.
 * See runtime.ts for the order of a run and terminal-keeper.ts for who keeps the terminal.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { RmtxError } from '../errors.js';
import { createDeferred } from '../util/deferred.js';
import { printable } from '../util/printable.js';
import { lookUpCommand } from './command-lookup.js';
import { FailedStart, LiveCommand } from './live-command.js';
import { startMarked, unmark } from './process-mark.js';
import { ProcessTree } from './process-tree.js';
import { refuseBadStrings, refuseMissingDirectory } from './process.js';
import type { CommandExit, CommandSpec, RunningCommand, TerminalSpec } from './runtime.js';
import type { FromKeeper, ToKeeper } from './terminal-messages.js';

const KEEPER_FILE = path.join(__dirname, 'terminal-keeper.js');
/** The addon takes 16 bits each, and a terminal without an extent confuses what runs in it. */
const MAX_EXTENT = 65_535;

/**
 * As `startProcess`, but on a terminal: `stderr` ends at once, `stdin` is there whatever the spec says
 * (its end types Ctrl-D), destroying `stdout` hangs up (SIGHUP). TERM is the terminal's.
 * Throws RUNTIME_UNAVAILABLE where this machine cannot make terminals.
 */
export async function startTerminalProcess(
  spec: CommandSpec & { readonly terminal: TerminalSpec },
): Promise<RunningCommand> {
  spec.streams?.[Symbol.dispose]();
  refuseBadStrings(spec);
  refuseMissingDirectory(spec.cwd);
  const found = lookUpCommand({ name: spec.argv[0] ?? '', cwd: spec.cwd, env: spec.env });
  if (found.kind !== 'found') return new FailedStart(found);
  const { columns, rows, term } = spec.terminal;
  const tree = new ProcessTree(spec.runId);
  // The command gets the mark of its run from the keeper, which then loses it: it outlives the run.
  const keeper = await startMarked(spec.runId, () => {
    tree.beforeStart();
    return new Keeper();
  });
  const pid = await keeper.start({
    type: 'start',
    argv: spec.argv,
    cwd: spec.cwd,
    env: environmentOf(spec, term),
    ...clampSize({ columns, rows }),
  });
  tree.started(pid);
  void keeper.end.then(() => tree.leaderEnded());
  await keeper.unmark();
  return new TerminalCommand(keeper, { pid, tree });
}

/** The run's id comes first, where a look into /proc finds it soonest. */
function environmentOf({ env, runId }: CommandSpec, term: string): Record<string, string> {
  const first = { RMTX_RUN_ID: runId };
  return Object.assign({ ...first }, env, { TERM: term }, first);
}

class TerminalCommand extends LiveCommand {
  readonly #keeper: Keeper;

  constructor(keeper: Keeper, { pid, tree }: { readonly pid: number; readonly tree: ProcessTree }) {
    const { stdin, stdout, end } = keeper;
    super({ pid, tree, stdin, stdout, stderr: Readable.from([]), leaderExit: end });
    this.#keeper = keeper;
  }

  override sendSignal(exitSignal: NodeJS.Signals): void {
    super.sendSignal(exitSignal);
    // A shell that somebody types into ignores SIGTERM; the end of its terminal it does not.
    if (exitSignal === 'SIGTERM') super.sendSignal('SIGHUP');
  }

  resize(size: { readonly columns: number; readonly rows: number }): void {
    this.#keeper.send({ type: 'resize', ...clampSize(size) });
  }
}

/** The host's end of a keeper. */
class Keeper {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Never rejects: a keeper that dies takes its terminal along, which hangs up. */
  readonly end: Promise<CommandExit>;
  readonly #process: ChildProcess;
  readonly #started = createDeferred<number>();

  constructor() {
    this.#process = fork(KEEPER_FILE, [], {
      // Own session: a Ctrl-C in the host's own terminal is not meant for it.
      detached: true,
      cwd: path.parse(process.execPath).root,
      env: { NODE_V8_COVERAGE: undefined },
      execArgv: [],
      stdio: ['pipe', 'pipe', 'ignore', 'ipc'],
    });
    const { stdin, stdout } = this.#process;
    if (stdin === null || stdout === null)
      throw new Error('Internal error: a keeper without pipes');
    this.stdin = stdin;
    this.stdout = stdout;
    const ended = createDeferred<CommandExit>();
    this.end = ended.promise;
    this.#process.on('message', (message: FromKeeper) =>
      this.#hear(message, (exit) => ended.resolve(exit)),
    );
    const die = (cause?: unknown): void => {
      this.#started.reject(unavailable('the process that keeps the terminal ended', cause));
      ended.resolve({ kind: 'signalled', signal: 'SIGHUP', number: os.constants.signals.SIGHUP });
    };
    this.#process.on('error', die);
    this.#process.on('exit', () => die());
    stdout.once('close', () => {
      // Nobody looks any more. After the command's end this closes a terminal that something still holds.
      this.send({ type: 'hang-up' });
      // Not before: Node drops what nobody has read yet when a process ends.
      void this.end.then(() => {
        if (this.#process.connected) this.#process.disconnect();
      });
    });
  }

  /** Resolves with the command's process id. */
  start(request: Extract<ToKeeper, { type: 'start' }>): Promise<number> {
    this.send(request);
    return this.#started.promise;
  }

  async unmark(): Promise<void> {
    if (this.#process.pid !== undefined) await unmark(this.#process.pid);
  }

  send(message: ToKeeper): void {
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  #hear(message: FromKeeper, end: (exit: CommandExit) => void): void {
    switch (message.type) {
      case 'started':
        this.#started.resolve(message.pid);
        break;
      case 'unavailable':
        this.#started.reject(
          message.isMissing ? notInstalled() : unavailable(printable(message.message)),
        );
        this.#process.disconnect();
        break;
      case 'exited':
        end(toExit(message.code, message.exitSignal));
        break;
      case 'not-executable':
        end({ kind: 'not-executable', reason: message.reason });
    }
  }
}

function toExit(code: number, exitSignal: number): CommandExit {
  const name = Object.entries(os.constants.signals).find(
    ([, number]) => number === exitSignal,
  )?.[0];
  return name === undefined
    ? { kind: 'exited', code: exitSignal === 0 ? code : 128 + exitSignal }
    : { kind: 'signalled', signal: name as NodeJS.Signals, number: exitSignal };
}

function clampSize(size: { readonly columns: number; readonly rows: number }): {
  columns: number;
  rows: number;
} {
  const clamp = (extent: number): number => Math.min(Math.max(Math.trunc(extent), 1), MAX_EXTENT);
  return { columns: clamp(size.columns), rows: clamp(size.rows) };
}

function notInstalled(): RmtxError {
  return new RmtxError(
    'ERR_RMTX_RUNTIME_UNAVAILABLE',
    'the host cannot make a terminal: its optional package @lydell/node-pty is not installed',
    { hint: 'install rmtx there with its optional packages, or run the command without --tty' },
  );
}

function unavailable(reason: string, cause?: unknown): RmtxError {
  return new RmtxError(
    'ERR_RMTX_RUNTIME_UNAVAILABLE',
    `the host cannot make a terminal: ${reason}`,
    { cause },
  );
}
