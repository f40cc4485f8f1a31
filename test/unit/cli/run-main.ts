/** Runs the program as it ships, as a process of its own: exit codes and streams are what these tests are about. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { BIN } from '../../support/rig.js';

export interface MainResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface MainOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What stdin holds. It stays open afterwards, as a pipe of a careless parent does. */
  readonly stdin?: string;
}

/** Without a terminal: in a session of its own, no process has one. */
export async function runMain(
  args: readonly string[],
  options: MainOptions = {},
): Promise<MainResult> {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    stdio: 'pipe',
    detached: true,
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => stdout.push(piece));
  child.stderr.on('data', (piece: Buffer) => stderr.push(piece));
  child.stdin.on('error', () => undefined);
  if (options.stdin !== undefined) child.stdin.write(options.stdin);
  const [code] = (await once(child, 'close')) as [number | null];
  child.stdin.destroy();
  return {
    code,
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  };
}
