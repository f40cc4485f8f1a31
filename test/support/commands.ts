/** Real commands for tests of the runtime: small programs in fixtures/commands, started for real. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { startProcess } from '../../src/runtime/process.js';
import type {
  CommandExit,
  CommandSpec,
  RunningCommand,
  SweepResult,
} from '../../src/runtime/runtime.js';

/** Compiled tests lie at different depths below the project. */
function projectRoot(): string {
  let directory = __dirname;
  while (!existsSync(path.join(directory, 'package.json'))) directory = path.dirname(directory);
  return directory;
}

export const COMMANDS = path.join(projectRoot(), 'fixtures', 'commands');

export function fixture(name: string): string {
  return path.join(COMMANDS, name);
}

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

let runs = 0;

/** A run id that no other test process uses. */
export function newRunId(): string {
  runs += 1;
  return `run-${process.pid}-${runs}`;
}

export function specOf(argv: readonly string[], rest: Partial<CommandSpec> = {}): CommandSpec {
  return {
    runId: newRunId(),
    argv,
    cwd: COMMANDS,
    env: { PATH: `${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin` },
    hasStdin: false,
    scratchDirectory: os.tmpdir(),
    ...rest,
  };
}

export async function bytesOf(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) pieces.push(piece);
  } catch {
    // Cut: what came before counts.
  }
  return Buffer.concat(pieces);
}

/** Resolves with everything printed so far as soon as that matches. */
export function untilPrinted(stream: Readable, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let printed = '';
    const read = (piece: Buffer): void => {
      printed += piece.toString();
      if (!wanted.test(printed)) return;
      stream.off('data', read);
      // Nobody else may be reading: keep it flowing, so that its end is seen.
      stream.resume();
      resolve(printed);
    };
    stream.on('data', read);
    stream.once('end', () => reject(new Error(`ended after printing ${printed}`)));
  });
}

export interface Finished {
  readonly exit: CommandExit;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly swept: SweepResult;
  readonly cut: readonly string[];
}

/** Reads a started command to its end, sweeps, and says how it went. */
export async function finish(command: RunningCommand): Promise<Finished> {
  const output = Promise.all([bytesOf(command.stdout), bytesOf(command.stderr)]);
  const exit = await command.leaderExit;
  const swept = await command.sweep();
  const { cut } = await command.finishOutput();
  const [stdout, stderr] = await output;
  return { exit, stdout, stderr, swept, cut };
}

export async function run(
  argv: readonly string[],
  rest: Partial<CommandSpec> & { readonly input?: string | Buffer } = {},
): Promise<Finished> {
  const { input, ...spec } = rest;
  const command = await startProcess(specOf(argv, { ...spec, hasStdin: input !== undefined }));
  if (input !== undefined) command.stdin?.end(input);
  return finish(command);
}

/** False also for a dead process that nobody has reaped yet. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
