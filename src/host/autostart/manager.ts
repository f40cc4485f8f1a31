import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { printable } from '../../util/printable.js';

/** Stands in every file that rmtx makes for a service manager: without it a file is somebody else's. */
export const MARKER = 'Written by rmtx host install';

/** What starts a host by itself on this system, and what it reads. */
export interface ServiceManager {
  readonly kind: 'systemd' | 'launchd' | 'task-scheduler';
  readonly file: string;
  /** The log that the host's lines go to; undefined: the system's own. */
  readonly logFile: string | undefined;
  /** What `file` is to hold for this command line; throws BAD_ARGUMENT for words that it cannot hold. */
  text(command: readonly string[]): string;
  /** What is there under our name, whoever wrote it. */
  existing(): Promise<string | undefined>;
  write(text: string): void;
  /** The command lines that have `file` take effect, in their order. */
  enabling(start: 'start' | 'restart' | 'later'): readonly (readonly string[])[];
  /** Those that end the host and its starting; `file` is still there. */
  disabling(): Promise<readonly (readonly string[])[]>;
  /** Those after `file` is gone. */
  forgetting(): readonly (readonly string[])[];
  isActive(): Promise<boolean>;
  /** The program that shows the log. */
  showing(options: LogOptions): readonly string[];
  /** Undefined where the manager starts it for users who are not logged in, or never does. */
  readonly linger: Linger | undefined;
}

export interface LogOptions {
  readonly lines: number;
  readonly isFollowed: boolean;
  readonly isJson: boolean;
}

/** Whether a user's services run while nobody is logged in. */
export interface Linger {
  isOn(): Promise<boolean>;
  readonly enabling: readonly string[];
  /** For whoever may not do it for himself. */
  readonly byRoot: string;
}

export interface Ran {
  /** Undefined where the program is not there. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** A bus that hangs is no reason to. */
const LIMIT_MS = 90_000;

/** Runs a program of the system to its end. Never rejects. */
export function runProgram(command: readonly string[]): Promise<Ran> {
  const [file = '', ...args] = command;
  return new Promise((resolve) => {
    execFile(file, args, { timeout: LIMIT_MS, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (systemErrorCode(error) === 'ENOENT') resolve({ code: undefined, stdout, stderr });
      else resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

/** Runs them one after the other; throws AUTOSTART_FAILED with what the first one said that failed. */
export async function runAll(commands: readonly (readonly string[])[]): Promise<void> {
  for (const command of commands) {
    const { code, stdout, stderr } = await runProgram(command);
    if (code !== 0)
      throw new RmtxError(
        'ERR_RMTX_AUTOSTART_FAILED',
        `${shellLine(command)} failed: ${firstLine(stderr) ?? firstLine(stdout) ?? `exit code ${code ?? 127}`}`,
        { hint: 'run it by hand to see more' },
      );
  }
}

export function firstLine(text: string): string | undefined {
  const line = text.trim().split('\n')[0]?.trim();
  return line === undefined || line === '' ? undefined : printable(line).slice(0, 300);
}

/** As a POSIX shell takes it: for showing, and for a line that somebody copies. */
export function shellLine(command: readonly string[]): string {
  return command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}

export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function refusedWord(word: string, why: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_ARGUMENT', `${printable(word)} ${why}`, {
    hint: `choose a plainer name or path; ${path.basename(word) === word ? '--name' : '--state-dir, or where rmtx is installed'}`,
  });
}
