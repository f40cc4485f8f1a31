/**
 * A command's environment is built, never inherited: what the host user's login shell sets, then what
 * the client forwards, then what rmtx says about the run. Of the daemon's own environment (which may
 * hold tokens and debug switches) nothing gets through but the few names below.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import { isExactText } from './exact-text.js';

export type Environment = Readonly<Record<string, string>>;

/** A login shell runs whatever its owner put into its profile; 136 ms were seen, and far more. */
const CAPTURE_LIMIT_MS = 5000;
const MAX_CAPTURE_BYTES = 1024 * 1024;
const SANE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const BASE_NAME = /^(?:PATH|HOME|USER|LANG|SHELL|TMPDIR|LC_[A-Z]+)$/;
/** rmtx's own; a client cannot set them, so that a command can rely on what they say. */
const OWN_NAME = /^RMTX(?:_|$)/;

export interface CaptureOptions {
  /** What the daemon itself was started with; only base names of it are used. */
  readonly daemon?: Readonly<Record<string, string | undefined>>;
  /** The login shell; the one of the user's account by default. */
  readonly shell?: string;
  readonly limitMs?: number;
}

/**
 * PATH, HOME, USER, LANG, SHELL, TMPDIR and LC_* as a login shell of the host's user has them. Asked
 * once, at the start of the host; never rejects: where the shell does not answer in time, the values
 * are the account's and a usual PATH.
 */
export async function captureBaseEnvironment(options: CaptureOptions = {}): Promise<Environment> {
  const account = accountOf();
  const start = {
    PATH: SANE_PATH,
    ...pickBase(options.daemon ?? process.env),
    USER: account.username,
    SHELL: options.shell ?? account.shell,
  };
  const initial = { ...start, HOME: start.HOME ?? account.homedir };
  if (process.platform === 'win32') return initial;
  const captured = await askLoginShell(initial, options.limitMs ?? CAPTURE_LIMIT_MS);
  return { ...initial, ...captured };
}

function accountOf(): { username: string; homedir: string; shell: string } {
  try {
    const { username, homedir, shell } = os.userInfo();
    return { username, homedir, shell: shell ?? '/bin/sh' };
  } catch {
    // A container may run as a number that no account has.
    return { username: String(process.getuid?.() ?? ''), homedir: os.homedir(), shell: '/bin/sh' };
  }
}

function pickBase(
  source: Readonly<Record<string, string | undefined>>,
): Partial<Record<'HOME' | 'PATH', string>> & Environment {
  const picked: Record<string, string> = {};
  for (const [name, value] of Object.entries(source))
    if (value !== undefined && BASE_NAME.test(name) && !value.includes('\uFFFD'))
      picked[name] = value;
  return picked;
}

/** Undefined where the shell fails, hangs or prints something else. */
function askLoginShell(
  env: Environment & { readonly HOME: string; readonly SHELL: string },
  limitMs: number,
): Promise<Environment | undefined> {
  return new Promise((resolve) => {
    // What a profile prints stands before the first mark, and cannot know it.
    const mark = `rmtx-environment-${randomBytes(8).toString('hex')}`;
    const script = `echo ${mark}; /usr/bin/env -0; echo ${mark}`;
    const shell = spawn(env.SHELL, ['-l', '-c', script], {
      cwd: '/',
      env: { ...env, TERM: 'dumb' },
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    let printed = '';
    const finish = (): void => {
      clearTimeout(timer);
      shell.stdout.destroy();
      resolve(parseCaptured(printed, mark));
    };
    const timer = setTimeout(() => {
      killGroup(shell.pid);
      finish();
    }, limitMs);
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      // A profile may leave a background process that holds the pipe open: its end is not waited for.
      if (printed.split(mark).length > 2 || printed.length > MAX_CAPTURE_BYTES) finish();
    });
    shell.stdout.on('end', finish);
    shell.on('error', finish);
  });
}

function parseCaptured(printed: string, mark: string): Environment | undefined {
  const [, between, after] = printed.split(mark);
  if (between === undefined || after === undefined) return undefined;
  const entries = between
    .replace(/^\n/, '')
    .split('\0')
    .filter((entry) => entry.includes('='))
    .map((entry): [string, string] => {
      const equals = entry.indexOf('=');
      return [entry.slice(0, equals), entry.slice(equals + 1)];
    });
  const picked = pickBase(Object.fromEntries(entries));
  return picked.PATH === undefined || picked.PATH === '' ? undefined : picked;
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended in the same moment.
  }
}

export interface RunEnvironmentParts {
  readonly base: Environment;
  /** The client's: `env.forward`, then `--env`. Names of rmtx's own in it are left out. */
  readonly forwarded: ReadonlyMap<string, string>;
  /** Absolute path of the workspace. */
  readonly workspace: string;
  readonly contextId: string;
  readonly runId: string;
}

/**
 * The whole environment of a run's command; later parts win: base, forwarded, run. Throws BAD_ARGUMENT
 * for a name that no environment can hold, COMMAND_NOT_UNICODE for a value that cannot be carried
 * exactly.
 */
export function buildRunEnvironment(parts: RunEnvironmentParts): Record<string, string> {
  const env = Object.create(null) as Record<string, string>;
  Object.assign(env, parts.base);
  for (const [name, value] of parts.forwarded) {
    refuseUnfit(name, value);
    if (!OWN_NAME.test(name)) env[name] = value;
  }
  return Object.assign(env, {
    RMTX: '1',
    RMTX_RUNNER: 'host',
    RMTX_WORKSPACE: parts.workspace,
    RMTX_CONTEXT_ID: parts.contextId,
    RMTX_RUN_ID: parts.runId,
    RMTX_CPU_COUNT: String(os.availableParallelism()),
    RMTX_MEMORY_AVAILABLE_BYTES: String(availableMemoryBytes()),
  });
}

function refuseUnfit(name: string, value: string): void {
  if (name === '' || name.includes('='))
    throw new RmtxError(
      'ERR_RMTX_BAD_ARGUMENT',
      `"${printable(name)}" cannot be the name of an environment variable`,
    );
  if (!isExactText(name) || !isExactText(value))
    throw new RmtxError(
      'ERR_RMTX_COMMAND_NOT_UNICODE',
      `the environment variable ${printable(name)} holds a NUL or is not valid Unicode`,
    );
}

/** A container's limit counts, where there is one. */
export function availableMemoryBytes(): number {
  const limit = process.constrainedMemory();
  const free = process.availableMemory();
  return limit > 0 ? Math.min(free, limit) : free;
}
