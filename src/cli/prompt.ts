/** Asking the person at the terminal, and reading an answer from a pipe. One line, nothing hidden. */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { RmtxError } from '../errors.js';

export interface Question {
  /** Shown before the cursor, without a line end. */
  readonly text: string;
  /** What is asked for, for the refusal: `the pairing code`. */
  readonly subject: string;
  /** How to give the answer without a terminal: `give it with --code CODE`. */
  readonly otherwise: string;
}

/**
 * Asks on the terminal, whatever stdin and stdout are tied to; an empty answer is an answer. Throws
 * ERR_RMTX_NEEDS_TERMINAL where no terminal shows what rmtx says or nobody can answer, and
 * ERR_RMTX_INTERRUPTED at the end of input. Ctrl-C ends the process, as in any program.
 */
export async function askLine(question: Question): Promise<string> {
  const terminal = openTerminal();
  if (terminal === undefined)
    throw new RmtxError('ERR_RMTX_NEEDS_TERMINAL', `no terminal to ask for ${question.subject}`, {
      hint: question.otherwise,
    });
  try {
    process.stderr.write(question.text);
    const line = await readFirstLine(terminal.stream);
    if (line === undefined) {
      process.stderr.write('\n');
      throw new RmtxError('ERR_RMTX_INTERRUPTED', `no answer: ${question.subject} is needed`);
    }
    return line;
  } finally {
    terminal.close();
  }
}

/** Whether {@link askLine} has somebody to ask. */
export function canAsk(): boolean {
  const terminal = openTerminal();
  terminal?.close();
  return terminal !== undefined;
}

/**
 * The first line without its line end, or undefined where the stream ends before any text. The stream
 * is of no use afterwards: what came with the line is lost.
 */
export async function readFirstLine(stream: Readable): Promise<string | undefined> {
  const lines = createInterface({ input: stream, terminal: false });
  try {
    for await (const line of lines) return line;
    return undefined;
  } finally {
    lines.close();
  }
}

/** stdin's first line, for `--code -`. An open pipe does not keep the process alive afterwards. */
export async function readLineFromStdin(subject: string): Promise<string> {
  try {
    const line = await readFirstLine(process.stdin);
    if (line === undefined)
      throw new RmtxError('ERR_RMTX_BAD_ARGUMENT', `stdin ended before ${subject}`);
    return line.trim();
  } finally {
    process.stdin.destroy();
  }
}

interface Terminal {
  readonly stream: Readable;
  /** Afterwards the terminal does not keep the process alive. It can be opened again. */
  close(): void;
}

/**
 * The controlling terminal, or stdin where that is one. The question goes to stderr, so that must be a
 * terminal: else a script with its output in a log would wait for an answer that nobody knows of.
 */
function openTerminal(): Terminal | undefined {
  if (!process.stderr.isTTY) return undefined;
  const own = process.platform === 'win32' ? undefined : openControllingTerminal();
  if (own !== undefined) return { stream: own, close: () => own.destroy() };
  if (!process.stdin.isTTY) return undefined;
  return { stream: process.stdin, close: () => process.stdin.pause() };
}

function openControllingTerminal(): ReadStream | undefined {
  let fd: number;
  try {
    fd = openSync('/dev/tty', 'r');
  } catch {
    // ENXIO without a controlling terminal, and more names elsewhere: nobody is there to ask.
    return undefined;
  }
  try {
    return new ReadStream(fd);
  } catch {
    closeSync(fd);
    return undefined;
  }
}
