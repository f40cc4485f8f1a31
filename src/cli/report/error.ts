/** The one place that words a failure for a person or a program. */
import { inspect } from 'node:util';
import { isRmtxError, systemErrorCode } from '../../errors.js';
import { printable } from '../../util/printable.js';
import { jsonLine } from './json.js';

export interface ErrorFormat {
  readonly isJson: boolean;
  /** Adds what lies behind the failure. */
  readonly isVerbose: boolean;
}

/** A failure in parts: what JSON shows, and `--report` stores. */
export interface ErrorParts {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** The text for stderr, with its line end. */
export function renderError(error: unknown, format: ErrorFormat): string {
  if (format.isJson) return jsonLine({ error: errorParts(error) });
  const parts = errorParts(error);
  // A person who pressed Ctrl-C knows what happened.
  if (parts.code === 'ERR_RMTX_INTERRUPTED') return `rmtx: ${printable(parts.message)}\n`;
  const lines = [`rmtx: error: ${printable(parts.message)}`];
  if (isBug(error)) lines.push(...stackOf(error), 'rmtx: this is a bug in rmtx: please report it');
  if (parts.hint !== undefined) lines.push(`rmtx: hint: ${printable(parts.hint)}`);
  if (format.isVerbose && !isBug(error)) lines.push(...causeLines(error));
  return `${lines.join('\n')}\n`;
}

export function errorParts(error: unknown): ErrorParts {
  if (isRmtxError(error))
    return {
      code: error.code,
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
  const code = isSystemError(error) ? systemErrorCode(error) : undefined;
  const message = messageOf(error);
  if (code === undefined) return { code: 'ERR_RMTX_BUG', message };
  if (isLostDirectory(error))
    return {
      code,
      message: 'the working directory does not exist any more',
      hint: 'change into one that does',
    };
  const hint = systemHints[code];
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

const systemHints: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space and try again',
  EDQUOT: 'the disk quota is used up: free some space and try again',
  EROFS: 'the file system is mounted read-only',
  EMFILE: 'too many files are open in this process: raise the limit (ulimit -n)',
};

/** A failed call of the operating system is the machine's state, no mistake in rmtx. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && systemErrorCode(error) !== undefined;
}

/** Whoever asks for the working directory of a process that has lost it is told only ENOENT. */
function isLostDirectory(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'uv_cwd';
}

function isBug(error: unknown): boolean {
  return !isRmtxError(error) && !isSystemError(error);
}

function stackOf(error: unknown): string[] {
  if (!(error instanceof Error) || error.stack === undefined) return [];
  return error.stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => printable(line));
}

/** Deeper causes are the libraries' own business. */
const MAX_CAUSES = 5;

function causeLines(error: unknown): string[] {
  const lines = isRmtxError(error) ? [`rmtx: code: ${error.code}`] : [];
  let current: unknown = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; current !== undefined && depth < MAX_CAUSES; depth++) {
    const text = messageOf(current);
    lines.push(`rmtx: cause: ${printable(text)}`);
    current = current instanceof Error ? current.cause : undefined;
  }
  return lines;
}

/** Anything may be thrown. */
function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : inspect(thrown);
}
