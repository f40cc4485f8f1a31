/**
 * The terminal that somebody sits at, lent to a command on the host: in raw mode every key goes there as it
 * is, and what comes from there is shown as it is. Whatever happens, the terminal is given back as it was.
 */
import { spawnSync } from 'node:child_process';
import { write, writeSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { RmtxError, systemErrorCode } from '../errors.js';
import type { TerminalSize } from '../protocol/messages.js';
import { EscapeKeys } from './escape-keys.js';
import { ScreenModes } from './screen-modes.js';

/** Where a terminal does not know its size. */
const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 };
const USUAL_TERM = 'xterm-256color';
/**
 * What is typed while the connection takes nothing; reading goes on that far, so that the keys that leave the
 * run are seen.
 */
const MAX_TYPED_AHEAD_BYTES = 4 * 1024 * 1024;
const STDOUT = 1;
const RETRY_MS = 10;

export type TerminalRequest = TerminalSize & { readonly term: string };

export interface TerminalHandlers {
  readonly onResize: (size: TerminalSize) => void;
  /** `~.` was typed. */
  readonly onLeave: () => void;
}

/** What a command is told about its terminal, also where nobody sits at one yet. */
export function terminalRequest(): TerminalRequest {
  const { TERM: term = '' } = process.env;
  return { ...currentSize(), term: term === '' ? USUAL_TERM : term };
}

/** How the terminal shows colours is not in TERM; who looks knows it. */
export function terminalEnvironment(): readonly (readonly [string, string])[] {
  const { COLORTERM: colours } = process.env;
  return colours === undefined ? [] : [['COLORTERM', colours]];
}

let isRaw = false;

/** Lines of our own: a terminal in raw mode does not go back to the margin by itself. */
export function asTerminalText(text: string): string {
  return isRaw ? `\r${text.replaceAll('\n', '\r\n')}` : text;
}

export class LocalTerminal {
  /** What is typed while it is lent; ends where the terminal is gone. */
  readonly input: Readable;
  /** Waits for a terminal that has stopped, without keeping anything else from going on. */
  readonly output: Writable;
  readonly #keys = new EscapeKeys();
  readonly #modes = new ScreenModes();
  #isGivenBack = false;
  readonly #handlers: { current: TerminalHandlers | undefined } = { current: undefined };
  readonly #onData = (bytes: Buffer): void => this.#type(bytes);
  readonly #onEnd = (): void => void this.input.push(null);
  readonly #onResize = (): void => this.#handlers.current?.onResize(currentSize());
  readonly #onContinue = (): void => this.#enterRawMode();
  readonly #onExit = (): void => this.giveBack();

  private constructor() {
    this.output = new Writable({
      write: (bytes: Buffer, _, done) => {
        // Of a run that was left: nobody waits for it, and it must not count as shown.
        if (this.#isGivenBack) return;
        this.#modes.see(bytes);
        writeAll(bytes, done);
      },
    });
    this.input = new Readable({
      highWaterMark: MAX_TYPED_AHEAD_BYTES,
      read: () => {
        if (this.#handlers.current !== undefined) process.stdin.resume();
      },
      destroy: (error, done) => {
        process.stdin.pause();
        done(error);
      },
    });
  }

  /** Throws NEEDS_TERMINAL where stdin or stdout is none. Changes nothing yet. */
  static open(): LocalTerminal {
    if (isatty(0) && isatty(STDOUT)) return new LocalTerminal();
    throw new RmtxError(
      'ERR_RMTX_NEEDS_TERMINAL',
      '--tty needs a terminal on stdin and on stdout',
      {
        hint: 'leave --tty out, or start the command with --detach and sit down at it with rmtx attach',
      },
    );
  }

  /** True where {@link open} would succeed. */
  static isThere(): boolean {
    return isatty(0) && isatty(STDOUT);
  }

  /** The keys go to the command, and {@link asTerminalText} is what is printed beside it. */
  get isLent(): boolean {
    return this.#handlers.current !== undefined;
  }

  /** From here on the terminal is the command's. */
  lend(handlers: TerminalHandlers): void {
    if (this.#handlers.current !== undefined) return;
    this.#handlers.current = handlers;
    this.#enterRawMode();
    // Also where the process ends on the way, by an error or process.exit.
    process.on('exit', this.#onExit);
    process.on('SIGCONT', this.#onContinue);
    process.stdout.on('resize', this.#onResize);
    process.stdin.on('data', this.#onData);
    process.stdin.on('end', this.#onEnd);
    // EIO: the terminal was closed.
    process.stdin.on('error', this.#onEnd);
    handlers.onResize(currentSize());
  }

  /** While this process is stopped the shell has the terminal; going on takes it again. */
  suspend(): void {
    if (this.#handlers.current !== undefined) leaveRawMode();
  }

  /** As it was before; idempotent. */
  giveBack(): void {
    if (this.#handlers.current === undefined) return;
    this.#handlers.current = undefined;
    process.off('exit', this.#onExit);
    process.off('SIGCONT', this.#onContinue);
    process.stdout.off('resize', this.#onResize);
    process.stdin.off('data', this.#onData);
    process.stdin.off('end', this.#onEnd);
    process.stdin.pause();
    this.#isGivenBack = true;
    this.#undoModes();
    leaveRawMode();
  }

  /** At once: the process may be ending. */
  #undoModes(): void {
    try {
      const undo = this.#modes.undo();
      if (undo !== '') writeSync(STDOUT, undo);
    } catch {
      // The terminal is gone, or takes nothing.
    }
  }

  #type(read: Buffer): void {
    const { bytes, action } = this.#keys.take(read);
    if (action === 'leave') this.#handlers.current?.onLeave();
    if (action === 'explain') process.stderr.write(asTerminalText(EXPLANATION));
    if (bytes.length > 0 && !this.input.destroyed && !this.input.push(bytes)) process.stdin.pause();
  }

  #enterRawMode(): void {
    // Node does nothing where it believes that the mode is what it was told before.
    if (isRaw) leaveRawMode();
    process.stdin.setRawMode(true);
    isRaw = true;
    // Node leaves the terminal adding a carriage return to each newline; the host's has done that, and what
    // moves the cursor down by a bare newline must not be changed. Without stty (Windows) there is no need.
    spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  }
}

const EXPLANATION = `rmtx: after Enter:
rmtx:   ~.  leaves the run, which goes on
rmtx:   ~~  types ~
`;

/** Puts everything back, also what stty has changed. */
function leaveRawMode(): void {
  isRaw = false;
  try {
    process.stdin.setRawMode(false);
  } catch {
    // The terminal is gone: there is nothing to put back.
  }
}

function currentSize(): TerminalSize {
  const { columns, rows } = process.stdout;
  // Without a terminal there are none, whatever the types say.
  return columns > 0 && rows > 0 ? { columns, rows } : USUAL_SIZE;
}

/** In the thread pool: Node's own stream for a terminal blocks everything while that takes nothing. */
function writeAll(bytes: Buffer, done: (error?: Error | null) => void): void {
  write(STDOUT, bytes, (error, length) => {
    if (systemErrorCode(error) === 'EAGAIN') setTimeout(() => writeAll(bytes, done), RETRY_MS);
    else if (error !== null) done(error);
    else if (length < bytes.length) writeAll(bytes.subarray(length), done);
    else done();
  });
}
