/**
 * Keeping this machine from going to sleep, by the program that its system has for that. The program holds
 * it off for as long as a `cat` below it reads from us: so it ends with this process whatever ends that,
 * and `cat` giving back what it was sent is the word that it has begun.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createDeferred } from '../util/deferred.js';
import { findProgram } from '../util/find-program.js';
import { printable } from '../util/printable.js';
import { unmarkedCommand } from './process-mark.js';

/** `all`: it does not sleep unless a person closes or switches it off. `idle`: not for want of a user. */
export type InhibitScope = 'all' | 'idle';

export interface SleepInhibitor {
  readonly scope: InhibitScope;
  /** Why not `all`. */
  readonly limitation: string | undefined;
  /** Resolves with the reason where it ends without having been asked to. */
  readonly lost: Promise<string>;
  /** May be called again. */
  release(): void;
}

/** One way to ask. */
interface Attempt {
  readonly scope: InhibitScope;
  readonly file: string;
  readonly args: readonly string[];
}

/** The bus and polkit answer in milliseconds, PowerShell compiles for seconds. */
const ANSWER_LIMIT_MS = 20_000;
const MAX_REASON_LENGTH = 200;
/** Of this process's environment, which may hold tokens: what the programs need to be found and to work. */
const PASSED_NAMES = [
  'PATH',
  'Path',
  'SystemRoot',
  'TEMP',
  'TMP',
  'DBUS_SYSTEM_BUS_ADDRESS',
] as const;

/**
 * Asks for as much as this system gives. Resolves with the reason where it gives nothing, and once the
 * signal is aborted; never rejects.
 */
export async function inhibitSleep(
  abortSignal: AbortSignal,
): Promise<SleepInhibitor | { readonly refusal: string }> {
  let refusal: string | undefined;
  const attempts = attemptsHere();
  if (typeof attempts === 'string') return { refusal: attempts };
  for (const attempt of attempts) {
    if (abortSignal.aborted) break;
    const held = await hold(attempt, abortSignal);
    if ('refusal' in held) refusal ??= held.refusal;
    else return { ...held, limitation: refusal };
  }
  return { refusal: refusal ?? 'nobody wants it any more' };
}

/** Best first; a text says why there are none. */
function attemptsHere(): readonly Attempt[] | string {
  const { platform } = process;
  if (platform === 'linux') return systemdAttempts();
  if (platform === 'darwin')
    return [{ scope: 'idle', file: '/usr/bin/caffeinate', args: ['-i', '/bin/cat'] }];
  if (platform === 'win32')
    return [{ scope: 'idle', file: 'powershell.exe', args: powershellArguments() }];
  return `rmtx does not know how on ${platform}`;
}

/** polkit lets a user who is not at the machine (ssh, a service) hold off only what comes of idleness. */
function systemdAttempts(): readonly Attempt[] | string {
  const file = findProgram('systemd-inhibit');
  if (file === undefined) return 'there is no systemd-inhibit here';
  const words = ['--who=rmtx', '--why=a run is active', '--mode=block'];
  return [
    { scope: 'all', file, args: ['--what=sleep:idle', ...words, 'cat'] },
    { scope: 'idle', file, args: ['--what=idle', ...words, 'cat'] },
  ];
}

/** ES_CONTINUOUS | ES_SYSTEM_REQUIRED counts for as long as the thread lives that asked for it. */
const WINDOWS_SCRIPT = `
$power = Add-Type -Name Power -Namespace Rmtx -PassThru -MemberDefinition '[DllImport("kernel32.dll")] public static extern uint SetThreadExecutionState(uint flags);'
if ($power::SetThreadExecutionState([uint32]'0x80000001') -eq 0) { [Console]::Error.WriteLine('SetThreadExecutionState failed'); exit 1 }
[Console]::Out.WriteLine('held')
[void][Console]::In.ReadToEnd()
`;

function powershellArguments(): string[] {
  const encoded = Buffer.from(WINDOWS_SCRIPT, 'utf16le').toString('base64');
  return ['-NoProfile', '-NonInteractive', '-EncodedCommand', encoded];
}

async function hold(
  attempt: Attempt,
  abortSignal: AbortSignal,
): Promise<Omit<SleepInhibitor, 'limitation'> | { readonly refusal: string }> {
  let child: ChildProcess;
  try {
    child = start(attempt);
  } catch (error) {
    // Node throws where it is short of descriptors.
    return { refusal: error instanceof Error ? error.message : String(error) };
  }
  const held = createDeferred<undefined>();
  const ended = createDeferred<string>();
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, 4 * MAX_REASON_LENGTH);
  });
  child.stdout?.once('data', () => held.resolve(undefined));
  child.stdin?.on('error', () => undefined);
  child.stdin?.write('\n');
  child.on('error', (error) => ended.resolve(error.message));
  // `cat` goes with it, and whatever it had to say has been read when both are gone.
  child.on('exit', () => child.stdin?.destroy());
  child.on('close', () => ended.resolve(reasonOf(complaint, attempt)));
  const timer = setTimeout(
    () => ended.resolve(`${path.basename(attempt.file)} does not answer`),
    ANSWER_LIMIT_MS,
  );
  const giveUp = (): void => ended.resolve('nobody wants it any more');
  abortSignal.addEventListener('abort', giveUp, { once: true });
  const refusal = await Promise.race([held.promise, ended.promise]);
  clearTimeout(timer);
  abortSignal.removeEventListener('abort', giveUp);
  if (refusal === undefined)
    return { scope: attempt.scope, lost: ended.promise, release: () => letGo(child) };
  letGo(child);
  return { refusal };
}

function start({ file, args }: Attempt): ChildProcess {
  const [unmarked = file, ...unmarkedArgs] = unmarkedCommand([file, ...args]);
  const passed = PASSED_NAMES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return spawn(unmarked, unmarkedArgs, {
    cwd: path.parse(process.execPath).root,
    env: { ...Object.fromEntries(passed), LC_ALL: 'C', NODE_V8_COVERAGE: undefined },
    stdio: 'pipe',
    // Own session: a Ctrl-C in the host's terminal is not meant for it, its runs still end in order.
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
}

/** Its `cat` reads the end and goes. This process need not wait for that. */
function letGo(child: ChildProcess): void {
  child.kill();
  child.stdin?.destroy();
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
}

/** The first line says what is wrong, others what might be done. */
function reasonOf(complaint: string, { file }: Attempt): string {
  const line = complaint.trim().split('\n')[0] ?? '';
  const text = line === '' ? `${path.basename(file)} ended` : line;
  return printable(text).slice(0, MAX_REASON_LENGTH);
}
