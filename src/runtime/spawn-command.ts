/** The one call that makes a process of a command, and what its refusals mean. */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RmtxError, systemErrorCode } from '../errors.js';
import { isShellText } from './command-lookup.js';
import type { ProcessTree } from './process-tree.js';
import type { CommandExit, CommandSpec } from './runtime.js';
import type { PreparedStreams } from './streams.js';

/**
 * A program that was written a moment ago is "busy" while another child, between its fork and its
 * exec, still has a copy of the writer's descriptor: a millisecond or two.
 */
const TEXT_BUSY_ATTEMPTS = 20;
const TEXT_BUSY_PAUSE_MS = 10;
/** The machine is short of something; the same command may start later. */
const OUT_OF_RESOURCES = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS']);
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  ENOENT: 'its interpreter or loader is missing',
  E2BIG: 'argument list too long',
  ENOEXEC: 'not a program for this machine (exec format error)',
  ETXTBSY: 'the file is open for writing (text file busy)',
};

export interface SpawnTarget {
  /** As found by the lookup; relative to the command's directory. */
  readonly file: string;
  readonly streams: PreparedStreams | undefined;
}

/**
 * Starts `file` under the name that the user gave it and tells the tree. Text that the kernel does not
 * know goes to /bin/sh, as `execvp` does it. Throws RUNTIME_UNAVAILABLE where the machine is short of
 * processes, memory or descriptors.
 */
export async function spawnCommand(
  tree: ProcessTree,
  spec: CommandSpec,
  target: SpawnTarget,
): Promise<{ readonly kind: 'started'; readonly child: ChildProcess } | CommandExit> {
  const { file, streams } = target;
  const [argv0 = file, ...args] = spec.argv;
  const options = { ...spawnOptions(spec, streams), argv0 };
  for (let attempt = 1; ; attempt += 1) {
    const child = await trySpawn(tree, () => spawn(file, args, options));
    if (!(child instanceof Error)) return { kind: 'started', child };
    const code = systemErrorCode(child) ?? '';
    if (code === 'ETXTBSY' && attempt < TEXT_BUSY_ATTEMPTS) {
      await delay(TEXT_BUSY_PAUSE_MS);
      continue;
    }
    // The C library of most systems has done this itself; musl does not.
    if (code === 'ENOEXEC' && isShellText(path.resolve(spec.cwd, file))) {
      const shell = await trySpawn(tree, () =>
        spawn('/bin/sh', [file, ...args], spawnOptions(spec, streams)),
      );
      return shell instanceof Error ? toExit(shell, file) : { kind: 'started', child: shell };
    }
    return toExit(child, file);
  }
}

function spawnOptions(spec: CommandSpec, streams: PreparedStreams | undefined): SpawnOptions {
  const [stdin, stdout, stderr] = streams?.commandEnds() ?? (['pipe', 'pipe', 'pipe'] as const);
  return {
    cwd: spec.cwd,
    env: environmentOf(spec),
    stdio: [spec.hasStdin ? stdin : 'ignore', stdout, stderr],
    detached: true,
    windowsHide: true,
  };
}

/** Node throws some refusals and emits others; both come back as a value. */
async function trySpawn(
  tree: ProcessTree,
  start: () => ChildProcess,
): Promise<ChildProcess | Error> {
  try {
    const started = await tree.start(() => {
      const child = start();
      // Emitted before anybody could listen if it were waited for outside.
      const failed = child.pid === undefined ? once(child, 'error') : undefined;
      return { pid: child.pid, child, failed };
    });
    if (started.failed === undefined) return started.child;
    const [error] = (await started.failed) as [Error];
    return error;
  } catch (error) {
    if (systemErrorCode(error) !== undefined && error instanceof Error) return error;
    throw error;
  }
}

/**
 * The run's id comes first, where a look into /proc finds it soonest. Node would copy its own
 * NODE_V8_COVERAGE into an environment that does not mention it.
 */
function environmentOf(spec: CommandSpec): NodeJS.ProcessEnv {
  const env = Object.create(null) as NodeJS.ProcessEnv;
  env['RMTX_RUN_ID'] = spec.runId;
  env['NODE_V8_COVERAGE'] = undefined;
  return Object.assign(env, spec.env, { RMTX_RUN_ID: spec.runId });
}

function toExit(error: Error, file: string): CommandExit {
  const code = systemErrorCode(error) ?? '';
  if (OUT_OF_RESOURCES.has(code))
    throw new RmtxError(
      'ERR_RMTX_RUNTIME_UNAVAILABLE',
      `the host cannot start a process: ${code}`,
      {
        cause: error,
        isRetryable: true,
      },
    );
  // Elsewhere the lookup has told before that a command does not exist.
  if (process.platform === 'win32' && code === 'ENOENT')
    return { kind: 'not-found', searched: process.env['PATH'] ?? '' };
  return { kind: 'not-executable', reason: `${file}: ${REASONS[code] ?? error.message}` };
}
