/**
 * A command of `exec` that runs on this machine, because `--fallback local` was said and no host answers: in the
 * project itself, with the environment, the streams and the terminal of whoever called.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import os from 'node:os';
import type { Readable } from 'node:stream';
import { isatty } from 'node:tty';
import { RmtxError, systemErrorCode } from '../errors.js';
import { exitCodeOf } from '../protocol/exit-code.js';
import { printable } from '../util/printable.js';
import { exactCommand, projectWorkingDirectory } from './command.js';
import type { HostlessReport, RunOutcome } from './run-events.js';

export interface LocalRunOptions {
  readonly command: readonly string[];
  readonly projectRoot: string;
  /** Absolute; in the project. */
  readonly cwd: string;
  /** `--env`. */
  readonly env: ReadonlyMap<string, string>;
  readonly hasStdin: boolean;
  /** Absent: the command writes to our stdout and stderr itself. */
  readonly onOutput?: (stream: 'stdout' | 'stderr', bytes: Buffer) => Promise<void>;
}

/** A terminal sends these to the command itself; a second one would ask twice. */
const OF_TERMINALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGHUP'];
const PASSED_ON: readonly NodeJS.Signals[] = [...OF_TERMINALS, 'SIGTERM', 'SIGUSR1', 'SIGUSR2'];

/**
 * Resolves however the command ends. Rejects with BAD_ARGUMENT for a directory that is not in the project, or not
 * there; nothing has run then.
 */
export async function runHere(options: LocalRunOptions): Promise<HostlessReport> {
  const { cwd, projectRoot, env } = options;
  const command = exactCommand(options.command);
  projectWorkingDirectory(projectRoot, cwd);
  refuseMissing(cwd);
  const startedAtMs = performance.now();
  const variables = {
    ...process.env,
    ...Object.fromEntries(env),
    RMTX: '1',
    RMTX_RUNNER: 'local',
  };
  let ending: Ending;
  try {
    ending = await execute({ ...options, command }, variables);
  } catch (error) {
    ending = notStarted(error, command, variables);
  }
  const durationMs = Math.round(performance.now() - startedAtMs);
  return { runner: 'local', outcome: ending, exitCode: exitCodeOf(ending), durationMs };
}

type Ending = Exclude<RunOutcome, { kind: 'interrupted' }>;

/** Rejects with the system's error where the command cannot be started. */
async function execute(options: LocalRunOptions, env: NodeJS.ProcessEnv): Promise<Ending> {
  const { cwd, hasStdin, onOutput } = options;
  const [file = '', ...args] = options.command;
  const output = onOutput === undefined ? 'inherit' : 'pipe';
  const started: { child?: ChildProcess } = {};
  // Before the command is there: whoever hears its first word may signal us in the same moment.
  using _signals = passSignals((name) => started.child?.kill(name));
  const child = (started.child = spawn(file, args, {
    cwd,
    env,
    stdio: [hasStdin ? 'inherit' : 'ignore', output, output],
  }));
  const ending = endingOf(child);
  // Where it could not be started there is nothing to hand over.
  await Promise.race([once(child, 'spawn'), ending]);
  await Promise.all([
    handOver(child.stdout, (bytes) => onOutput?.('stdout', bytes)),
    handOver(child.stderr, (bytes) => onOutput?.('stderr', bytes)),
  ]);
  // Until then signals are passed on.
  return await ending;
}

/** A command that cannot be found and a directory that is not there look the same to whoever starts one. */
function refuseMissing(cwd: string): void {
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new RmtxError(
    'ERR_RMTX_BAD_ARGUMENT',
    `the working directory ${printable(cwd)} does not exist here`,
    { hint: 'on a host it would be made; make it first, or leave out --fallback local' },
  );
}

async function endingOf(child: ChildProcess): Promise<Ending> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return signal === null
    ? { kind: 'exited', code: code ?? 0 }
    : { kind: 'signalled', signal, number: os.constants.signals[signal] };
}

function notStarted(
  error: unknown,
  [file = '', ...rest]: readonly string[],
  env: NodeJS.ProcessEnv,
): Ending {
  const code = systemErrorCode(error);
  if (code === undefined) throw error;
  if (code !== 'ENOENT') return { kind: 'not-executable', reason: code };
  const isShellLine = rest.length === 0 && /[\s|&;<>]/.test(file);
  return { kind: 'not-found', searched: env['PATH'] ?? '', isShellLine };
}

/** Waits for whoever takes it, so that the command waits, too. */
async function handOver(
  stream: Readable | null,
  take: (bytes: Buffer) => Promise<void> | undefined,
): Promise<void> {
  if (stream === null) return;
  for await (const bytes of stream as AsyncIterable<Buffer>) await take(bytes);
}

/** Until it is disposed of, no such signal ends this process, which has an exit code to give. */
function passSignals(send: (name: NodeJS.Signals) => void): Disposable {
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
  const pass = (name: NodeJS.Signals): void => {
    if (!hasTerminal || !OF_TERMINALS.includes(name)) send(name);
  };
  for (const name of PASSED_ON) process.on(name, pass);
  return {
    [Symbol.dispose]: () => {
      for (const name of PASSED_ON) process.off(name, pass);
    },
  };
}
