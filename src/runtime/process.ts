/**
 * Runs a command as a process of the host's user: exactly the argv, directory and environment that it
 * is given, in a session of its own, on real pipes. See runtime.ts for the order of a run.
 */
import type { ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import os from 'node:os';
import { Readable } from 'node:stream';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import { lookUpCommand } from './command-lookup.js';
import { isExactText } from './exact-text.js';
import { FailedStart, LiveCommand } from './live-command.js';
import { ProcessTree } from './process-tree.js';
import type { CommandExit, CommandSpec, RunningCommand } from './runtime.js';
import { spawnCommand } from './spawn-command.js';
import { prepareStreams } from './streams.js';
import type { PreparedStreams } from './streams.js';

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
      ? watch(started.child, { tree, streams, hasStdin: spec.hasStdin })
      : new FailedStart(started);
  } finally {
    streams?.[Symbol.dispose]();
  }
}

/** Throws COMMAND_NOT_UNICODE or MISSING_COMMAND. */
export function refuseBadStrings(spec: CommandSpec): void {
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

/** Throws RUNTIME_UNAVAILABLE. */
export function refuseMissingDirectory(cwd: string): void {
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

interface StartedParts {
  readonly tree: ProcessTree;
  readonly streams: PreparedStreams | undefined;
  readonly hasStdin: boolean;
}

function watch(child: ChildProcess, { tree, streams, hasStdin }: StartedParts): LiveCommand {
  const leaderExit = watchExit(child, tree);
  streams?.closeCommandEnds();
  return new LiveCommand({
    pid: child.pid,
    tree,
    leaderExit,
    stdin: (hasStdin ? streams?.take('stdin') : undefined) ?? child.stdin ?? undefined,
    stdout: streams?.take('stdout') ?? child.stdout ?? Readable.from([]),
    stderr: streams?.take('stderr') ?? child.stderr ?? Readable.from([]),
  });
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
